// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/slots.h"

#include <algorithm>

#include "base/mutants.h"
#include "model/labels.h"

namespace millrace::engine {

void Slots::open(WorkerId worker, int slots, std::vector<std::string> labels,
                 const std::vector<kernel::RunKey>& runs) {
  if (mutant(Mutant::DrainForgotten)) draining_ = false;
  free_[worker] = slots - static_cast<int>(runs.size());
  runs_[worker] = {runs.begin(), runs.end()};
  labels_[worker] = std::move(labels);
  opening_.erase(worker);
  drained_.erase(worker);
}

void Slots::close(WorkerId worker) {
  free_.erase(worker);
  runs_.erase(worker);
  labels_.erase(worker);
  drained_.erase(worker);
}

bool Slots::offers(WorkerId worker, std::string_view needs) const {
  auto found = labels_.find(worker);
  return found != labels_.end() && millrace::offers(found->second, needs);
}

bool Slots::is_offered(std::string_view needs) const {
  return std::ranges::any_of(free_, [&](const auto& one) {
    return !drained_.contains(one.first) && offers(one.first, needs);
  });
}

std::optional<WorkerId> Slots::take(std::string_view needs) {
  if (draining_) return std::nullopt;
  auto best = free_.end();
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second <= 0 || !is_given(at->first, needs)) continue;
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

void Slots::hold(WorkerId worker, const kernel::RunKey& run) { runs_[worker].insert(run); }

bool Slots::let_go(WorkerId worker, const kernel::RunKey& run) {
  auto found = runs_.find(worker);
  return found != runs_.end() && found->second.erase(run) > 0;
}

std::optional<int> Slots::free_of(WorkerId worker) const {
  auto found = free_.find(worker);
  bool is_left_out = opening_.contains(worker) || drained_.contains(worker);
  if (draining_ || found == free_.end() || is_left_out) return std::nullopt;
  return found->second;
}

int Slots::free() const { return free({}); }

int Slots::free(std::string_view needs) const {
  if (draining_) return 0;
  int total = 0;
  for (const auto& [worker, free] : free_) {
    if (is_given(worker, needs)) total += std::max(0, free);
  }
  return total;
}

}  // namespace millrace::engine
