// SPDX-License-Identifier: Apache-2.0
#include "app/exit_limit.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "async/thread.h"
#include "base/log.h"

namespace millrace::app {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ExitLimit::ExitLimit(milliseconds limit) : end_(steady_clock::now() + limit) {
  auto thread = async::start_thread("exit", [this] {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_until(lock, end_, [this] { return over_; })) leave_at_once();
  });
  if (thread.ok()) {
    thread_ = std::move(*thread);
  } else {
    log_warn("server.stop_without_limit", thread.error());
  }
}

ExitLimit::~ExitLimit() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

milliseconds ExitLimit::left(milliseconds reserve) const {
  auto left = std::chrono::duration_cast<milliseconds>(end_ - steady_clock::now()) - reserve;
  return std::max(left, milliseconds(0));
}

void leave_at_once() {
  // Beside, and not for long: a log that goes into a full pipe would hold this up too.
  auto beside = async::start_thread("left", [] {
    log_error("server.left", {{"why", "something hangs and could not be stopped in time"}});
    std::fflush(nullptr);
    _exit(0);
  });
  if (!beside.ok()) _exit(0);
  beside->detach();
  std::this_thread::sleep_for(milliseconds(200));
  _exit(0);
}

}  // namespace millrace::app
