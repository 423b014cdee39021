// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "async/task.h"
#include "async/waiter.h"

namespace millrace::async {

// Owns the tasks that were spawned in it: nothing is detached. Loop thread only. Must be joined
// before it is destroyed.
class Scope {
 public:
  explicit Scope(Executor loop);
  ~Scope();
  Scope(const Scope&) = delete;

  // Asks all tasks to end: each gets an exception at its next co_await.
  void cancel();
  // Waits until all tasks have ended, also those that are spawned meanwhile.
  Task<void> join();
  // cancel, then join.
  Task<void> stop();
  size_t live() const { return tasks_.size(); }

 private:
  struct Entry;
  friend void spawn(std::string_view name, Scope& scope, Task<void> task);
  void start(std::string_view name, Task<void> task);
  void ended(std::list<Entry>::iterator entry, std::exception_ptr failure);

  Executor executor_;
  std::list<Entry> tasks_;
  Waiter joiner_;
};

// Starts a task. An exception that is not the cancel's is logged as `task.failed` with the name.
void spawn(std::string_view name, Scope& scope, Task<void> task);
// The same for a task that may end with an error, which is logged.
void spawn(std::string_view name, Scope& scope, Task<Result<void>> task);

}  // namespace millrace::async
