// SPDX-License-Identifier: Apache-2.0
#include "async/deadline.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "async/cancel.h"
#include "async/waiter.h"

namespace millrace::async {

// The deadlines of one loop, by time. It is a service of the loop's io_context, so that it lives
// exactly as long and needs no wiring.
class DeadlineQueue : public boost::asio::execution_context::service {
 public:
  using key_type = DeadlineQueue;
  using Clock = std::chrono::steady_clock;
  static inline boost::asio::execution_context::id id;

  explicit DeadlineQueue(boost::asio::execution_context& context)
      : service(context), timer_(static_cast<boost::asio::io_context&>(context)) {}

  static DeadlineQueue& of(const Executor& executor) {
    return boost::asio::use_service<DeadlineQueue>(
        boost::asio::query(executor, boost::asio::execution::context));
  }

  void add(Deadline& deadline, Clock::time_point when) {
    if (deadline.spare_.empty()) {
      deadline.entry_ = deadlines_.emplace(when, &deadline);
    } else {
      deadline.spare_.key() = when;
      deadline.entry_ = deadlines_.insert(std::move(deadline.spare_));
    }
    wake_at(when);
  }
  // The timer stays as it is: if it wakes too early, it finds nothing due and sleeps again.
  void remove(Deadline& deadline) {
    deadline.spare_ = deadlines_.extract(*deadline.entry_);
    deadline.entry_.reset();
  }

 private:
  void shutdown() noexcept override { timer_.cancel(); }

  void wake_at(Clock::time_point when) {
    if (when >= wakes_at_) return;
    wakes_at_ = when;
    timer_.expires_at(when);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) expire_due();
    });
  }

  void expire_due() {
    wakes_at_ = Clock::time_point::max();
    auto now = Clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      Deadline& deadline = *deadlines_.begin()->second;
      remove(deadline);
      auto expired = deadline.expired_;  // the call may destroy the deadline
      expired();
    }
    if (!deadlines_.empty()) wake_at(deadlines_.begin()->first);
  }

  boost::asio::steady_timer timer_;
  DeadlineMap deadlines_;
  Clock::time_point wakes_at_ = Clock::time_point::max();
};

Deadline::Deadline(const Executor& executor, std::function<void()> expired)
    : queue_(DeadlineQueue::of(executor)), expired_(std::move(expired)) {}

void Deadline::arm(Duration after) {
  cancel();
  queue_.add(*this, DeadlineQueue::Clock::now() + after);
}

void Deadline::cancel() {
  if (entry_) queue_.remove(*this);
}

Task<void> sleep_for(Duration duration) {
  Waiter waiter;
  Deadline deadline(co_await this_executor(), [&waiter] { waiter.resume(); });
  deadline.arm(duration);
  co_await waiter.park();
}

Task<bool> detail::run_limited(Duration limit, Task<void> task) {
  Cancellable child;
  bool expired = false;
  Deadline deadline(co_await this_executor(), [&] {
    expired = true;
    child.cancel();
  });
  deadline.arm(limit);
  auto caller = co_await boost::asio::this_coro::cancellation_state;
  try {
    co_await child.run(std::move(task));
  } catch (const std::exception& e) {
    bool cancelled = caller.cancelled() != boost::asio::cancellation_type::none;
    if (!expired || cancelled || !is_cancel(e)) throw;
  }
  co_return !expired;
}

Error detail::deadline_error(Duration limit) {
  return Error(ErrorKind::Timeout, "ASY-0001",
               fmt::format("expected an end within {} ms, still running", limit.count()));
}

}  // namespace millrace::async
