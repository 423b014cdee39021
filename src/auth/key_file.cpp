// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/key_ring.h"

namespace millrace::auth {
namespace {

Error failed(const std::string& path, std::string_view what) {
  return Error(ErrorKind::Unavailable, "AUT-0009",
               fmt::format("key file '{}': cannot {}: {}", path, what, strerror(errno)));
}

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

Result<std::string> read_all(int fd, const std::string& path) {
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "read");
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  explicit_bzero(buffer, sizeof buffer);
  return text;
}

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "write");
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return failed(path, "sync");
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  auto slash = path.find_last_of('/');
  auto folder = slash == std::string::npos ? std::string(".") : path.substr(0, slash + 1);
  File dir{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0 || ::fsync(dir.fd) != 0) return failed(path, "sync the folder");
  return {};
}

}  // namespace

Result<void> write_key_file(const std::string& path, const KeyRing& ring) {
  auto temporary = path + ".new";
  {
    File file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (file.fd < 0) return failed(temporary, "create");
    if (::fchmod(file.fd, 0600) != 0) return failed(temporary, "set the mode");
    TRY(write_all(file.fd, Secret(ring.to_json()).reveal(), temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed(path, "replace");
  return sync_folder_of(path);
}

Result<KeyRing> open_key_file(const std::string& path, const Random& random) {
  File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0 && errno == ENOENT) {
    auto ring = KeyRing::create(random);
    TRY(write_key_file(path, ring));
    return ring;
  }
  if (file.fd < 0) return failed(path, "open");
  struct stat info{};
  if (::fstat(file.fd, &info) != 0) return failed(path, "look at");
  if ((info.st_mode & 077) != 0) {
    return Error(ErrorKind::Forbidden, "AUT-0008",
                 fmt::format("key file '{}': others may read it (mode {:o}): run chmod 600 on it",
                             path, info.st_mode & 0777));
  }
  TRY(auto text, read_all(file.fd, path));
  Secret json(std::move(text));
  auto ring = KeyRing::parse(json.reveal());
  if (!ring.ok()) return std::move(ring).error().with_context(fmt::format("key file '{}'", path));
  return ring;
}

}  // namespace millrace::auth
