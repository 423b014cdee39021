// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>

#include "async/task.h"

namespace boost::asio {
template <typename Executor>
class basic_signal_set;
}

namespace millrace::async {

// An event loop for one thread: all its tasks and callbacks run there, so that they share state
// without locks. `post` and `stop` may be called from any thread.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;

  Executor executor() { return context_.get_executor(); }
  void post(std::function<void()> fn);

  // Runs in the calling thread until stop(), or not at all if stop() came first. May be called
  // again.
  void run();
  void stop();

  // Runs the loop in the calling thread until the task has ended. For main and for tests.
  template <typename T>
  T block_on(Task<T> task) {
    std::optional<T> result;
    block_on(store(result, std::move(task)));
    return *std::move(result);
  }
  // Turns that held the loop for longer than kMostHeldMs, of those that said what they were at.
  // From any thread.
  int64_t held() const { return held_.load(std::memory_order_relaxed); }
  static constexpr int64_t kMostHeldMs = 50;

  // Rethrows what the task throws.
  void block_on(Task<void> task);

 private:
  template <typename T>
  static Task<void> store(std::optional<T>& out, Task<T> task) {
    out.emplace(co_await std::move(task));
  }

  bool run_one();
  void look_how_long();

  std::atomic<int64_t> held_{0};

  boost::asio::io_context context_;
};

// From here on, until the loop of this thread waits again, it is at `what`, which lives as long as
// the loop. The first call of a turn starts the clock; a turn that takes too long is logged with
// the last `what` and counted (Loop::held).
void at_work(std::string_view what);

// Waits for Unix signals (SIGTERM, SIGHUP): the process's default action no longer happens.
class Signals {
 public:
  Signals(Executor executor, std::initializer_list<int> numbers);
  ~Signals();
  Task<int> next();

 private:
  std::unique_ptr<boost::asio::basic_signal_set<Executor>> set_;
};

}  // namespace millrace::async
