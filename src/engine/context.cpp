// SPDX-License-Identifier: Apache-2.0
#include "engine/context.h"

#include <algorithm>

#include "engine/loader.h"

namespace millrace::engine {

void Slots::open(WorkerId worker, int slots) { free_[worker] = slots; }
void Slots::close_all() { free_.clear(); }

std::optional<WorkerId> Slots::take() {
  auto best = std::max_element(free_.begin(), free_.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  if (best == free_.end() || best->second <= 0) return std::nullopt;
  --best->second;
  return best->first;
}

void Slots::give_back(WorkerId worker, int count) {
  auto found = free_.find(worker);
  if (found != free_.end()) found->second += count;
}

int Slots::free() const {
  int total = 0;
  for (const auto& [worker, free] : free_) total += std::max(0, free);
  return total;
}

std::optional<WorkerId> Context::take_slot(Transition& t) {
  auto worker = slots_.take();
  if (worker) ++t.slots_taken[*worker];
  return worker;
}

void Context::free_slot(Transition& t, WorkerId worker) {
  slots_.give_back(worker);
  --t.slots_taken[worker];
}

const kernel::ExecutionRow* Context::next_queued(Transition& t) {
  while (auto id = Loader::pop_queue(rows_)) {
    if (granting_.contains(*id)) continue;
    const auto* row = rows_.execution(*id);
    if (!row || row->status != ExecutionStatus::Requested) continue;
    granting_.insert(*id);
    t.dequeued.push_back(*id);
    return row;
  }
  return nullptr;
}

}  // namespace millrace::engine
