// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "services/worker/cgroup_files.h"
#include "services/worker/posix.h"

namespace millrace::worker {

// A folder of cgroup v1's controller `pids`: what is inside cannot fork beyond a number, root
// neither. For hybrid machines, where v2, which holds the trees of runs, has not this counter.
class TaskLimit {
 public:
  static Result<TaskLimit> create(const std::string& path);

  // Who writes "0" there is inside, with all that it starts from then on.
  int entry() const { return entry_.get(); }
  // Of the run that begins; 0: any number.
  void limit(int64_t processes) { tasks_.begin(processes); }
  // How many processes and threads the kernel has refused to it.
  int64_t refused() const { return tasks_.refused(); }

 private:
  TaskLimit(Fd folder, CgroupLimit tasks, Fd entry)
      : folder_(std::move(folder)), tasks_(std::move(tasks)), entry_(std::move(entry)) {}
  Fd folder_;
  CgroupLimit tasks_;
  Fd entry_;
};

// The folder below which this process may make them, made if need be; empty: there is none.
std::string make_task_home(const std::string& name);
// Removes what is empty of it.
void remove_task_home(const std::string& home);

}  // namespace millrace::worker
