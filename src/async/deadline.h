// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "async/task.h"

namespace millrace::async {

class Deadline;
class DeadlineQueue;
using DeadlineMap = std::multimap<std::chrono::steady_clock::time_point, Deadline*>;

// Calls `expired` on the loop's thread when the time has passed, unless cancelled, re-armed or
// destroyed before. All deadlines of a loop share one timer, so that arming and cancelling cost
// a tree insertion (about 100 ns) and no allocation after the first. Loop thread only.
class Deadline {
 public:
  Deadline(const Executor& executor, std::function<void()> expired);
  ~Deadline() { cancel(); }
  Deadline(const Deadline&) = delete;

  void arm(Duration after);  // replaces an earlier arming
  void cancel();
  bool armed() const { return entry_.has_value(); }

 private:
  friend class DeadlineQueue;
  DeadlineQueue& queue_;
  std::function<void()> expired_;
  std::optional<DeadlineMap::iterator> entry_;
  DeadlineMap::node_type spare_;
};

Task<void> sleep_for(Duration duration);

namespace detail {
// Runs the task; after `limit` cancels it and waits for its end. False when the limit was reached.
Task<bool> run_limited(Duration limit, Task<void> task);
Error deadline_error(Duration limit);
}  // namespace detail

// The task's result, or Timeout (ASY-0001) when it took longer than `limit`: it is then cancelled
// and has ended when this returns. A task that succeeds in spite of the cancel gives its result.
template <typename T>
Task<Result<T>> with_deadline(Duration limit, Task<Result<T>> task) {
  std::optional<Result<T>> result;
  auto store = [](std::optional<Result<T>>& out, Task<Result<T>> inner) -> Task<void> {
    out.emplace(co_await std::move(inner));
  };
  bool in_time = co_await detail::run_limited(limit, store(result, std::move(task)));
  if (!in_time && (!result || !result->ok())) co_return detail::deadline_error(limit);
  co_return *std::move(result);
}

}  // namespace millrace::async
