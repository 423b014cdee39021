// SPDX-License-Identifier: Apache-2.0
#include "async/pool.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "async/thread.h"

namespace millrace::async {

Error detail::thrown_in_a_job(const std::exception& e) {
  return {ErrorKind::Internal, "ASY-0003", fmt::format("an exception ended it: {}", e.what())};
}

void detail::Job::run_and_wake() {
  run();
  // Once woken, the coroutine destroys this job, at once: the executor is copied before.
  Executor loop = loop_;
  boost::asio::post(loop, [this] { waiter_.resume(); });
}

Result<void> Pool::start() {
  std::lock_guard lock(mutex_);
  return make_threads();
}

Result<void> Pool::make_threads() {
  threads_.reserve(options_.threads);  // one that is there is not lost
  while (threads_.size() < options_.threads) {
    TRY(auto thread, start_thread(options_.name, [this] { work(); }));
    threads_.push_back(std::move(thread));
  }
  return {};
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

size_t Pool::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

Result<void> Pool::submit(detail::Job& job) {
  {
    std::lock_guard lock(mutex_);
    if (threads_.empty()) TRY(make_threads());
    if (queue_.size() >= options_.max_queued) {
      return Error(ErrorKind::Busy, "ASY-0002",
                   fmt::format("pool '{}' has {} jobs queued, which is its limit", options_.name,
                               queue_.size()))
          .with_retry_after(1000);
    }
    queue_.push_back(&job);
  }
  changed_.notify_one();
  return {};
}

void Pool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    detail::Job* job = queue_.front();
    queue_.pop_front();
    lock.unlock();
    job->run_and_wake();
    lock.lock();
  }
}

}  // namespace millrace::async
