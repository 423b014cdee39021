// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "kernel/rows.h"

namespace millrace::kernel {

// The timers that are due soon, in memory, ordered by due time. The store's index holds the rest:
// the wheel knows every timer with due < covered_until() and must be refilled at that time.
// An entry is a hint: a canceled timer still comes out and finds no row.
// Not thread-safe; the executor's thread owns it.
class TimerWheel {
 public:
  static constexpr int64_t kHorizonMs = 5 * 60 * 1000;
  static constexpr size_t kMaxEntries = 10'000;

  struct Entry {
    int64_t due;
    TenantId tenant;
    TimerId id;
    auto operator<=>(const Entry&) const = default;
  };

  // For each timer that a commit has made. False when it lies beyond the covered time: the store
  // brings it back with a later refill. A full wheel drops its latest entry and covers less.
  bool add(Entry entry);
  // What is due at `now`, in due order, `most` at most: the rest stays.
  std::vector<Of<TimerId>> take_due(int64_t now, size_t most = SIZE_MAX);
  // When the next entry is due or the wheel must be refilled from the store, whichever is first.
  int64_t next_wake() const;

  bool needs_refill(int64_t now) const { return now >= covered_until_; }
  int64_t covered_until() const { return covered_until_; }
  // `entries`: what the store holds with due < `until`, in due order; `complete` says that the
  // read was not cut at its limit. Adds to what is there, so that a timer made between the read
  // and this call is not lost. A timer that was taken comes again as long as its row stands:
  // refill after the steps of the taken ones are written.
  void refill(const std::vector<Entry>& entries, int64_t until, bool complete);
  size_t size() const { return entries_.size(); }

 private:
  void insert(Entry entry);

  std::set<Entry> entries_;
  int64_t covered_until_ = 0;
};

}  // namespace millrace::kernel
