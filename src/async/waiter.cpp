// SPDX-License-Identifier: Apache-2.0
#include "async/waiter.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace millrace::async {

Task<void> Waiter::park(Cancel mode) {
  ASSERT(!parked());
  auto executor = co_await this_executor();
  auto keep_handler = [this, mode, executor](auto handler) {
    if (mode == Cancel::Wakes) {
      auto slot = boost::asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([this, executor](boost::asio::cancellation_type) { cancel(executor); });
      }
    }
    handler_.emplace(std::move(handler));
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      keep_handler, boost::asio::use_awaitable);
  if (std::exchange(cancelled_, false)) {
    throw boost::system::system_error(boost::asio::error::operation_aborted);
  }
}

void Waiter::resume() {
  if (!handler_) return;
  Handler handler = *std::move(handler_);
  handler_.reset();
  std::move(handler)();
}

// Inside a cancellation the coroutine cannot run at once: it would destroy the cancellation's own
// handler.
void Waiter::cancel(const Executor& executor) {
  if (!handler_) return;
  cancelled_ = true;
  Handler handler = *std::move(handler_);
  handler_.reset();
  boost::asio::post(executor, std::move(handler));
}

}  // namespace millrace::async
