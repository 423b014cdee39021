// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mailbox.h"

#include <sys/eventfd.h>

#include <utility>

namespace millrace::worker {

Mailbox::Mailbox() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ASSERT_MSG(wake_, "out of file descriptors");
}

bool Mailbox::put(Note note) {
  bool waits = std::holds_alternative<Acknowledged>(note);
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  notes_.push_back(std::move(note));
  if (!waits) wake_locked();
  return true;
}

void Mailbox::wake() {
  std::lock_guard lock(mutex_);
  wake_locked();
}

void Mailbox::wake_locked() {
  urgent_ = true;
  if (std::exchange(sleeping_, false)) eventfd_write(wake_.get(), 1);
}

std::vector<Note> Mailbox::take() {
  std::lock_guard lock(mutex_);
  urgent_ = false;
  return std::exchange(notes_, {});
}

bool Mailbox::may_sleep() {
  std::lock_guard lock(mutex_);
  sleeping_ = !urgent_;
  return sleeping_;
}

void Mailbox::awake() {
  std::lock_guard lock(mutex_);
  eventfd_t ignored;
  // Somebody has written to it exactly when the flag was taken back.
  if (!std::exchange(sleeping_, false)) eventfd_read(wake_.get(), &ignored);
}

std::vector<Note> Mailbox::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(notes_, {});
}

}  // namespace millrace::worker
