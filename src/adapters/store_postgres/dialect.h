// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/sql.h"

namespace millrace::store_postgres {

// PostgreSQL's form of shared SQL: type names; text that sorts by its bytes, as SQLite's does,
// whatever the database's locale is; pages as the rows between two rows (store/README.md).
std::string to_dialect(std::string_view script);

// For the end of a script that makes tables or indexes: each primary key becomes the newest index
// of its table. Of indexes that cost the same PostgreSQL takes the newest, and while a table is
// empty all of them do.
std::string keys_last_script();
// The primary keys that are not, as of a dump that was restored; behind a SELECT.
extern const std::string_view kOlderKeys;

// What "BEGIN EXCLUSIVE" becomes: no other writer has a transaction open meanwhile.
inline constexpr std::string_view kBeginAlone = "BEGIN ISOLATION LEVEL READ COMMITTED";

// What a statement does to the transaction.
enum class Verb : uint8_t { Other, Begin, Commit, Rollback };
Verb verb_of(std::string_view text);

// WITH CHECK OPTION violation: what Session says of a row that row level security refuses.
inline constexpr std::string_view kRefusedRow = "44000";

// A SQLSTATE as one of the port's codes.
std::string_view code_of(std::string_view sqlstate);
Error error_of(std::string_view code, std::string_view doing, std::string_view said);

}  // namespace millrace::store_postgres
