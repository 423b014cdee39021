// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/blobs.h"
#include "services/worker/cgroup.h"
#include "services/worker/posix.h"
#include "services/worker/task_limit.h"

namespace millrace::worker {

// The places that one run has for itself. Kept and reused, because making folders and cgroups
// costs more than a short process.
struct Slot {
  int index = 0;
  std::string temp;       // TMPDIR and default working folder
  std::string artifacts;  // MILLRACE_ARTIFACTS_DIR
  Fd temp_fd;
  Fd artifacts_fd;
  std::optional<Cgroup> cgroup;    // none: the run's tree is found by walking /proc
  std::optional<TaskLimit> tasks;  // where the cgroup does not count them and v1 can
};

// Hands out slots: {run}/slots/N/{tmp,artifacts} and, where `cgroup_home` is not empty, the
// cgroup {cgroup_home}/slot-N; where `task_home` is not empty, {task_home}/slot-N.
class SlotPool {
 public:
  SlotPool(std::string run_folder, kernel::Blobs& blobs, std::string cgroup_home,
           std::string task_home);

  Result<std::unique_ptr<Slot>> acquire();
  // Empties its folders; what lies in that of artifacts becomes blobs of the run. False: not so.
  bool tidy(Slot& slot, TenantId tenant, const kernel::RunKey& key) const;
  // Cleans the slot for the next run; what lies in its artifacts folder becomes blobs of the run.
  // A slot whose processes could not be killed is `tainted`: neither it nor its number is used
  // again.
  void release(std::unique_ptr<Slot> slot, TenantId tenant, const kernel::RunKey& key,
               bool tainted);

 private:
  Result<std::unique_ptr<Slot>> make(int index) const;
  std::string cgroup_path(int index) const;
  bool renew_cgroup(Slot& slot) const;
  Result<void> keep_artifacts(Slot& slot, TenantId tenant, const kernel::RunKey& key) const;

  std::string run_folder_;
  kernel::Blobs& blobs_;
  std::string cgroup_home_;
  std::string task_home_;
  std::vector<std::unique_ptr<Slot>> free_;
  int next_index_ = 0;
};

}  // namespace millrace::worker
