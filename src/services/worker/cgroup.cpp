// SPDX-License-Identifier: Apache-2.0
#include "services/worker/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "base/text.h"
#include "services/worker/child.h"

namespace millrace::worker {
namespace {

bool is_populated(int events_fd) {
  char text[256];
  ssize_t n = pread(events_fd, text, sizeof text, 0);
  // A folder that cannot be read has been removed, so nothing is inside.
  return n > 0 && std::string_view(text, static_cast<size_t>(n)).find("populated 1") !=
                      std::string_view::npos;
}

// Where the cgroup v2 tree is mounted: "/sys/fs/cgroup", or ".../unified" on a hybrid machine.
std::string cgroup2_mount() {
  std::string text = read_small_file("/proc/self/mountinfo");
  for (std::string_view line : split(text, '\n')) {
    // id parent major:minor root mountpoint options... - type source options
    auto fields = split(line, ' ');
    for (size_t i = 6; i + 1 < fields.size(); ++i) {
      if (fields[i] == "-" && fields[i + 1] == "cgroup2") return std::string(fields[4]);
    }
  }
  return {};
}

// This process's path in the v2 tree: the line "0::/path".
std::string own_cgroup() {
  std::string text = read_small_file("/proc/self/cgroup");
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  }
  return {};
}

void remove_folders(const std::string& home) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(home, ignored)) {
    if (entry.is_directory(ignored)) rmdir(entry.path().c_str());
  }
  rmdir(home.c_str());
}

}  // namespace

Result<Cgroup> Cgroup::create(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(fmt::format("cannot make cgroup '{}'", path));
  }
  Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Fd events(open((path + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!folder || !events) return system_error(fmt::format("cannot open cgroup '{}'", path));
  return Cgroup(std::move(folder), std::move(events));
}

bool Cgroup::populated() const { return is_populated(events_.get()); }

void Cgroup::signal(int signal) const {
  Fd procs(openat(folder_.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC));
  if (!procs) return;
  std::string text = read_small_file(fmt::format("/proc/self/fd/{}", procs.get()));
  for (std::string_view line : split(text, '\n')) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) ::kill(pid, signal);
  }
}

void Cgroup::kill() {
  was_killed_ = true;
  Fd file(openat(folder_.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), "1", 1) == 1) return;
  signal(SIGKILL);  // before Linux 5.14
}

Result<std::string> make_cgroup_home(const std::string& name) {
  std::string mount = cgroup2_mount();
  std::string own = own_cgroup();
  if (mount.empty() || own.empty()) {
    return Error(ErrorKind::Unsupported, "WRK-0003", "no cgroup v2 is mounted");
  }
  std::string home = fmt::format("{}{}{}{}", mount, own, own.ends_with('/') ? "" : "/", name);
  TRY(auto cgroup, Cgroup::create(home));
  if (!can_start_in_cgroup(cgroup.fd())) {
    rmdir(home.c_str());
    return Error(ErrorKind::Unsupported, "WRK-0003",
                 fmt::format("processes cannot be started inside cgroup '{}'", home));
  }
  return home;
}

bool kill_cgroup_home(const std::string& home, int64_t patience_ms) {
  Fd folder(open(home.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return true;
  Fd events(openat(folder.get(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  Fd kill_file(openat(folder.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (!events || !kill_file || write(kill_file.get(), "1", 1) != 1) return false;
  int64_t deadline = monotonic_ms() + patience_ms;
  while (is_populated(events.get())) {
    int64_t left = deadline - monotonic_ms();
    if (left <= 0) return false;
    pollfd wait{events.get(), POLLPRI, 0};
    poll(&wait, 1, static_cast<int>(left));
  }
  remove_folders(home);
  return true;
}

}  // namespace millrace::worker
