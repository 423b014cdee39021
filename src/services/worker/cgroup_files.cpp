// SPDX-License-Identifier: Apache-2.0
#include "services/worker/cgroup_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>

#include "base/text.h"
#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

bool lists(std::string_view words, std::string_view wanted) {
  auto all = split(words, ',');
  return std::ranges::find(all, wanted) != all.end();
}

// Where the tree is mounted: "/sys/fs/cgroup/pids"; "/sys/fs/cgroup", or ".../unified" on a hybrid
// machine, for v2.
std::string cgroup_mount(std::string_view controller) {
  std::string text = read_small_file("/proc/self/mountinfo");
  for (std::string_view line : split(text, '\n')) {
    // id parent major:minor root mountpoint options... - type source options
    auto fields = split(line, ' ');
    for (size_t i = 6; i + 3 < fields.size(); ++i) {
      if (fields[i] != "-") continue;
      bool is_it = controller.empty()
                       ? fields[i + 1] == "cgroup2"
                       : fields[i + 1] == "cgroup" && lists(fields[i + 3], controller);
      if (is_it) return std::string(fields[4]);
      break;
    }
  }
  return {};
}

// This process's path in the tree: the line "0::/path" or "8:pids:/path".
std::string own_path(std::string_view controller) {
  std::string text = read_small_file("/proc/self/cgroup");
  for (std::string_view line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() < 3) continue;
    bool is_it =
        controller.empty() ? fields[0] == "0" && fields[1].empty() : lists(fields[1], controller);
    if (is_it) return std::string(line.substr(fields[0].size() + fields[1].size() + 2));
  }
  return {};
}

}  // namespace

std::string read_cgroup_file(int folder, const char* name) {
  Fd file(openat(folder, name, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t n; file && (n = read(file.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

bool write_cgroup_file(int folder, const char* name, std::string_view text) {
  Fd file(openat(folder, name, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == std::ssize(text);
}

CgroupLimit::CgroupLimit(int folder, const char* limit, const char* events, std::string_view key)
    : folder_(folder), limit_(limit), key_(key) {
  if (faccessat(folder, limit, W_OK, 0) != 0) return;
  events_ = Fd(openat(folder, events, O_RDONLY | O_CLOEXEC));
}

void CgroupLimit::begin(int64_t most) {
  if (!*this) return;
  if (most != most_) {
    bool done = write_cgroup_file(folder_, limit_, most > 0 ? std::to_string(most) : "max");
    most_ = done ? most : -1;
  }
  before_ = count();
}

int64_t CgroupLimit::count() const {
  char buffer[512];
  ssize_t n = pread(events_.get(), buffer, sizeof buffer, 0);
  std::string_view text(buffer, n > 0 ? static_cast<size_t>(n) : 0);
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key_) || line.substr(key_.size(), 1) != " ") continue;
    int64_t count = 0;
    std::from_chars(line.data() + key_.size() + 1, line.data() + line.size(), count);
    return count;
  }
  return 0;
}

std::string own_cgroup_folder(std::string_view controller) {
  std::string mount = cgroup_mount(controller), path = own_path(controller);
  if (mount.empty() || path.empty()) return {};
  return path == "/" ? mount : mount + path;
}

void remove_cgroup_folders(const std::string& home) {
  std::error_code ec;
  auto end = std::filesystem::directory_iterator();
  for (auto at = std::filesystem::directory_iterator(home, ec); !ec && at != end;
       at.increment(ec)) {
    std::error_code ignored;
    if (at->is_directory(ignored)) rmdir(at->path().c_str());
  }
  rmdir(home.c_str());
}

}  // namespace millrace::worker
