// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "async/task.h"

namespace millrace::async {

// The place where one coroutine sleeps until somebody on the same loop resumes it. The building
// block of Completion, Wakeup, sleep_for and Pool; others rarely need it.
class Waiter {
 public:
  enum class Cancel : uint8_t { Wakes, IsIgnored };

  Waiter() = default;
  Waiter(const Waiter&) = delete;
  ~Waiter() { ASSERT_MSG(!parked(), "a coroutine still waits"); }

  // Suspends the caller until resume(); with Cancel::Wakes also until the caller is cancelled: it
  // then throws system_error(operation_aborted), as Asio's own operations do.
  Task<void> park(Cancel mode = Cancel::Wakes);
  // Runs the parked coroutine inside this call until it suspends again: it may destroy this.
  // Does nothing when nobody is parked.
  void resume();
  bool parked() const { return handler_.has_value(); }

 private:
  // Asio 1.81 has no any_completion_handler; this is the one type that its awaitables use.
  using Handler = boost::asio::async_result<boost::asio::use_awaitable_t<>, void()>::handler_type;
  void cancel(const Executor& executor);

  std::optional<Handler> handler_;
  bool cancelled_ = false;
};

}  // namespace millrace::async
