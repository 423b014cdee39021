// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "async/task.h"
#include "async/waiter.h"

namespace millrace::async {

namespace detail {
template <typename T>
struct AsResult {
  using type = Result<T>;
};
template <typename T>
struct AsResult<Result<T>> {
  using type = Result<T>;
};

Error thrown_in_a_job(const std::exception& e);

// Work for a pool's thread; lives in the frame of the coroutine that waits for it.
class Job {
 public:
  explicit Job(Executor loop) : loop_(std::move(loop)) {}
  virtual ~Job() = default;
  void run_and_wake();
  Task<void> wait() { return waiter_.park(Waiter::Cancel::IsIgnored); }

 private:
  virtual void run() = 0;
  Executor loop_;
  Waiter waiter_;
};

template <typename Fn, typename R>
class FnJob : public Job {
 public:
  FnJob(Executor loop, Fn& fn) : Job(std::move(loop)), fn_(fn) {}
  std::optional<R> result;

 private:
  void run() override {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Fn&>>) {
        fn_();
        result.emplace();
      } else {
        result.emplace(fn_());
      }
    } catch (const std::exception& e) {
      result.emplace(thrown_in_a_job(e));
    }
  }
  Fn& fn_;
};
}  // namespace detail

// A fixed number of named threads for blocking work: files, SQLite, password hashing.
class Pool {
 public:
  struct Options {
    std::string name;  // of the threads, at most 15 bytes; and in errors
    size_t threads = 1;
    size_t max_queued = 1024;
  };
  explicit Pool(Options options) : options_(std::move(options)) {}
  // Ends when all queued work is done. The loops that wait for it must still run, or be joined.
  ~Pool();
  Pool(const Pool&) = delete;

  // Makes its threads; else the first job does. Errors: Unavailable, ASY-0004.
  Result<void> start();

  // Runs `fn` on a thread of the pool and gives its result. Busy (ASY-0002) when the queue is full;
  // Unavailable (ASY-0004) when there is no thread and none can be made;
  // Internal (ASY-0003) when `fn` throws, with the exception's text. A cancel does not interrupt
  // it: `fn` may use what the caller's frame holds.
  template <typename Fn, typename R = typename detail::AsResult<std::invoke_result_t<Fn&>>::type>
  Task<R> run(Fn fn) {
    detail::FnJob<Fn, R> job(co_await this_executor(), fn);
    CO_TRY(submit(job));
    co_await job.wait();
    co_return *std::move(job.result);
  }

  size_t queued() const;
  const std::string& name() const { return options_.name; }

 private:
  Result<void> make_threads();  // with the lock
  Result<void> submit(detail::Job& job);
  void work();

  Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<detail::Job*> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::async
