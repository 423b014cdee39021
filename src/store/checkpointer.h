// SPDX-License-Identifier: Apache-2.0
#pragma once

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

  // After each commit, by one thread: the size of the log.
  void log_grew_to(int64_t bytes);
  // Moves the log whatever its size: the main file only gets smaller then.
  void move_all();

 private:
  void run();

  sql::Store& store_;
  const int64_t every_bytes_;
  std::function<void(const Error&)> failed_;
  int64_t asked_at_ = 0;  // size of the log when it was last asked to move it

  std::mutex mutex_;
  std::condition_variable wake_;
  bool asked_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
