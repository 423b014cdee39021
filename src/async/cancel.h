// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "async/task.h"

namespace boost::asio {
class cancellation_signal;
}

namespace millrace::async {

// One task that somebody else may cancel without cancelling the coroutine that awaits it.
// Loop thread only. For one run at a time.
class Cancellable {
 public:
  Cancellable();
  ~Cancellable();
  Cancellable(const Cancellable&) = delete;

  // Runs the task to its end; throws what it throws. A cancel of the caller reaches the task too.
  Task<void> run(Task<void> task);
  // The task's next wait throws; does nothing when none runs.
  void cancel();

 private:
  std::unique_ptr<boost::asio::cancellation_signal> stop_;
};

// From here on a cancel no longer makes this coroutine throw: for cleaning up that has to wait.
inline auto ignore_cancel() { return boost::asio::this_coro::throw_if_cancelled(false); }
// Again after it; one that came meanwhile ends the coroutine at its next wait.
inline auto obey_cancel() { return boost::asio::this_coro::throw_if_cancelled(true); }

// True for the exception by which a cancelled task ends.
bool is_cancel(const std::exception& e);

}  // namespace millrace::async
