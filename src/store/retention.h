// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernel/changes.h"
#include "kernel/shards.h"
#include "store/sql.h"

namespace millrace::store {

// Finds what is old enough to go, over all tenants; Changes::expired then removes it. Nothing goes
// that an open execution or a waiting message still needs.
//
// A question costs no more than its limit, whatever must stay: trees of executions that have ended
// stand in an index of their own; of the events that wait for an open execution it remembers where
// it has looked. One per owner of shards, on its thread. What belongs to no shard is the business
// of whoever owns shard 0.
class Retention {
 public:
  struct Due {
    std::vector<kernel::Expired> rows;  // at most the limit
    // True: the limit was hit, or there are old events that were never looked at since the start:
    // ask again when these are gone.
    bool more = false;
  };
  Result<Due> due(sql::Connection& reader, kernel::ShardSet shards, const kernel::Expire& request);

 private:
  Result<Due> old_events(sql::Connection& db, const kernel::Expire& request);

  // Old events up to here were looked at; those of them that had to stay are looked at again and
  // again, a few each time, from `look_again_` on.
  int64_t looked_to_ = 0;
  int64_t look_again_ = 0;
};

}  // namespace millrace::store
