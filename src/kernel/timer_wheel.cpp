// SPDX-License-Identifier: Apache-2.0
#include "kernel/timer_wheel.h"

#include <algorithm>

namespace millrace::kernel {

bool TimerWheel::add(Entry entry) {
  if (entry.due >= covered_until_) return false;
  if (heap_.size() >= kMaxEntries) {
    // Full: what lies later than this entry must come from the store again.
    covered_until_ = std::min(covered_until_, entry.due);
    return false;
  }
  if (present_.insert(entry.id).second) heap_.push(entry);
  return true;
}

std::vector<TimerId> TimerWheel::take_due(int64_t now) {
  std::vector<TimerId> due;
  while (!heap_.empty() && heap_.top().due <= now) {
    due.push_back(heap_.top().id);
    present_.erase(heap_.top().id);
    heap_.pop();
  }
  return due;
}

int64_t TimerWheel::next_wake() const {
  return heap_.empty() ? covered_until_ : std::min(heap_.top().due, covered_until_);
}

bool TimerWheel::needs_refill(int64_t now) const { return now >= covered_until_; }

void TimerWheel::refill(const std::vector<Entry>& entries, int64_t until, bool complete) {
  covered_until_ = until;
  for (const auto& entry : entries) {
    if (!add(entry)) return;
  }
  // Cut at the limit: everything up to the last entry's due time is here, later ones are not.
  if (!complete && !entries.empty()) covered_until_ = entries.back().due;
}

}  // namespace millrace::kernel
