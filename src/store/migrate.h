// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernel/shards.h"
#include "store/sql.h"

namespace millrace::store {

// Brings a store to this binary's schema, in one transaction per step. A store that is newer than
// the binary is refused with kNewer and left alone.
Result<void> migrate(sql::Connection& writer);

// The version of the store's schema; 0 for an empty store.
Result<int64_t> schema_version(sql::Connection& connection);
// The version that this binary writes.
int64_t newest_schema_version();

// Claims these shards for `owner` and returns the new epoch, which every commit then checks. It is
// above all epochs that were ever given out.
Result<int64_t> claim_shards(sql::Connection& writer, std::string_view owner,
                             kernel::ShardSet shards);

}  // namespace millrace::store
