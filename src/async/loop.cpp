// SPDX-License-Identifier: Apache-2.0
#include "async/loop.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::async {
namespace {
constexpr int kThreads = 1;  // lets Asio skip what only matters between threads of one loop
}

Loop::Loop() : context_(kThreads) {}
Loop::~Loop() = default;

void Loop::post(std::function<void()> fn) { boost::asio::post(context_, std::move(fn)); }

// The restart comes last, so that a stop() that comes before run() is not lost, and after the work
// guard, whose end stops an idle context.
void Loop::run() {
  {
    auto work = boost::asio::make_work_guard(context_);
    context_.run();
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
    while (!done && context_.run_one() > 0) {
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
