// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/sql.h"

namespace millrace::store_postgres {

// PostgreSQL's form of shared SQL: type names; text that sorts by its bytes, as SQLite's does,
// whatever the database's locale is.
std::string to_dialect(std::string_view script);

// What "BEGIN EXCLUSIVE" becomes: no other writer has a transaction open meanwhile.
inline constexpr std::string_view kBeginAlone = "BEGIN ISOLATION LEVEL READ COMMITTED";

// What a statement does to the transaction.
enum class Verb : uint8_t { Other, Begin, Commit, Rollback };
Verb verb_of(std::string_view text);

// A SQLSTATE as one of the port's codes.
std::string_view code_of(std::string_view sqlstate);
Error error_of(std::string_view code, std::string_view doing, std::string_view said);

}  // namespace millrace::store_postgres
