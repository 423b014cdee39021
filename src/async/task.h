// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/result.h"

namespace millrace {

// A coroutine. It starts when it is awaited or spawned, and runs on one loop's thread.
// A cancelled task ends by an exception at its next co_await; nobody but spawn and with_deadline
// catches that one.
template <typename T>
using Task = boost::asio::awaitable<T>;

namespace async {

using Executor = boost::asio::any_io_executor;
using Duration = std::chrono::milliseconds;

// The executor of the calling coroutine: `auto executor = co_await this_executor();`
inline auto this_executor() { return boost::asio::this_coro::executor; }

}  // namespace async
}  // namespace millrace
