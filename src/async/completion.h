// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "async/deadline.h"
#include "async/waiter.h"

namespace millrace::async {

namespace detail {
struct CompletionState {
  explicit CompletionState(Executor loop) : executor(std::move(loop)) {}

  Executor executor;
  std::atomic<bool> fulfilled = false;  // by the first thread that wins
  bool delivered = false;               // loop thread only, like all below
  Waiter waiter;

  void deliver() {
    delivered = true;
    waiter.resume();
  }
  // Parks until delivered; false at the deadline.
  Task<bool> wait(Duration limit);
};

using CompletionStates = std::vector<std::shared_ptr<CompletionState>>;
// At once, or at the end of the thread's CompletionScope.
void post_delivery(std::shared_ptr<CompletionState> state);
// One post per loop.
void post_deliveries(CompletionStates states);
}  // namespace detail

// A result that any thread gives once and one coroutine awaits on its loop. Copies share it.
//
//   async::Completion<Receipt> done(co_await async::this_executor());
//   committer.submit(changes, done);                 // another thread: done.fulfil(receipt)
//   CO_TRY(auto receipt, co_await done.wait(5s));
template <typename T>
class Completion {
 public:
  explicit Completion(Executor loop) : state_(std::make_shared<State>(std::move(loop))) {}

  // Any thread. The first call wins; false for the others.
  bool fulfil(Result<T> result) const {
    if (!put(std::move(result))) return false;
    detail::post_delivery(state_);
    return true;
  }

  // Awaited once, on the loop. Timeout (ASY-0001) at the deadline: a later result is dropped.
  Task<Result<T>> wait(Duration limit) const { return wait_on(state_, limit); }

 private:
  struct State : detail::CompletionState {
    using CompletionState::CompletionState;
    std::optional<Result<T>> result;
  };

  bool put(Result<T> result) const {
    if (state_->fulfilled.exchange(true)) return false;
    state_->result.emplace(std::move(result));
    return true;
  }
  static Task<Result<T>> wait_on(std::shared_ptr<State> state, Duration limit) {
    if (!co_await state->wait(limit)) co_return detail::deadline_error(limit);
    co_return *std::move(state->result);
  }

  std::shared_ptr<State> state_;
};

// While it lives, what its thread fulfils wakes nobody; at its end all are woken with one post per
// loop: a group commit ends dozens of requests at once, and each post by itself would wake the loop
// or wait for it. May be nested: the outermost counts.
class CompletionScope {
 public:
  CompletionScope();
  ~CompletionScope();
  CompletionScope(const CompletionScope&) = delete;

 private:
  detail::CompletionStates states_;
};

}  // namespace millrace::async
