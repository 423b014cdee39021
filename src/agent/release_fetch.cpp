// SPDX-License-Identifier: Apache-2.0
#include "agent/release_fetch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/files.h"

namespace millrace::agent {
namespace {

Error file_fault(const std::string& path) {
  return Error(ErrorKind::Unavailable, "AGT-0005",
               fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

int64_t size_of(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) ? int64_t{info.st_size} : 0;
}

// It becomes the name of a file.
bool is_digest(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
  });
}

}  // namespace

ReleaseFetch::ReleaseFetch(std::string folder, Outside outside)
    : folder_(std::move(folder)), outside_(std::move(outside)) {}

void ReleaseFetch::want(const std::string& pack, const std::string& digest,
                        std::function<void(Result<void>)> ready) {
  int64_t from = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_digest(digest)) {
      return ready(Error(ErrorKind::Invalid, "AGT-0005", "an order names no digest of a release"));
    }
    auto [at, is_new] = coming_.try_emplace(digest);
    at->second.waiting.push_back(std::move(ready));
    if (!is_new) return;
    at->second.pack = pack;
    at->second.have = from = size_of(path_of(digest));
  }
  if (!outside_.ask({.pack = pack, .digest = digest, .offset = from})) give_up();
}

Result<int64_t> ReleaseFetch::append(const ReleasePiece& piece, int64_t have) const {
  if (!piece.error.empty()) return Error(ErrorKind::Unavailable, "AGT-0005", piece.error);
  auto end = piece.offset + static_cast<int64_t>(piece.bytes.size());
  bool fits = piece.offset == have && end <= piece.size && piece.size <= kLargestArchive &&
              (!piece.bytes.empty() || end == piece.size);
  std::string path = path_of(piece.digest);
  if (!fits) {
    ::unlink(path.c_str());
    return Error(ErrorKind::Invalid, "AGT-0005",
                 fmt::format("a piece of release {} does not follow from those before",
                             piece.digest.substr(0, 12)));
  }
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || write_all(file.get(), piece.bytes) < piece.bytes.size()) return file_fault(path);
  return end;
}

// Whatever becomes of it: what is there is of no use any more.
Result<void> ReleaseFetch::finish(const ReleasePiece& last) const {
  std::string path = path_of(last.digest);
  auto archive = read_file(path, static_cast<size_t>(kLargestArchive));
  ::unlink(path.c_str());
  TRY(std::string bytes, std::move(archive));
  TRY(auto files, read_archive(bytes));
  return outside_.install(last.pack, last.digest, files);
}

void ReleaseFetch::came(const ReleasePiece& piece) {
  int64_t have = 0;
  std::string pack;
  {
    std::lock_guard lock(mutex_);
    auto at = coming_.find(piece.digest);
    if (at == coming_.end()) return;
    have = at->second.have;
    pack = at->second.pack;
  }
  auto end = append(piece, have);
  if (!end.ok()) return this->end(piece.digest, end.error());
  if (*end == piece.size) return this->end(piece.digest, finish(piece));
  {
    std::lock_guard lock(mutex_);
    auto at = coming_.find(piece.digest);
    if (at == coming_.end()) return;
    at->second.have = *end;
  }
  if (!outside_.ask({.pack = pack, .digest = piece.digest, .offset = *end})) give_up();
}

void ReleaseFetch::end(const std::string& digest, const Result<void>& how) {
  std::unique_lock lock(mutex_);
  auto ended = coming_.extract(digest);
  lock.unlock();
  if (!ended) return;
  for (auto& ready : ended.mapped().waiting) ready(how);
}

void ReleaseFetch::give_up() {
  std::unique_lock lock(mutex_);
  auto all = std::exchange(coming_, {});
  lock.unlock();
  for (auto& [digest, coming] : all) {
    for (auto& ready : coming.waiting) {
      ready(Error(ErrorKind::Unavailable, "AGT-0005", "the connection to the server broke"));
    }
  }
}

}  // namespace millrace::agent
