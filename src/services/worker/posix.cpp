// SPDX-License-Identifier: Apache-2.0
#include "services/worker/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/text.h"

namespace millrace::worker {
namespace {

bool is_dot(const char* name) {
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

// Iterates a folder by descriptor; the descriptor stays the caller's.
struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
std::unique_ptr<DIR, CloseDir> list(int dir_fd) {
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : fdopendir(fd);
  if (!dir && fd >= 0) close(fd);
  return std::unique_ptr<DIR, CloseDir>(dir);
}

}  // namespace

std::string errno_text(int error) { return fmt::format("{} (errno {})", strerror(error), error); }

Error system_error(std::string_view what) {
  return Error(ErrorKind::Unavailable, "WRK-0002", fmt::format("{}: {}", what, errno_text(errno)));
}

int64_t monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

Result<void> make_folders(const std::string& path, unsigned mode) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    if (mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) {
      return system_error(fmt::format("cannot make folder '{}'", path.substr(0, at)));
    }
  }
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return system_error(fmt::format("cannot make folder '{}'", path));
  }
  return {};
}

// Asked twice for every run: no DIR, and no second descriptor.
bool folder_is_empty(int dir_fd) {
  alignas(dirent64) char buffer[1024];
  if (lseek(dir_fd, 0, SEEK_SET) != 0) return true;
  for (ssize_t n; (n = getdents64(dir_fd, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      auto* entry = reinterpret_cast<dirent64*>(buffer + at);
      if (!is_dot(entry->d_name)) return false;
      at += entry->d_reclen;
    }
  }
  return true;
}

bool empty_folder(int dir_fd) {
  auto dir = list(dir_fd);
  bool emptied = dir != nullptr;
  while (dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    if (is_dot(entry->d_name) || unlinkat(dir_fd, entry->d_name, 0) == 0) continue;
    // A run may have taken its own permissions from a folder that must be read to be emptied.
    Fd sub(openat(dir_fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!sub) {
      emptied = false;
      continue;
    }
    chmod(fmt::format("/proc/self/fd/{}", sub.get()).c_str(), 0700);
    if (!empty_folder(sub.get()) || unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR) != 0) {
      emptied = false;
    }
  }
  return emptied;
}

std::string read_small_file(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (fd) {
    ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace millrace::worker
