// SPDX-License-Identifier: Apache-2.0
#include "disk_log.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <mutex>

#include "base/result.h"

namespace millrace::power {
namespace {

using Kind = DiskRecord::Kind;

// What is asked is done under the lock: the log has the order in which it was done.
class Recorder {
 public:
  void start(const std::string& folder) {
    std::lock_guard lock(mutex_);
    struct stat about{};
    ASSERT(::stat(folder.c_str(), &about) == 0);
    path_ = folder + "/";
    device_ = about.st_dev;
    names_.clear();
    nodes_ = {{about.st_ino, 1}};
    log_ = {.root = newest_ = 1, .records = {}};
    on_ = true;
  }
  DiskLog stop() {
    std::lock_guard lock(mutex_);
    on_ = false;
    return std::move(log_);
  }
  bool is_on() const { return on_; }
  std::mutex& mutex() { return mutex_; }

  void add(DiskRecord record) {
    if (on_) log_.records.push_back(std::move(record));
  }
  // The node of an open file or folder; 0: it is not recorded.
  uint64_t node_of(int fd) {
    struct stat about{};
    if (::fstat(fd, &about) != 0 || about.st_dev != device_) return 0;
    if (about.st_nlink == 0) return 0;  // nobody finds it again
    auto known = nodes_.find(about.st_ino);
    return known != nodes_.end() ? known->second : found(fd, about);
  }
  void written(int fd, int64_t offset, std::string bytes) {
    uint64_t node = node_of(fd);
    if (node == 0) return;
    add({.kind = Kind::Write, .node = node, .offset = offset, .bytes = std::move(bytes)});
  }
  void truncated(int fd, int64_t size) {
    if (uint64_t node = node_of(fd)) add({.kind = Kind::Truncate, .node = node, .offset = size});
  }
  void synced(int fd) {
    if (uint64_t node = node_of(fd)) add({.kind = Kind::Sync, .node = node});
  }
  void opened(int fd, uint64_t flags) {
    if ((flags & (O_CREAT | O_TRUNC)) == 0) return;
    uint64_t node = node_of(fd);
    if (node != 0 && (flags & O_TRUNC) != 0) truncated(fd, 0);
  }
  // 0: not one of ours.
  uint64_t folder_of(int at, const std::string& path) const {
    size_t slash = path.rfind('/');
    std::string folder = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    struct stat about{};
    if (::fstatat(at, folder.c_str(), &about, 0) != 0 || about.st_dev != device_) return 0;
    auto known = nodes_.find(about.st_ino);
    return known == nodes_.end() ? 0 : known->second;
  }
  static std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  // `swaps`: what had the name before gets another one.
  void bind(uint64_t folder, const std::string& name, const struct stat& about, uint64_t group,
            bool swaps = false) {
    uint64_t& node = nodes_[about.st_ino];
    if (node == 0) node = ++newest_;
    uint64_t& now = names_[{folder, name}];
    if (now == node) return;
    if (!swaps) forget(now);
    now = node;
    add({.kind = Kind::Bind,
         .node = node,
         .folder = folder,
         .name = name,
         .is_folder = S_ISDIR(about.st_mode),
         .group = group});
  }
  // `is_gone`: what had the name has no other one.
  void unbind(uint64_t folder, const std::string& name, uint64_t group, bool is_gone) {
    auto found = names_.find({folder, name});
    if (found == names_.end()) return;
    if (is_gone) forget(found->second);
    names_.erase(found);
    add({.kind = Kind::Unbind, .folder = folder, .name = name, .group = group});
  }
  uint64_t new_group() { return ++groups_; }

 private:
  // Opened by a way that is not seen, or just made.
  uint64_t found(int fd, const struct stat& about) {
    char path[4096];
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    ssize_t length = ::readlink(self.c_str(), path, sizeof path);
    if (length <= 0) return 0;
    std::string where(path, static_cast<size_t>(length));
    if (!where.starts_with(path_) || where.ends_with("-shm")) return 0;
    uint64_t folder = folder_of(AT_FDCWD, where);
    if (folder == 0) return 0;
    bind(folder, name_of(where), about, new_group());
    return nodes_[about.st_ino];
  }
  // The file system may give the inode to another file.
  void forget(uint64_t node) {
    std::erase_if(nodes_, [&](const auto& known) { return known.second == node; });
  }

