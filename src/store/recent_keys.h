// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernel/rows.h"
#include "store/sql.h"

namespace millrace::store {

// The dedupe keys of the last events. They come in no order: each that is written where it is found
// again costs a commit a page of its own. So they are written in the order in which they come, into
// `dedupe_recent`, and known from memory. When there are many they move into `dedupe` in the order
// of keys, many to a page, a share with each commit: the memory and the first level of a
// log-structured merge-tree (O'Neil and others, 1996).
//
// A crash loses nothing: what has not moved is read at the start, and moving twice changes nothing.
// Only for the one writer of a store: nobody else knows of these keys.
//
// What was claimed and moved counts from `committed` on; `rolled_back` forgets it. Not thread-safe.
class RecentKeys {
 public:
  // So many gather before they move; twice as many are there at most.
  explicit RecentKeys(size_t most) : most_(most) {}

  // Those of before. With at most 0 they all move, in a transaction of its own: those who write
  // then do not know of them.
  Result<void> load(sql::Connection& db);
  // Of events: claimed before anybody looks whether they are there. None, with at most 0.
  bool takes(const kernel::DedupeRow& row) const;

  // Nothing: the key was free, or had expired at `now`, and is now of this row. Else whose it is.
  Result<std::optional<kernel::DedupeRow>> claim(sql::Connection& db, const kernel::DedupeRow& row,
                                                 int64_t now);
  // Gives back what was claimed since the last commit.
  void release(const kernel::DedupeRow& row);
  // In the transaction: writes what was claimed, and moves a share of what is older.
  Result<void> write(sql::Connection& db);
  void committed();
  void rolled_back();

  size_t size() const { return growing_.size() + moving_.size(); }

 private:
  using Name = std::tuple<TenantId, std::string, std::string>;
  struct Recent {
    std::string value;
    int64_t expires = 0;
  };
  using Keys = std::map<Name, Recent>;
  struct Claimed {
    Keys::iterator place;
    std::optional<Recent> before;  // one that had expired
  };

  static Name name_of(const kernel::DedupeRow& row) { return {row.tenant, row.scope, row.key}; }
  void forget(Claimed& claimed);
  Result<void> insert_claimed(sql::Connection& db);
  Result<void> move(sql::Connection& db, size_t count);
  Result<void> clear(sql::Connection& db, int64_t to);

  const size_t most_;
  Keys growing_;
  Keys moving_;             // what of it has moved is gone
  int64_t last_id_ = 0;     // of dedupe_recent
  int64_t moved_to_ = 0;    // rows up to here have moved when `moving_` is empty
  int64_t cleared_to_ = 0;  // rows up to here are gone

  // Since the last commit.
  std::vector<Claimed> claimed_;
  size_t moved_ = 0;  // so many from the beginning of `moving_`
  int64_t clears_to_ = 0;
};

}  // namespace millrace::store
