// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace millrace::app {

// The promise that a stop ends in time, kept by a thread of its own: when the time is over and this
// is still there, whatever hangs, the process ends with exit code 0. That loses nothing: what was
// answered is in the store, what runs stays with the spawner. Until then each step of the stop asks
// what is left for it.
class ExitLimit {
 public:
  explicit ExitLimit(std::chrono::milliseconds limit);
  ~ExitLimit();
  ExitLimit(const ExitLimit&) = delete;

  // What a step may take, so that the last `reserve` is there for those after it. Never negative.
  std::chrono::milliseconds left(std::chrono::milliseconds reserve) const;

 private:
  const std::chrono::steady_clock::time_point end_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

// Ends the process at once. No destructors: a thread hangs and cannot be joined.
[[noreturn]] void leave_at_once();

}  // namespace millrace::app
