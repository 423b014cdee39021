// SPDX-License-Identifier: Apache-2.0
#include "services/worker/task_limit.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "services/worker/cgroup_files.h"

namespace millrace::worker {

Result<TaskLimit> TaskLimit::create(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(fmt::format("cannot make cgroup '{}'", path));
  }
  Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Of one thread that moves itself the kernel takes no lock that others wait for: not so with
  // cgroup.procs.
  Fd entry(open((path + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
  CgroupLimit tasks(folder.get(), "pids.max", "pids.events", "max");
  if (!entry || !tasks) return system_error(fmt::format("cannot open cgroup '{}'", path));
  return TaskLimit(std::move(folder), std::move(tasks), std::move(entry));
}

std::string make_task_home(const std::string& name) {
  std::string own = own_cgroup_folder("pids");
  if (own.empty()) return {};
  std::string home = fmt::format("{}/{}", own, name);
  if (mkdir(home.c_str(), 0755) != 0 && errno != EEXIST) return {};
  std::string probe = home + "/probe";
  bool works = TaskLimit::create(probe).ok();
  rmdir(probe.c_str());
  if (works) return home;
  rmdir(home.c_str());
  return {};
}

void remove_task_home(const std::string& home) {
  if (!home.empty()) remove_cgroup_folders(home);
}

}  // namespace millrace::worker
