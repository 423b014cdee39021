// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "async/task.h"

namespace millrace::async {

// Hears that the wall clock was set or that the machine has slept, without looking again and again:
// by a timer of the kernel that is for no time, but ends when the clock is set
// (TFD_TIMER_CANCEL_ON_SET). One coroutine waits on its loop.
class ClockWatch {
 public:
  explicit ClockWatch(Executor executor);
  ~ClockWatch();
  // Ends at the next time; the first call arms it. Never, where the kernel has no such timer.
  Task<void> next();

 private:
  struct Timer;
  std::unique_ptr<Timer> timer_;
};

}  // namespace millrace::async
