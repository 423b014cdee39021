// SPDX-License-Identifier: Apache-2.0
#include "engine/lender.h"

#include <algorithm>

namespace millrace::engine {

namespace {

constexpr int64_t kLongestWaitMs = 60'000;

// Of a worker that work waits for here, another server gets what it is owed: every other slot.
bool may_have(const kernel::Lack& lack, bool is_wanted, bool has_just_lent) {
  return !is_wanted || (!lack.is_offered && !has_just_lent);
}

}  // namespace

void Lender::ask(kernel::PermitAsk ask, Lent lent, int64_t now_ms) {
  auto before = std::ranges::find(asked_, ask.asker, [](const auto& one) { return one.ask.asker; });
  if (before != asked_.end()) {
    before->lent(std::vector<kernel::Permit>());
    asked_.erase(before);
  }
  int64_t wait_ms = std::clamp<int64_t>(ask.wait_ms, 0, kLongestWaitMs);
  asked_.push_back({std::move(ask), now_ms + wait_ms, std::move(lent)});
}

void Lender::serve(Slots& slots, const std::function<bool(WorkerId)>& is_wanted, int64_t now_ms) {
  slots.promise_none();
  std::erase_if(asked_, [&](const Asked& asked) {
    std::vector<kernel::Permit> lent;
    for (const auto& lack : asked.ask.lacks) {
      auto may = [&](WorkerId worker) {
        return may_have(lack, is_wanted(worker), slots.has_just_lent(worker)) &&
               !slots.is_promised(worker);
      };
      auto worker = slots.lender(lack.needs, may);
      if (!worker) continue;
      if (slots.free_of(*worker).value_or(0) > 0) {
        lent.push_back(slots.lend(*worker, lack.needs, now_ms + kLentMs));
      } else if (!lack.is_offered) {
        slots.promise(*worker);
      }
    }
    if (lent.empty() && asked.until_ms > now_ms) return false;
    asked.lent(std::move(lent));
    return true;
  });
}

void Lender::refuse(const Error& why) {
  for (const auto& asked : std::exchange(asked_, {})) asked.lent(why);
}

int64_t Lender::next_ms() const {
  int64_t next = INT64_MAX;
  for (const auto& asked : asked_) next = std::min(next, asked.until_ms);
  return next;
}

}  // namespace millrace::engine
