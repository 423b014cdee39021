// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "services/worker/cgroup_files.h"
#include "services/worker/posix.h"
#include "services/worker/run_limits.h"

namespace millrace::worker {

// One cgroup v2 folder: holds every process of a run, whatever session or parent it took.
// Reused by later runs, because making and removing one costs as much as a process.
class Cgroup {
 public:
  // Makes the folder, or takes it as it is.
  static Result<Cgroup> create(const std::string& path);

  int fd() const { return folder_.get(); }
  // True while a living process is inside.
  bool populated() const;
  // The processes that are inside now.
  std::vector<pid_t> processes() const;
  // Where the kernel counts for this cgroup (pids.max, memory.max): of the run that begins.
  void limit(const RunLimits& limits);
  // Since then: how many processes the kernel has killed because of memory_bytes, and how many it
  // has refused because of `processes`.
  int64_t out_of_memory() const { return memory_.refused(); }
  int64_t refused() const { return tasks_.refused(); }
  bool counts_tasks() const { return static_cast<bool>(tasks_); }
  // Sends `signal` to the processes that are inside now.
  void signal(int signal) const;
  // SIGKILL for all, also for those that are just being forked.
  void kill();
  // After a kill no process may be started in it: since Linux 6.14 clone3 with CLONE_INTO_CGROUP
  // compares how often the caller's cgroup and this one were killed, and a child that enters one
  // with another count dies at once. Remove it and make a new one.
  bool was_killed() const { return was_killed_; }

 private:
  Cgroup(Fd folder, Fd events) : folder_(std::move(folder)), events_(std::move(events)) {}
  Fd folder_;
  Fd events_;  // cgroup.events
  bool was_killed_ = false;
  CgroupLimit tasks_;
  CgroupLimit memory_;
};

// The folder below which this process may make cgroups named `name`, made if need be: a child of
// its own cgroup, with the kernel's counters for processes and memory where they can be had. An
// error says why there is none, and runs are then tracked by walking /proc.
Result<std::string> make_cgroup_home(const std::string& name);

// Kills all that is in `home` and below and removes the folders. False when something is alive
// after `patience_ms`.
bool kill_cgroup_home(const std::string& home, int64_t patience_ms);

}  // namespace millrace::worker
