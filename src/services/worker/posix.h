// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace millrace::worker {

// An owned file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// "cannot open '/x': No such file or directory (errno 2)", from errno. Unavailable, WRK-0002.
Error system_error(std::string_view what);
std::string errno_text(int error);

int64_t monotonic_ms();
std::string boot_id();

// Makes `path` and its parents, the last with `mode`.
Result<void> make_folders(const std::string& path, unsigned mode);
// Deletes what is in the folder (not the folder), without following links. False when something
// could not be deleted.
bool empty_folder(int dir_fd);
// True also when it cannot be read.
bool folder_is_empty(int dir_fd);

// Small files of /proc, /sys and the run folder; empty when it cannot be read.
std::string read_small_file(const std::string& path);
// Writes beside, syncs file and folder, renames: there is the old file or the whole new one.
Result<void> write_file_durably(const std::string& path, std::string_view bytes);

}  // namespace millrace::worker
