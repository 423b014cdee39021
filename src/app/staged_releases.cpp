// SPDX-License-Identifier: Apache-2.0
#include "app/staged_releases.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
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

const char* name_of(const std::string& path) { return path.empty() ? "." : path.c_str(); }

int64_t monotonic_ms() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

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
  std::ranges::sort(paths);
  TRY(Fd root, open_folder(folder));
  for (auto& path : paths) {
    struct stat info{};
    if (fstatat(root.get(), name_of(path), &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;  // gone: seen later
    looks.push_back({std::move(path), info.st_dev, info.st_ino, info.st_size, ns_of(info.st_mtim),
                     ns_of(info.st_ctim), S_ISDIR(info.st_mode)});
  }
  return looks;
}

bool StagedReleases::Seen::is_unchanged(const Fd& folder) const {
  struct stat info{};
  return fstatat(folder.get(), name_of(path), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         info.st_dev == device && info.st_ino == inode && info.st_size == size &&
         ns_of(info.st_mtim) == modified_ns && ns_of(info.st_ctim) == changed_ns;
}

bool StagedReleases::is_unchanged(const std::string& folder, const Looks& looks) {
  auto root = open_folder(folder);
  return root.ok() &&
         std::ranges::all_of(looks, [&](const Seen& seen) { return seen.is_unchanged(*root); });
}

std::vector<int> StagedReleases::watch(const std::string& folder, const Looks& looks) {
  if (!notices_) notices_ = Fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!notices_) return {};
  std::vector<int> watches;
  for (const Seen& seen : looks) {
    if (!seen.is_folder) continue;
    int id = inotify_add_watch(notices_.get(), (folder + "/" + seen.path).c_str(),
                               IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |
                                   IN_ONLYDIR | IN_DONT_FOLLOW);
    if (id < 0) {
      unwatch(watches);
      return {};
    }
    watches.push_back(id);
    watched_[id] = folder;
  }
  return watches;
}

void StagedReleases::unwatch(const std::vector<int>& watches) {
  for (int id : watches) {
    inotify_rm_watch(notices_.get(), id);  // may fail: its folder is gone
    watched_.erase(id);
  }
}

void StagedReleases::take_notice() {
  alignas(inotify_event) char buffer[8192];
  ssize_t n;
  while (notices_ && (n = ::read(notices_.get(), buffer, sizeof buffer)) > 0) {
    for (ssize_t at = 0; at < n;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      at += static_cast<ssize_t>(sizeof event) + event.len;
      bool is_lost = (event.mask & IN_Q_OVERFLOW) != 0;
      auto watched = watched_.find(event.wd);
      for (auto& [folder, release] : checked_) {
        if (is_lost || (watched != watched_.end() && watched->second == folder)) {
          release.looked_ms = 0;
        }
      }
    }
  }
}

bool StagedReleases::is_as_seen(const std::string& folder, Release& release,
                                const std::string& file) {
  constexpr int64_t kTrustedMs = 1000;
  int64_t now = monotonic_ms();
  if (!release.watches.empty() && release.looked_ms > 0 && now - release.looked_ms < kTrustedMs) {
    auto root = open_folder(folder);
    auto started = std::ranges::lower_bound(release.looks, file, {}, &Seen::path);
    return root.ok() && release.looks.front().is_unchanged(*root) &&
           started != release.looks.end() && started->path == file && started->is_unchanged(*root);
  }
  ++sweeps_;
  if (!is_unchanged(folder, release.looks)) return false;
  release.looked_ms = now;
  return true;
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
  take_notice();
  auto known = checked_.find(folder);
  if (known != checked_.end()) {
    if (is_as_seen(folder, known->second, file)) return folder + "/" + file;
    unwatch(known->second.watches);
    checked_.erase(known);
  }
  ++reads_;
  auto looks = look_at(folder);
  // may fail: then the read says why
  bool settled = looks.ok() && is_settled(*looks);
  TRY(auto files, read_release(data_, pack, digest));
  if (!looks.ok() || !is_unchanged(folder, *looks)) {
    return changed(folder, pack, digest, "it changes while it is read");
  }
  if (!settled) return folder + "/" + file;
  auto watches = watch(folder, *looks);
  checked_.emplace(folder, Release{std::move(*looks), std::move(watches)});
  return folder + "/" + file;
}

}  // namespace millrace::app