  std::mutex mutex_;
  std::atomic<bool> on_{false};
  std::string path_;
  dev_t device_ = 0;
  DiskLog log_;
  std::map<std::pair<uint64_t, std::string>, uint64_t> names_;
  std::map<ino_t, uint64_t> nodes_;  // our numbers: no two files have the same
  uint64_t newest_ = 0;
  uint64_t groups_ = 0;
};

Recorder& recorder() {
  static Recorder one;
  return one;
}

// The function of the C library that one of ours stands in for.
template <typename Fn>
Fn* real(Fn*, const char* name) {
  return reinterpret_cast<Fn*>(::dlsym(RTLD_NEXT, name));
}

// Does it, and notes it when it was done.
template <typename Do, typename Note>
auto recorded(Do doing, Note note) {
  auto& log = recorder();
  if (!log.is_on()) return doing();
  std::lock_guard lock(log.mutex());
  auto done = doing();
  int error = errno;
  if (done >= 0) note(log, done);
  errno = error;
  return done;
}

template <typename Do>
int recorded_open(Do doing, uint64_t flags) {
  return recorded(doing, [&](Recorder& log, int fd) { log.opened(fd, flags); });
}

template <typename Do>
int recorded_removal(int at, const char* path, Do doing) {
  uint64_t folder = 0;
  auto look_and_do = [&] {
    if (recorder().is_on()) folder = recorder().folder_of(at, path);
    return doing();
  };
  return recorded(look_and_do, [&](Recorder& log, int) {
    if (folder != 0) log.unbind(folder, Recorder::name_of(path), log.new_group(), true);
  });
}

template <typename Do>
int recorded_folder(int at, const char* path, Do doing) {
  return recorded(doing, [&](Recorder& log, int) {
    uint64_t folder = log.folder_of(at, path);
    struct stat about{};
    if (folder == 0 || ::fstatat(at, path, &about, 0) != 0) return;
    log.bind(folder, Recorder::name_of(path), about, log.new_group());
  });
}

template <typename Do>
int recorded_rename(int from_at, const char* from, int to_at, const char* to, bool swaps,
                    Do doing) {
  return recorded(doing, [&](Recorder& log, int) {
    uint64_t group = log.new_group();
    auto bind = [&](int at, const char* path) {
      uint64_t folder = log.folder_of(at, path);
      struct stat about{};
      if (folder == 0 || ::fstatat(at, path, &about, AT_SYMLINK_NOFOLLOW) != 0) return;
      log.bind(folder, Recorder::name_of(path), about, group, swaps);
    };
    bind(to_at, to);
    if (swaps) return bind(from_at, from);
    if (uint64_t source = log.folder_of(from_at, from)) {
      log.unbind(source, Recorder::name_of(from), group, false);
    }
  });
}

int64_t position_after(int fd, ssize_t written) { return ::lseek(fd, 0, SEEK_CUR) - written; }

std::string bytes_of(const void* data, ssize_t size) {
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

mode_t mode_of(uint64_t flags, va_list& more) {
  return (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
}

}  // namespace

void start_recording(const std::string& empty_folder) { recorder().start(empty_folder); }
void mark(int64_t number) {
  std::lock_guard lock(recorder().mutex());
  recorder().add({.kind = Kind::Mark, .offset = number});
}
DiskLog stop_recording() { return recorder().stop(); }

}  // namespace millrace::power

// Names in the program come before those of libraries: what SQLite calls is these, too.
extern "C" {

using millrace::power::recorded;
using millrace::power::Recorder;

// NOLINTBEGIN(cert-dcl50-cpp): as the C library declares them
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = millrace::power::mode_of(static_cast<uint64_t>(flags), more);
  va_end(more);
  static auto* call = millrace::power::real(&open, "open");
  return millrace::power::recorded_open([&] { return call(path, flags, mode); },
                                        static_cast<uint64_t>(flags));
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = millrace::power::mode_of(static_cast<uint64_t>(flags), more);
  va_end(more);
  return open(path, flags, mode);
}
int openat(int at, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = millrace::power::mode_of(static_cast<uint64_t>(flags), more);
  va_end(more);
  static auto* call = millrace::power::real(&openat, "openat");
  return millrace::power::recorded_open([&] { return call(at, path, flags, mode); },
                                        static_cast<uint64_t>(flags));
}
long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  long a[6];
  for (auto& each : a) each = va_arg(more, long);
  va_end(more);
  static auto* call = millrace::power::real(&syscall, "syscall");
  auto doing = [&] { return call(number, a[0], a[1], a[2], a[3], a[4], a[5]); };
  if (number != SYS_openat2) return doing();
  auto flags = reinterpret_cast<const open_how*>(a[2])->flags;
  return millrace::power::recorded_open([&] { return static_cast<int>(doing()); }, flags);
}

ssize_t write(int fd, const void* data, size_t size) {
  static auto* call = millrace::power::real(&write, "write");
  return recorded([&] { return call(fd, data, size); },
                  [&](Recorder& log, ssize_t n) {
                    log.written(fd, millrace::power::position_after(fd, n),
                                millrace::power::bytes_of(data, n));
                  });
}
ssize_t writev(int fd, const iovec* parts, int count) {
  static auto* call = millrace::power::real(&writev, "writev");
  return recorded([&] { return call(fd, parts, count); },
                  [&](Recorder& log, ssize_t n) {
                    std::string bytes;
                    for (int i = 0; i < count; ++i) {
                      bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
                    }
                    bytes.resize(static_cast<size_t>(n));
                    log.written(fd, millrace::power::position_after(fd, n), std::move(bytes));
                  });
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  static auto* call = millrace::power::real(&pwrite64, "pwrite64");
  return recorded([&] { return call(fd, data, size, offset); },
                  [&](Recorder& log, ssize_t n) {
                    log.written(fd, offset, millrace::power::bytes_of(data, n));
                  });
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static auto* call = millrace::power::real(&ftruncate64, "ftruncate64");
  return recorded([&] { return call(fd, size); },
                  [&](Recorder& log, int) { log.truncated(fd, size); });
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }

// Nothing is lost here but when an image is made: the disk need not be waited for.
int fsync(int fd) {
  static auto* call = millrace::power::real(&fsync, "fsync");
  if (!millrace::power::recorder().is_on()) return call(fd);
  return recorded([] { return 0; }, [&](Recorder& log, int) { log.synced(fd); });
}
int fdatasync(int fd) { return fsync(fd); }
int syncfs(int fd) noexcept {
  static auto* call = millrace::power::real(&syncfs, "syncfs");
  if (!millrace::power::recorder().is_on()) return call(fd);
  return recorded([] { return 0; },
                  [&](Recorder& log, int) {
                    if (log.node_of(fd) == 0) return;
                    log.add({.kind = millrace::power::DiskRecord::Kind::SyncAll});
                  });
}

int rename(const char* from, const char* to) noexcept {
  static auto* call = millrace::power::real(&rename, "rename");
  return millrace::power::recorded_rename(AT_FDCWD, from, AT_FDCWD, to, false,
                                          [&] { return call(from, to); });
}
int renameat(int from_at, const char* from, int to_at, const char* to) noexcept {
  static auto* call = millrace::power::real(&renameat, "renameat");
  return millrace::power::recorded_rename(from_at, from, to_at, to, false,
                                          [&] { return call(from_at, from, to_at, to); });
}
int renameat2(int from_at, const char* from, int to_at, const char* to,
              unsigned int flags) noexcept {
  static auto* call = millrace::power::real(&renameat2, "renameat2");
  return millrace::power::recorded_rename(from_at, from, to_at, to, (flags & RENAME_EXCHANGE) != 0,
                                          [&] { return call(from_at, from, to_at, to, flags); });
}
int unlink(const char* path) noexcept {
  static auto* call = millrace::power::real(&unlink, "unlink");
  return millrace::power::recorded_removal(AT_FDCWD, path, [&] { return call(path); });
}
int remove(const char* path) noexcept {
  static auto* call = millrace::power::real(&remove, "remove");
  return millrace::power::recorded_removal(AT_FDCWD, path, [&] { return call(path); });
}
int rmdir(const char* path) noexcept {
  static auto* call = millrace::power::real(&rmdir, "rmdir");
  return millrace::power::recorded_removal(AT_FDCWD, path, [&] { return call(path); });
}
int unlinkat(int at, const char* path, int flags) noexcept {
  static auto* call = millrace::power::real(&unlinkat, "unlinkat");
  return millrace::power::recorded_removal(at, path, [&] { return call(at, path, flags); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  static auto* call = millrace::power::real(&mkdir, "mkdir");
  return millrace::power::recorded_folder(AT_FDCWD, path, [&] { return call(path, mode); });
}
int mkdirat(int at, const char* path, mode_t mode) noexcept {
  static auto* call = millrace::power::real(&mkdirat, "mkdirat");
  return millrace::power::recorded_folder(at, path, [&] { return call(at, path, mode); });
}
// NOLINTEND(cert-dcl50-cpp)

}  // extern "C"
