// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_set>
#include <vector>

#include "base/ids.h"

namespace millrace::kernel {

// The timers that are due soon, in memory, ordered by due time. The store's index holds the rest:
// when the wheel is full or a timer lies beyond the horizon, the wheel forgets it and says so
// through `refill_at`. An entry is a hint: a canceled timer still comes out and finds no row.
// Not thread-safe; the executor's thread owns it.
class TimerWheel {
 public:
  static constexpr int64_t kHorizonMs = 5 * 60 * 1000;
  static constexpr size_t kMaxEntries = 10'000;

  struct Entry {
    int64_t due;
    TimerId id;
    auto operator<=>(const Entry&) const = default;
  };

  // Takes the entry if it is due before the covered time; true when taken.
  bool add(Entry entry);
  // Everything due at `now`, in due order.
  std::vector<TimerId> take_due(int64_t now);
  // When the next entry is due or the wheel must be refilled from the store, whichever is first.
  int64_t next_wake() const;

  // The store is read up to `until()`: all timers with due < until, at most kMaxEntries of them.
  bool needs_refill(int64_t now) const;
  int64_t covered_until() const { return covered_until_; }
  // `entries`: what the store holds with due < `until`, in due order; `complete` says that the
  // read was not cut at its limit.
  void refill(const std::vector<Entry>& entries, int64_t until, bool complete);
  size_t size() const { return heap_.size(); }

 private:
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap_;
  std::unordered_set<TimerId> present_;
  int64_t covered_until_ = 0;
};

}  // namespace millrace::kernel
