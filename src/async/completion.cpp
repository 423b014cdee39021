// SPDX-License-Identifier: Apache-2.0
#include "async/completion.h"

#include <boost/asio/post.hpp>

namespace millrace::async {

namespace {
thread_local detail::CompletionStates* gathered = nullptr;
}  // namespace

CompletionScope::CompletionScope() {
  if (!gathered) gathered = &states_;
}

CompletionScope::~CompletionScope() {
  if (gathered != &states_) return;
  gathered = nullptr;
  detail::post_deliveries(std::move(states_));
}

namespace detail {

Task<bool> CompletionState::wait(Duration limit) {
  if (!delivered) {
    Deadline deadline(executor, [this] { waiter.resume(); });
    deadline.arm(limit);
    co_await waiter.park();
  }
  co_return delivered;
}

void post_delivery(std::shared_ptr<CompletionState> state) {
  if (gathered) {
    gathered->push_back(std::move(state));
    return;
  }
  Executor executor = state->executor;
  boost::asio::post(executor, [state = std::move(state)] { state->deliver(); });
}

void post_deliveries(CompletionStates states) {
  while (!states.empty()) {
    Executor executor = states.front()->executor;
    CompletionStates group, others;
    for (auto& state : states) {
      (state->executor == executor ? group : others).push_back(std::move(state));
    }
    states = std::move(others);
    boost::asio::post(executor, [group = std::move(group)] {
      for (const auto& state : group) state->deliver();
    });
  }
}

}  // namespace detail

}  // namespace millrace::async
