// SPDX-License-Identifier: Apache-2.0
#include "async/wakeup.h"

#include <atomic>
#include <boost/asio/post.hpp>

#include "async/deadline.h"
#include "async/waiter.h"

namespace millrace::async {

struct Wakeup::State {
  explicit State(Executor loop) : executor(std::move(loop)) {}
  Executor executor;
  std::atomic<bool> notified = false;
  Waiter waiter;
};

Wakeup::Wakeup(Executor loop) : state_(std::make_shared<State>(std::move(loop))) {}

void Wakeup::notify() const {
  if (state_->notified.exchange(true)) return;
  boost::asio::post(state_->executor, [state = state_] { state->waiter.resume(); });
}

Task<void> Wakeup::wait() const {
  auto state = state_;
  while (!state->notified.exchange(false)) co_await state->waiter.park();
}

Task<bool> Wakeup::wait_for(Duration limit) const {
  auto state = state_;
  if (state->notified.exchange(false)) co_return true;
  bool expired = false;
  Deadline deadline(state->executor, [&] {
    expired = true;
    state->waiter.resume();
  });
  deadline.arm(limit);
  // A post that an earlier wait has already consumed may still arrive: hence the loop.
  while (!expired) {
    co_await state->waiter.park();
    if (state->notified.exchange(false)) co_return true;
  }
  co_return false;
}

}  // namespace millrace::async
