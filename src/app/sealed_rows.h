// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "app/server.h"
#include "auth/key_ring.h"
#include "store/sql.h"

namespace millrace::app {

// Of what a store holds sealed: how many values, and which of them a ring does not open.
struct SealedRows {
  size_t all = 0;
  std::vector<std::string> closed;  // for people
};
// `ring`: null opens nothing.
Result<SealedRows> look_at_sealed_rows(sql::Connection& reader, const auth::KeyRing* ring);

// Keys, the newest, and webhook endpoints that are tried at most, of each: a start costs the same
// however many there are.
inline constexpr int64_t kMostTried = 100;
// What was tried until one opened; all `closed`: none did.
Result<SealedRows> try_ring(sql::Connection& reader, const auth::KeyRing& ring);

// A ring that opens none of what is tried is another one than the store's: keys.json was lost, or
// is that of another folder. Errors: Conflict, APP-0043.
Result<void> check_ring(sql::Connection& reader, const auth::KeyRing& ring, const DataPaths& paths);

}  // namespace millrace::app
