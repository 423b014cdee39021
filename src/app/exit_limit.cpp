// SPDX-License-Identifier: Apache-2.0
#include "app/exit_limit.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"

namespace millrace::app {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ExitLimit::ExitLimit(milliseconds limit)
    : end_(steady_clock::now() + limit), thread_([this] {
        std::unique_lock lock(mutex_);
        if (!wake_.wait_until(lock, end_, [this] { return over_; })) leave_at_once();
      }) {}

ExitLimit::~ExitLimit() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

milliseconds ExitLimit::left(milliseconds reserve) const {
  auto left = std::chrono::duration_cast<milliseconds>(end_ - steady_clock::now()) - reserve;
  return std::max(left, milliseconds(0));
}

void leave_at_once() {
  // Beside, and not for long: a log that goes into a full pipe would hold this up too.
  std::thread([] {
    log_error("server.left", {{"why", "something hangs and could not be stopped in time"}});
    std::fflush(nullptr);
    _exit(0);
  }).detach();
  std::this_thread::sleep_for(milliseconds(200));
  _exit(0);
}

}  // namespace millrace::app
