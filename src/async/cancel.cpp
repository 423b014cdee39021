// SPDX-License-Identifier: Apache-2.0
#include "async/cancel.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::async {

using boost::asio::cancellation_type;

Cancellable::Cancellable() : stop_(std::make_unique<boost::asio::cancellation_signal>()) {}
Cancellable::~Cancellable() = default;

Task<void> Cancellable::run(Task<void> task) {
  auto executor = co_await this_executor();
  // The task listens to `stop_` alone, so a cancel of the caller is passed on by hand. The slot is
  // free for that: the awaited operation below is bound to another one.
  auto outer = co_await boost::asio::this_coro::cancellation_state;
  if (outer.slot().is_connected()) {
    outer.slot().assign([this](cancellation_type type) { stop_->emit(type); });
  }
  auto token = boost::asio::bind_cancellation_slot(stop_->slot(), boost::asio::use_awaitable);
  std::exception_ptr failure;
  try {
    co_await boost::asio::co_spawn(executor, std::move(task), token);
  } catch (...) {
    failure = std::current_exception();
  }
  if (outer.slot().is_connected()) outer.slot().clear();
  if (failure) std::rethrow_exception(failure);
}

void Cancellable::cancel() { stop_->emit(cancellation_type::terminal); }

bool is_cancel(const std::exception& e) {
  auto* error = dynamic_cast<const boost::system::system_error*>(&e);
  return error != nullptr && error->code() == boost::asio::error::operation_aborted;
}

}  // namespace millrace::async
