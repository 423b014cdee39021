// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/slots.h"

#include "base/mutants.h"

#include <algorithm>

namespace millrace::engine {

void Slots::open(WorkerId worker, int slots) {
  if (mutant(Mutant::DrainForgotten)) draining_ = false;
  free_[worker] = slots;
  opening_.erase(worker);
}

void Slots::close(WorkerId worker) { free_.erase(worker); }

std::optional<WorkerId> Slots::take() {
  if (draining_) return std::nullopt;
  auto best = free_.end();
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second <= 0 || opening_.contains(at->first)) continue;
    if (best == free_.end() || at->second > best->second) best = at;
  }
  if (best == free_.end()) return std::nullopt;
  --best->second;
  return best->first;
}

void Slots::give_back(WorkerId worker, int count) {
  auto found = free_.find(worker);
  if (found != free_.end()) found->second += count;
}

std::optional<int> Slots::free_of(WorkerId worker) const {
  auto found = free_.find(worker);
  if (draining_ || found == free_.end() || opening_.contains(worker)) return std::nullopt;
  return found->second;
}

int Slots::free() const {
  if (draining_) return 0;
  int total = 0;
  for (const auto& [worker, free] : free_) {
    if (!opening_.contains(worker)) total += std::max(0, free);
  }
  return total;
}

}  // namespace millrace::engine
