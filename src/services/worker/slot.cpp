// SPDX-License-Identifier: Apache-2.0
#include "services/worker/slot.h"

#include "base/stderr.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace millrace::worker {
namespace {

// Makes or opens the folder and throws away what an earlier run left in it.
Result<Fd> fresh_folder(const std::string& path) {
  TRY(make_folders(path, 0700));
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return system_error(fmt::format("cannot open folder '{}'", path));
  if (!folder_is_empty(fd.get()) && !empty_folder(fd.get())) {
    return system_error(fmt::format("cannot empty folder '{}'", path));
  }
  return fd;
}

bool still_linked(int folder_fd) {
  struct stat info{};
  return fstat(folder_fd, &info) == 0 && info.st_nlink > 0;
}

}  // namespace

SlotPool::SlotPool(std::string run_folder, kernel::Blobs& blobs, std::string cgroup_home,
                   std::string task_home)
    : run_folder_(std::move(run_folder)),
      blobs_(blobs),
      cgroup_home_(std::move(cgroup_home)),
      task_home_(std::move(task_home)) {}

Result<std::unique_ptr<Slot>> SlotPool::acquire() {
  while (!free_.empty()) {
    auto slot = std::move(free_.back());
    free_.pop_back();
    if (still_linked(slot->temp_fd.get()) && still_linked(slot->artifacts_fd.get())) return slot;
    if (auto again = make(slot->index); again.ok()) return again;
  }
  return make(next_index_++);
}

Result<std::unique_ptr<Slot>> SlotPool::make(int index) const {
  auto slot = std::make_unique<Slot>();
  slot->index = index;
  slot->temp = fmt::format("{}/slots/{}/tmp", run_folder_, index);
  slot->artifacts = fmt::format("{}/slots/{}/artifacts", run_folder_, index);
  TRY(slot->temp_fd, fresh_folder(slot->temp));
  TRY(slot->artifacts_fd, fresh_folder(slot->artifacts));
  if (!cgroup_home_.empty()) {
    TRY(slot->cgroup, Cgroup::create(cgroup_path(index)));
  }
  if (!task_home_.empty() && !(slot->cgroup && slot->cgroup->counts_tasks())) {
    TRY(slot->tasks, TaskLimit::create(fmt::format("{}/slot-{}", task_home_, index)));
  }
  return slot;
}

std::string SlotPool::cgroup_path(int index) const {
  return fmt::format("{}/slot-{}", cgroup_home_, index);
}

bool SlotPool::renew_cgroup(Slot& slot) const {
  std::string path = cgroup_path(slot.index);
  slot.cgroup.reset();
  if (rmdir(path.c_str()) != 0) return false;
  auto fresh = Cgroup::create(path);
  if (!fresh.ok()) return false;
  slot.cgroup = std::move(*fresh);
  return true;
}

Result<void> SlotPool::keep_artifacts(Slot& slot, TenantId tenant,
                                      const kernel::RunKey& key) const {
  TRY(blobs_.take_folder(kernel::artifacts_prefix(tenant, key), slot.artifacts));
  TRY(slot.artifacts_fd, fresh_folder(slot.artifacts));
  return {};
}

bool SlotPool::tidy(Slot& slot, TenantId tenant, const kernel::RunKey& key) const {
  bool clean = folder_is_empty(slot.temp_fd.get()) || empty_folder(slot.temp_fd.get());
  if (folder_is_empty(slot.artifacts_fd.get())) return clean;
  auto kept = keep_artifacts(slot, tenant, key);
  if (!kept.ok()) put_stderr("{}\n", kept.error().describe());
  return clean && kept.ok();
}

void SlotPool::release(std::unique_ptr<Slot> slot, TenantId tenant, const kernel::RunKey& key,
                       bool tainted) {
  if (tainted) return;
  bool clean = tidy(*slot, tenant, key);
  if (slot->cgroup && slot->cgroup->was_killed()) clean = renew_cgroup(*slot) && clean;
  // An unclean slot is dropped; its number is taken up again after a restart, which cleans it.
  if (clean) free_.push_back(std::move(slot));
}

}  // namespace millrace::worker
