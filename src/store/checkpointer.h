// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "store/sql.h"

namespace millrace::store {

// Moves the log of recent commits into the main file on a thread of its own, when told how far
// the log has grown. Sleeps otherwise.
class Checkpointer {
 public:
  // `failed` is called on the thread, with each error. The next growth asks again.
  Checkpointer(sql::Store& store, int64_t every_bytes, std::function<void(const Error&)> failed);
  // Errors: Unavailable, ASY-0004: there is no thread for it.
  Result<void> start();
  ~Checkpointer();

  // After each commit, by one thread at a time: the size of the log.
  void log_grew_to(int64_t bytes);
  // Moves the log whatever its size: the main file only gets smaller then.
  void move_all();
  // How far the log was moved when it was last looked at. From any thread.
  int64_t moved_to() const { return moved_to_.load(std::memory_order_relaxed); }

 private:
  void run();

  sql::Store& store_;
  const int64_t every_bytes_;
  std::function<void(const Error&)> failed_;
  int64_t asked_at_ = 0;  // size of the log when it was last asked to move it
  std::atomic<int64_t> moved_to_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool asked_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
