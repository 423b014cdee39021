// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/key_ring.h"
#include "base/files.h"

namespace millrace::auth {
namespace {

Error failed(const std::string& path, std::string_view what) {
  return Error(ErrorKind::Unavailable, "AUT-0009",
               fmt::format("key file '{}': cannot {}: {}", path, what, strerror(errno)));
}

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

}  // namespace

Result<void> write_key_file(const std::string& path, const KeyRing& ring) {
  auto written = replace_file(path, Secret(ring.to_json()).reveal(), 0600);
  if (written.ok()) return {};
  return Error(ErrorKind::Unavailable, "AUT-0009",
               fmt::format("key file '{}': {}", path, written.error().message()));
}

Result<KeyRing> open_key_file(const std::string& path, const Random& random) {
  Fd file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe would wait for a writer
  if (!file && errno == ENOENT) {
    auto ring = KeyRing::create(random);
    TRY(write_key_file(path, ring));
    return ring;
  }
  if (!file) return failed(path, "open");
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return failed(path, "look at");
  if (!S_ISREG(info.st_mode)) {
    return Error(ErrorKind::Invalid, "AUT-0005",
                 fmt::format("key file '{}': expected a regular file", path));
  }
  if ((info.st_mode & 077) != 0) {
    return Error(ErrorKind::Forbidden, "AUT-0008",
                 fmt::format("key file '{}': others may read it (mode {:o}): run chmod 600 on it",
                             path, info.st_mode & 0777));
  }
  TRY(auto text, read_all(file.get(), path));
  Secret json(std::move(text));
  auto ring = KeyRing::parse(json.reveal());
  if (!ring.ok()) return std::move(ring).error().with_context(fmt::format("key file '{}'", path));
  return ring;
}

}  // namespace millrace::auth
