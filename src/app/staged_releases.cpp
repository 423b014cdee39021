// SPDX-License-Identifier: Apache-2.0
#include "app/staged_releases.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "base/time.h"
#include "packs/folder.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

// The clock that stamps files goes in steps of up to 10 ms: within one step a file may change twice
// and look the same.
constexpr int64_t kStampNs = 100'000'000;

int64_t ns_of(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// Of files; of a folder only when something in it went after that.
struct LastChange {
  std::string path;
  int64_t at_ns = 0;
};

// The digest is of all files together: which one it is can be told by its time only.
LastChange last_change(const std::string& folder) {
  LastChange last;
  std::error_code ec;
  auto end = fs::recursive_directory_iterator();
  for (auto at = fs::recursive_directory_iterator(folder, ec); !ec && at != end; at.increment(ec)) {
    struct stat info{};
    if (lstat(at->path().c_str(), &info) != 0) continue;
    bool is_later = ns_of(info.st_ctim) > last.at_ns ||
                    (ns_of(info.st_ctim) == last.at_ns && !S_ISDIR(info.st_mode));
    if (!is_later) continue;
    last = {fs::path(at->path()).lexically_relative(folder).string(), ns_of(info.st_ctim)};
  }
  return last;
}

Error changed(const std::string& folder, const std::string& pack, const std::string& digest,
              std::string_view how) {
  auto last = last_change(folder);
  return Error(
      ErrorKind::Conflict, "APP-0012",
      fmt::format("release {} of pack '{}' was changed where it is staged: {} ('{}'; changed "
                  "last: '{}' at {}); SIGHUP or a restart stages it anew from its source",
                  digest.substr(0, 12), pack, how, folder, last.path,
                  to_rfc3339(last.at_ns / 1'000'000)));
}

}  // namespace

std::string release_path(std::string_view data, std::string_view pack, std::string_view digest) {
  return fmt::format("{}/packs/{}/{}", data, pack, digest);
}

Result<packs::PackFiles> read_release(const std::string& data, const std::string& pack,
                                      const std::string& digest) {
  std::string folder = release_path(data, pack, digest);
  if (::access(folder.c_str(), F_OK) != 0) {
    return Error(ErrorKind::NotFound, "APP-0011",
                 fmt::format("release {} of pack '{}' is not on this machine: '{}' is missing",
                             digest.substr(0, 12), pack, folder));
  }
  auto files = packs::read_pack_folder(folder);
  if (!files.ok()) return changed(folder, pack, digest, files.error().describe());
  std::string found = packs::digest_of(*files);
  if (found == digest) return files;
  return changed(folder, pack, digest,
                 fmt::format("its files have digest {}", found.substr(0, 12)));
}

Result<StagedReleases::Looks> StagedReleases::look_at(const std::string& folder) {
  Looks looks;
  std::vector<std::string> paths = {""};
  std::error_code ec;
  auto end = fs::recursive_directory_iterator();
  for (auto at = fs::recursive_directory_iterator(folder, ec); !ec && at != end; at.increment(ec)) {
    // What Python keeps there is no part of a release (packs/folder.cpp).
    if (at->path().filename() == "__pycache__") {
      at.disable_recursion_pending();
      continue;
    }
    paths.push_back(at->path().lexically_relative(folder).string());
  }
  TRY(Fd root, open_folder(folder));
  for (auto& path : paths) {
    struct stat info{};
    const char* name = path.empty() ? "." : path.c_str();
    if (fstatat(root.get(), name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone: seen later
    looks.push_back({std::move(path), info.st_dev, info.st_ino, info.st_size, ns_of(info.st_mtim),
                     ns_of(info.st_ctim)});
  }
  return looks;
}

bool StagedReleases::is_unchanged(const std::string& folder, const Looks& looks) {
  auto root = open_folder(folder);
  if (!root.ok()) return false;
  return std::ranges::all_of(looks, [&](const Seen& seen) {
    struct stat info{};
    const char* name = seen.path.empty() ? "." : seen.path.c_str();
    return fstatat(root->get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           info.st_dev == seen.device && info.st_ino == seen.inode && info.st_size == seen.size &&
           ns_of(info.st_mtim) == seen.modified_ns && ns_of(info.st_ctim) == seen.changed_ns;
  });
}

bool StagedReleases::is_settled(const Looks& looks) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::ranges::none_of(
      looks, [&](const Seen& seen) { return std::llabs(ns_of(now) - seen.changed_ns) < kStampNs; });
}

Result<std::string> StagedReleases::file(const std::string& pack, const std::string& digest,
                                         const std::string& file) {
  std::string folder = release_path(data_, pack, digest);
  auto known = checked_.find(folder);
  if (known != checked_.end() && is_unchanged(folder, known->second)) return folder + "/" + file;
  checked_.erase(folder);
  ++reads_;
  auto looks = look_at(folder);
  // may fail: then the read says why
  bool settled = looks.ok() && is_settled(*looks);
  TRY(auto files, read_release(data_, pack, digest));
  if (!looks.ok() || !is_unchanged(folder, *looks)) {
    return changed(folder, pack, digest, "it changes while it is read");
  }
  if (settled) checked_.emplace(folder, std::move(*looks));
  return folder + "/" + file;
}

}  // namespace millrace::app
