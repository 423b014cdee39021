// SPDX-License-Identifier: Apache-2.0
#include "async/loop.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace millrace::async {
namespace {
constexpr int kThreads = 1;  // lets Asio skip what only matters between threads of one loop

struct Turn {
  std::string_view what;
  int64_t begun_ns = 0;  // 0: nobody has said what it is at
};
thread_local Turn turn;

int64_t monotonic_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void at_work(std::string_view what) {
  turn.what = what;
  if (turn.begun_ns == 0) turn.begun_ns = monotonic_ns();
}

Loop::Loop() : context_(kThreads) {}
Loop::~Loop() = default;

void Loop::post(std::function<void()> fn) { boost::asio::post(context_, std::move(fn)); }

// An exception that leaves a handler costs that handler.
bool Loop::run_one() {
  bool more = true;
  try {
    more = context_.run_one() > 0;
  } catch (const std::exception& e) {
    log_error("loop.exception", {{"error", e.what()}});
  }
  if (turn.begun_ns != 0) look_how_long();
  return more;
}

void Loop::look_how_long() {
  int64_t took_ms = (monotonic_ns() - std::exchange(turn.begun_ns, 0)) / 1'000'000;
  if (took_ms <= kMostHeldMs) return;
  held_.fetch_add(1, std::memory_order_relaxed);
  log_warn("loop.held", {{"at", turn.what}, {"ms", took_ms}});
}

// The restart comes last, so that a stop() that comes before run() is not lost, and after the work
// guard, whose end stops an idle context.
void Loop::run() {
  {
    auto work = boost::asio::make_work_guard(context_);
    while (run_one()) {
    }
  }
  context_.restart();
}

void Loop::stop() { context_.stop(); }

void Loop::block_on(Task<void> task) {
  std::exception_ptr failure;
  bool done = false;
  boost::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr e) {
    failure = e;
    done = true;
  });
  {
    auto work = boost::asio::make_work_guard(context_);
    while (!done && run_one()) {
    }
  }
  context_.restart();
  ASSERT_MSG(done, "the loop was stopped before the task had ended");
  if (failure) std::rethrow_exception(failure);
}

Signals::Signals(Executor executor, std::initializer_list<int> numbers)
    : set_(std::make_unique<boost::asio::signal_set>(executor)) {
  for (int number : numbers) set_->add(number);
}

Signals::~Signals() = default;

Task<int> Signals::next() { co_return co_await set_->async_wait(boost::asio::use_awaitable); }

}  // namespace millrace::async
