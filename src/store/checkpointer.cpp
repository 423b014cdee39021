// SPDX-License-Identifier: Apache-2.0
#include "store/checkpointer.h"

#include "async/thread.h"

namespace millrace::store {

Checkpointer::Checkpointer(sql::Store& store, int64_t every_bytes,
                           std::function<void(const Error&)> failed)
    : store_(store), every_bytes_(every_bytes), failed_(std::move(failed)) {}

Result<void> Checkpointer::start() {
  TRY(thread_, async::start_thread("checkpoint", [this] { run(); }));
  return {};
}

Checkpointer::~Checkpointer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::log_grew_to(int64_t bytes) {
  if (bytes < asked_at_) {  // all of it was moved, and it began anew
    asked_at_ = 0;
    moved_to_.store(0, std::memory_order_relaxed);
  }
  if (bytes - asked_at_ < every_bytes_) return;
  asked_at_ = bytes;
  move_all();
}

void Checkpointer::move_all() {
  {
    std::lock_guard lock(mutex_);
    asked_ = true;
  }
  wake_.notify_one();
}

void Checkpointer::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return asked_ || stopping_; });
      if (stopping_) return;
      asked_ = false;
    }
    if (auto moved = store_.checkpoint(); moved.ok()) {
      moved_to_.store(*moved, std::memory_order_relaxed);
    } else {
      failed_(moved.error());
    }
  }
}

}  // namespace millrace::store
