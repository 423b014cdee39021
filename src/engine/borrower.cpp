// SPDX-License-Identifier: Apache-2.0
#include "engine/borrower.h"

#include <algorithm>

#include "base/log.h"

namespace millrace::engine {

using kernel::Lack;
using kernel::Permit;

namespace {

constexpr int64_t kWaitMs = 20'000;  // of one call; then another one
constexpr int64_t kAfterFailureMs = 1'000;

bool covers(const std::vector<Lack>& asked, const std::vector<Lack>& wanted) {
  return std::ranges::all_of(
      wanted, [&](const Lack& lack) { return std::ranges::find(asked, lack) != asked.end(); });
}

}  // namespace

Borrower::Borrower(Outside outside) : shared_(std::make_shared<Shared>()) {
  shared_->outside = std::move(outside);
}

int64_t Borrower::want(std::vector<Lack> lacks) {
  struct Call {
    kernel::ServerRow of;
    uint64_t number;
  };
  std::vector<Call> calls;
  Shared& shared = *shared_;
  {
    std::lock_guard lock(shared.mutex);
    int64_t now = shared.outside.mono_ms();
    bool is_known = !shared.has_news && now < next_ms_ && covers(wanted_, lacks);
    if (shared.is_over || is_known) return next_ms_;
    wanted_ = std::move(lacks);
    next_ms_ = INT64_MAX;
    if (wanted_.empty()) return next_ms_;
    shared.has_news = false;
    auto servers = shared.outside.servers();
    std::erase_if(shared.asked, [&](const auto& each) {
      return std::ranges::none_of(servers,
                                  [&](const auto& view) { return view.row.epoch == each.first; });
    });
    for (auto& view : servers) {
      if (view.is_self || !view.lives || view.row.draining || view.row.internal.empty()) continue;
      Asked& asked = shared.asked[view.row.epoch];
      if (asked.call != 0 && covers(asked.lacks, wanted_)) continue;
      if (now < asked.not_before_ms) {
        next_ms_ = std::min(next_ms_, asked.not_before_ms);
        continue;
      }
      asked.call = ++last_call_;
      asked.lacks = wanted_;
      calls.push_back({std::move(view.row), asked.call});
    }
    // Of many lanes each is the first once.
    if (!calls.empty()) std::ranges::rotate(wanted_, wanted_.begin() + 1);
  }
  for (auto& call : calls) {
    kernel::PermitAsk ask{.asker = shared.outside.self, .lacks = wanted_, .wait_ms = kWaitMs};
    shared.outside.ask(call.of, std::move(ask),
                       [shared = shared_, epoch = call.of.epoch, number = call.number](
                           auto permits) { answered(*shared, epoch, number, std::move(permits)); });
  }
  return next_ms_;
}

// The call after it may be open already, when more has come to lack.
void Borrower::answered(Shared& shared, int64_t epoch, uint64_t call,
                        Result<std::vector<Permit>> permits) {
  std::lock_guard lock(shared.mutex);
  if (shared.is_over) return;
  auto asked = shared.asked.find(epoch);
  if (asked != shared.asked.end() && asked->second.call == call) {
    asked->second.call = 0;
    if (!permits.ok()) {
      asked->second.not_before_ms = shared.outside.mono_ms() + kAfterFailureMs;
      log_debug("slots.not_asked", {{"error", permits.error().message()}});
    }
    shared.has_news = true;
  }
  if (permits.ok() && !permits->empty()) return shared.outside.lent(*std::move(permits));
  shared.outside.look();
}

void Borrower::give_back(const Permit& permit) {
  {
    std::lock_guard lock(shared_->mutex);
    if (shared_->is_over) return;
  }
  for (const auto& view : shared_->outside.servers()) {
    if (view.row.epoch == permit.home) shared_->outside.give_back(view.row, permit.number);
  }
}

void Borrower::look() {
  std::lock_guard lock(shared_->mutex);
  if (shared_->is_over) return;
  shared_->has_news = true;
  shared_->outside.look();
}

void Borrower::stop() {
  std::lock_guard lock(shared_->mutex);
  shared_->is_over = true;
}

}  // namespace millrace::engine
