// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

// Small file work. Everything here blocks. Errors are BAS-0008 and name path and cause: NotFound,
// Forbidden, TooLarge, Invalid (a path that leaves its root), else Unavailable.
namespace millrace {

// An owned file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
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

Result<Fd> open_folder(const std::string& path);
// Opens `path` below the folder `root`. No part of it may lead out: not `..`, not an absolute
// path, not a symbolic link (openat2, RESOLVE_BENEATH). `flags` and `mode` as for open(2).
Result<Fd> open_beneath(const Fd& root, const std::string& path, int flags, unsigned mode = 0600);

// The whole file. A file longer than `max_bytes` is TooLarge; a device or folder is Invalid.
Result<std::string> read_file(const std::string& path, size_t max_bytes);
Result<std::string> read_file(const Fd& file, size_t max_bytes, std::string_view name);

// Names this start of the machine: another one after each. Empty when the system does not tell.
std::string boot_id();

// How many of the bytes were written: fewer than given only on a fault, with errno set.
size_t write_all(int fd, std::string_view bytes);

// Durable and all or nothing: after a crash there is the old file or the whole new one. Writes
// `path`.new, syncs it, renames it, syncs the folder. A new file has exactly `mode`.
Result<void> replace_file(const std::string& path, std::string_view bytes, unsigned mode = 0600);

Result<void> sync_folder(const std::string& path);

// Held by the one server of a data folder; given back when the process ends, however it ends.
// Children do not inherit it.
class FolderLock {
 public:
  const std::string& folder() const { return folder_; }

 private:
  friend Result<FolderLock> lock_folder(const std::string& path);
  FolderLock(Fd file, std::string folder) : file_(std::move(file)), folder_(std::move(folder)) {}
  Fd file_;
  std::string folder_;
};

// Takes `path`/lock. Conflict (BAS-0009) when another process holds it:
// `data folder '/x' is in use by process 1234 (started 2026-01-31T12:00:00.250Z)`.
Result<FolderLock> lock_folder(const std::string& path);

}  // namespace millrace
