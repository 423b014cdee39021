// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "store/sql.h"

namespace millrace::store {

// Brings a store to this binary's schema, in one transaction per step. A store that is newer than
// the binary is refused with kNewer and left alone; one that is a part of a copy (copy.h) with
// kUnfinished, but by whoever goes on with that.
enum class PartialCopy : uint8_t { Refused, GoesOn };
Result<void> migrate(sql::Connection& writer, PartialCopy partial = PartialCopy::Refused);
// The state of the source of which it is an unfinished copy; none: it is whole.
Result<std::optional<std::string>> copy_under_way(sql::Connection& connection);
// Empty: it is whole now.
Result<void> mark_copy(sql::Connection& writer, const std::string& state);

// The version of the store's schema; 0 for an empty store.
Result<int64_t> schema_version(sql::Connection& connection);
// The version that this binary writes.
int64_t newest_schema_version();

}  // namespace millrace::store
