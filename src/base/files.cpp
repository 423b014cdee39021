// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "base/time.h"

namespace millrace {
namespace {

constexpr std::string_view kFileError = "BAS-0008";

// From errno.
Error file_error(std::string_view doing, std::string_view path) {
  int error = errno;
  ErrorKind kind = error == ENOENT || error == ENOTDIR ? ErrorKind::NotFound
                   : error == EACCES || error == EPERM ? ErrorKind::Forbidden
                                                       : ErrorKind::Unavailable;
  return Error(kind, kFileError, fmt::format("cannot {} '{}': {}", doing, path, strerror(error)));
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<Fd> open_folder(const std::string& path) {
  Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return file_error("open folder", path);
  return folder;
}

Result<Fd> open_beneath(const Fd& root, const std::string& path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: a rename elsewhere raced with `..` in the path.
  for (int tries = 0; tries < 100; ++tries) {
    Fd file(static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    if (file) return file;
    if (errno != EAGAIN && errno != EINTR) break;
  }
  if (errno == EXDEV) {
    return Error(ErrorKind::Invalid, kFileError,
                 fmt::format("path '{}' leads out of its folder", path));
  }
  return file_error("open", path);
}

Result<std::string> read_file(const Fd& file, size_t max_bytes, std::string_view name) {
  struct stat about{};
  if (fstat(file.get(), &about) != 0) return file_error("read", name);
  if (!S_ISREG(about.st_mode)) {
    return Error(ErrorKind::Invalid, kFileError,
                 fmt::format("cannot read '{}': expected a regular file", name));
  }
  std::string bytes;
  // One byte more than allowed tells that there is more; st_size may be stale or 0 (/proc).
  bytes.resize(std::min(static_cast<size_t>(about.st_size), max_bytes) + 1);
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(std::min(bytes.size() * 2 + 4096, max_bytes + 1));
    ssize_t n = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error("read", name);
    if (n == 0) break;
    filled += static_cast<size_t>(n);
    if (filled > max_bytes) {
      return Error(ErrorKind::TooLarge, kFileError,
                   fmt::format("'{}' is larger than {} bytes", name, max_bytes));
    }
  }
  bytes.resize(filled);
  return bytes;
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return file_error("read", path);
  return read_file(file, max_bytes, path);
}

std::string boot_id() {
  auto id = read_file("/proc/sys/kernel/random/boot_id", 64);
  return id.ok() ? std::string(trim(*id)) : std::string();
}

size_t write_all(int fd, std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<void> replace_file(const std::string& path, std::string_view bytes, unsigned mode) {
  std::string fresh = path + ".new";
  unlink(fresh.c_str());
  Fd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  // fchmod: the umask has no say.
  bool written = file && fchmod(file.get(), mode) == 0 &&
                 write_all(file.get(), bytes) == bytes.size() && fsync(file.get()) == 0 &&
                 rename(fresh.c_str(), path.c_str()) == 0;
  if (!written) {
    Error error = file_error("write", path);
    unlink(fresh.c_str());
    return error;
  }
  return sync_folder(folder_of(path));
}

Result<void> sync_folder(const std::string& path) {
  TRY(Fd folder, open_folder(path));
  if (fsync(folder.get()) != 0) return file_error("sync folder", path);
  return {};
}

Result<FolderLock> lock_folder(const std::string& path) {
  std::string name = path + "/lock";
  Fd file(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return file_error("open", name);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return file_error("lock", name);
    struct stat about{};
    fstat(file.get(), &about);
    auto holder = read_file(file, 64, name);
    std::string_view pid = holder.ok() ? trim(*holder) : std::string_view();
    return Error(
        ErrorKind::Conflict, "BAS-0009",
        fmt::format(
            "data folder '{}' is in use by process {} (started {})", path, pid.empty() ? "?" : pid,
            to_rfc3339(int64_t{about.st_mtim.tv_sec} * 1000 + about.st_mtim.tv_nsec / 1'000'000)));
  }
  std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(file.get(), 0) != 0 || write_all(file.get(), pid) < pid.size()) {
    return file_error("write", name);
  }
  return FolderLock(std::move(file), path);
}

}  // namespace millrace
