// SPDX-License-Identifier: Apache-2.0
#include "services/worker/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/text.h"
#include "services/worker/cgroup_files.h"
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

}  // namespace

Result<Cgroup> Cgroup::create(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(fmt::format("cannot make cgroup '{}'", path));
  }
  Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Fd events(open((path + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!folder || !events) return system_error(fmt::format("cannot open cgroup '{}'", path));
  Cgroup cgroup(std::move(folder), std::move(events));
  int fd = cgroup.fd();
  cgroup.tasks_ = CgroupLimit(fd, "pids.max", "pids.events", "max");
  // Of a run that takes too much all is killed: what would be left could do nothing sensible.
  if (write_cgroup_file(fd, "memory.oom.group", "1")) {
    cgroup.memory_ = CgroupLimit(fd, "memory.max", "memory.events", "oom_kill");
  }
  return cgroup;
}

bool Cgroup::populated() const { return is_populated(events_.get()); }

std::vector<pid_t> Cgroup::processes() const {
  std::vector<pid_t> pids;
  std::string text = read_cgroup_file(folder_.get(), "cgroup.procs");
  for (std::string_view line : split(text, '\n')) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) pids.push_back(pid);
  }
  return pids;
}

void Cgroup::limit(const RunLimits& limits) {
  tasks_.begin(limits.processes);
  memory_.begin(limits.memory_bytes);
}

void Cgroup::signal(int signal) const {
  for (pid_t pid : processes()) ::kill(pid, signal);
}

void Cgroup::kill() {
  was_killed_ = true;
  Fd file(openat(folder_.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), "1", 1) == 1) return;
  signal(SIGKILL);  // before Linux 5.14
}

Result<std::string> make_cgroup_home(const std::string& name) {
  std::string own = own_cgroup_folder("");
  if (own.empty()) return Error(ErrorKind::Unsupported, "WRK-0003", "no cgroup v2 is mounted");
  std::string home = fmt::format("{}/{}", own, name);
  TRY(auto cgroup, Cgroup::create(home));
  if (!can_start_in_cgroup(cgroup.fd())) {
    rmdir(home.c_str());
    return Error(ErrorKind::Unsupported, "WRK-0003",
                 fmt::format("processes cannot be started inside cgroup '{}'", home));
  }
  // May fail: they are to be had only where the folder above hands them on.
  for (const char* controller : {"+pids", "+memory"}) {
    Fd file(open((home + "/cgroup.subtree_control").c_str(), O_WRONLY | O_CLOEXEC));
    if (file && write(file.get(), controller, std::strlen(controller)) < 0) continue;
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
  remove_cgroup_folders(home);
  return true;
}

}  // namespace millrace::worker
