// SPDX-License-Identifier: Apache-2.0
#include "app/folder_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "async/thread.h"
#include "base/log.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostWatched = 20'000;
constexpr uint32_t kWatchedEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE |
                                    IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |
                                    IN_ONLYDIR;

int64_t watch_now_ms() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

void add_below(const fs::path& folder, std::vector<std::string>& out) {
  out.push_back(folder.string());
  std::error_code ec;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    bool is_folder = at->is_directory(ec) && !at->is_symlink(ec);
    if (!is_folder || is_passing_name(at->path().filename().string())) continue;
    if (out.size() >= kMostWatched) return;
    add_below(at->path(), out);
  }
}

// A pack is watched whole; of a folder of packs also the folders that may become one.
std::vector<std::string> folders_of(const std::vector<std::string>& sources) {
  std::vector<std::string> out;
  std::error_code ec;
  for (const auto& source : sources) {
    if (fs::exists(source + "/pack.yaml", ec)) {
      add_below(source, out);
      continue;
    }
    out.push_back(source);
    for (fs::directory_iterator at(source, ec), end; !ec && at != end; at.increment(ec)) {
      if (!at->is_directory(ec) || is_passing_name(at->path().filename().string())) continue;
      if (fs::exists(at->path() / "pack.yaml", ec)) {
        add_below(at->path(), out);
      } else {
        out.push_back(at->path().string());
      }
    }
  }
  return out;
}

}  // namespace

bool is_passing_name(std::string_view name) {
  // 4913: vim looks whether it may write a file of this name.
  constexpr std::string_view kNames[] = {"__pycache__", ".git", ".svn", ".hg", "4913"};
  constexpr std::string_view kEnds[] = {"~", ".swp", ".swx", ".swo", ".tmp", ".bak", ".part"};
  auto ends_so = [&](std::string_view end) { return name.ends_with(end); };
  bool is_lock = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#'));
  return is_lock || name.starts_with(".~") || std::ranges::find(kNames, name) != std::end(kNames) ||
         std::ranges::any_of(kEnds, ends_so);
}

FolderWatch::~FolderWatch() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  (void)::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

Result<void> FolderWatch::watch(std::vector<std::string> folders) {
  std::lock_guard lock(mutex_);
  folders_ = std::move(folders);
  if (folders_.empty() && !notices_) return {};
  TRY(begin());
  return look_again();
}

size_t FolderWatch::watched() const {
  std::lock_guard lock(mutex_);
  return watches_.size();
}

Result<void> FolderWatch::begin() {
  if (thread_.joinable()) return {};
  notices_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!notices_ || !stop_) {
    return Error(ErrorKind::Unavailable, "APP-0014",
                 fmt::format("folders of packs are not watched: {}", std::strerror(errno)));
  }
  TRY(thread_, async::start_thread("watch", [this] { run(); }));
  return {};
}

// Watching a folder twice is watching it once.
Result<void> FolderWatch::look_again() {
  std::vector<int> before = std::move(watches_);
  watches_.clear();
  Result<void> done;
  for (const auto& folder : folders_of(folders_)) {
    int id = ::inotify_add_watch(notices_.get(), folder.c_str(), kWatchedEvents);
    if (id >= 0) watches_.push_back(id);
    if (id >= 0 || errno == ENOENT || errno == ENOTDIR) continue;
    done = Error(ErrorKind::Unavailable, "APP-0014",
                 fmt::format("'{}' and what comes behind it is not watched: {}", folder,
                             std::strerror(errno)));
    break;
  }
  std::ranges::sort(watches_);
  auto doubled = std::ranges::unique(watches_);
  watches_.erase(doubled.begin(), doubled.end());
  for (int id : before) {
    if (!std::ranges::binary_search(watches_, id)) (void)::inotify_rm_watch(notices_.get(), id);
  }
  return done;
}

// True: something that counts has changed.
bool FolderWatch::take_notices() {
  bool counts = false;
  alignas(inotify_event) char buffer[16'384];
  for (ssize_t n; (n = ::read(notices_.get(), buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      std::string_view name;
      if (event.len > 0) name = buffer + at + sizeof event;  // ends with a zero
      at += static_cast<ssize_t>(sizeof event) + event.len;
      bool is_end_of_watch = (event.mask & IN_IGNORED) != 0;
      counts = counts || (!is_end_of_watch && !is_passing_name(name));
    }
  }
  return counts;
}

void FolderWatch::run() {
  int64_t first = 0, last = 0;  // of changes that were not told yet; 0: there are none
  for (;;) {
    int wait = -1;
    if (first > 0) {
      int64_t at = std::min(last + pace_.quiet_ms, first + pace_.longest_ms);
      wait = static_cast<int>(std::max<int64_t>(0, at - watch_now_ms()));
    }
    pollfd ends[] = {{notices_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    int ready = ::poll(ends, 2, wait);
    if (ends[1].revents != 0) return;
    if (ready > 0 && take_notices()) {
      last = watch_now_ms();
      if (first == 0) first = last;
    }
    bool is_quiet = first > 0 && (watch_now_ms() >= last + pace_.quiet_ms ||
                                  watch_now_ms() >= first + pace_.longest_ms);
    if (!is_quiet) continue;
    first = last = 0;
    {
      std::lock_guard lock(mutex_);  // what is new is watched before it is read
      auto looked = look_again();
      if (!looked.ok()) log_warn("packs.not_watched", {{"error", looked.error().message()}});
    }
    changed_();
  }
}

}  // namespace millrace::app
