// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/slots.h"

#include <algorithm>
#include <climits>

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
  forget_lent(worker);
}

void Slots::close(WorkerId worker) {
  free_.erase(worker);
  runs_.erase(worker);
  labels_.erase(worker);
  drained_.erase(worker);
  forget_lent(worker);
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

std::optional<Slots::Taken> Slots::take(std::string_view needs) {
  if (draining_) return std::nullopt;
  auto best = free_.end();
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (free_for_own(at->first, at->second) <= 0 || !is_given(at->first, needs)) continue;
    if (best == free_.end() || at->second > best->second) best = at;
  }
  if (best != free_.end()) {
    --best->second;
    return Taken{best->first};
  }
  auto lent =
      std::ranges::find_if(borrowed_, [&](const auto& one) { return one.permit.needs == needs; });
  if (lent == borrowed_.end()) return std::nullopt;
  Taken taken{lent->permit.worker, std::move(*lent)};
  borrowed_.erase(lent);
  return taken;
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

bool Slots::is_held(WorkerId worker, const kernel::RunKey& run) const {
  auto found = runs_.find(worker);
  return found != runs_.end() && found->second.contains(run);
}

std::optional<int> Slots::free_of(WorkerId worker) const {
  auto found = free_.find(worker);
  bool is_left_out = opening_.contains(worker) || drained_.contains(worker);
  if (draining_ || found == free_.end() || is_left_out) return std::nullopt;
  return free_for_own(worker, found->second);
}

int Slots::own_free(std::string_view needs) const {
  int total = 0;
  for (const auto& [worker, free] : free_) {
    if (is_given(worker, needs)) total += std::max(0, free_for_own(worker, free));
  }
  return total;
}

int Slots::free() const {
  return draining_ ? 0 : own_free({}) + static_cast<int>(borrowed_.size());
}

int Slots::free(std::string_view needs) const {
  if (draining_) return 0;
  auto borrowed =
      std::ranges::count_if(borrowed_, [&](const auto& one) { return one.permit.needs == needs; });
  return own_free(needs) + static_cast<int>(borrowed);
}

// Between servers

bool Slots::has_borrowed(std::string_view needs) const {
  return std::ranges::any_of(borrowed_, [&](const auto& one) { return one.permit.needs == needs; });
}

std::vector<kernel::Permit> Slots::drop_borrowed(
    const std::function<bool(std::string_view)>& is_needed, int64_t now_ms) {
  std::vector<kernel::Permit> dropped;
  std::erase_if(borrowed_, [&](auto& one) {
    bool stays = !draining_ && one.until_ms > now_ms && is_needed(one.permit.needs);
    if (!stays) dropped.push_back(std::move(one.permit));
    return !stays;
  });
  return dropped;
}

std::optional<WorkerId> Slots::lender(std::string_view needs,
                                      const std::function<bool(WorkerId)>& may_lend) const {
  if (draining_) return std::nullopt;
  std::optional<WorkerId> best;
  int most = INT_MIN;
  for (const auto& [worker, free] : free_) {
    if (free <= most || !is_given(worker, needs) || !may_lend(worker)) continue;
    best = worker;
    most = free;
  }
  return best;
}

kernel::Permit Slots::lend(WorkerId worker, std::string_view needs, int64_t until_ms) {
  if (!mutant(Mutant::SlotLentTwice)) --free_[worker];
  lent_[++last_lent_] = {worker, until_ms};
  just_lent_.insert(worker);
  return {.number = last_lent_, .worker = worker, .needs = std::string(needs)};
}

void Slots::take_back(int64_t number) {
  if (auto lent = lent_.extract(number)) give_back(lent.mapped().worker);
}

void Slots::take_back_over(int64_t now_ms) {
  if (mutant(Mutant::LentForEver)) return;
  std::erase_if(lent_, [&](const auto& one) {
    bool is_over = one.second.until_ms <= now_ms;
    if (is_over) give_back(one.second.worker);
    return is_over;
  });
}

std::optional<Slots::Lent> Slots::begin_lent(int64_t number) {
  auto found = lent_.find(number);
  if (draining_ || found == lent_.end()) return std::nullopt;
  Lent lent = found->second;
  if (opening_.contains(lent.worker) || drained_.contains(lent.worker)) return std::nullopt;
  lent_.erase(found);
  return lent;
}

void Slots::forget_lent(WorkerId worker) {
  if (mutant(Mutant::PermitOutlivesSession)) return;
  std::erase_if(lent_, [&](const auto& one) { return one.second.worker == worker; });
}

int64_t Slots::next_over_ms() const {
  int64_t next = INT64_MAX;
  for (const auto& [number, lent] : lent_) next = std::min(next, lent.until_ms);
  for (const auto& one : borrowed_) next = std::min(next, one.until_ms);
  return next;
}

}  // namespace millrace::engine
