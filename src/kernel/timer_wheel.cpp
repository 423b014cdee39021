// SPDX-License-Identifier: Apache-2.0
#include "kernel/timer_wheel.h"

#include <algorithm>

namespace millrace::kernel {

bool TimerWheel::add(Entry entry) {
  if (entry.due >= covered_until_) return false;
  insert(entry);
  return entry.due < covered_until_;
}

void TimerWheel::insert(Entry entry) {
  entries_.insert(entry);
  if (entries_.size() <= kMaxEntries) return;
  auto latest = std::prev(entries_.end());
  covered_until_ = std::min(covered_until_, latest->due);
  entries_.erase(latest);
}

std::vector<Of<TimerId>> TimerWheel::take_due(int64_t now, size_t most) {
  std::vector<Of<TimerId>> due;
  auto end = entries_.begin();
  for (; end != entries_.end() && end->due <= now && due.size() < most; ++end) {
    due.push_back({end->tenant, end->id});
  }
  entries_.erase(entries_.begin(), end);
  return due;
}

int64_t TimerWheel::next_wake() const {
  return entries_.empty() ? covered_until_ : std::min(entries_.begin()->due, covered_until_);
}

void TimerWheel::refill(const std::vector<Entry>& entries, int64_t until, bool complete) {
  // Cut at its limit: the read is whole only before the due time of its last entry.
  covered_until_ = complete || entries.empty() ? until : entries.back().due;
  for (const auto& entry : entries) insert(entry);
}

}  // namespace millrace::kernel
