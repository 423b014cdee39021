// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"

namespace millrace::worker {

// The files of a cgroup, v1 or v2, by the descriptor of its folder.
std::string read_cgroup_file(int folder, const char* name);
// False where there is no such file: its controller is not enabled.
bool write_cgroup_file(int folder, const char* name, std::string_view text);

// What the kernel lets a cgroup have at most, and how often it was refused more: "pids.max" with
// the line "max N" of "pids.events", which stays open: it is read for each run. The folder is the
// caller's.
class CgroupLimit {
 public:
  CgroupLimit() = default;  // the kernel keeps none
  CgroupLimit(int folder, const char* limit, const char* events, std::string_view key);
  explicit operator bool() const { return static_cast<bool>(events_); }

  // For the run that begins; 0: any.
  void begin(int64_t most);
  // Since then.
  int64_t refused() const { return *this ? count() - before_ : 0; }

 private:
  int64_t count() const;

  int folder_ = -1;
  const char* limit_ = nullptr;
  Fd events_;
  std::string key_;
  int64_t most_ = -1;  // as it is set; -1: not known
  int64_t before_ = 0;
};

// Where this process is in the tree of a controller of v1, or in v2's (empty): the path of its
// folder. Empty: no such tree is mounted.
std::string own_cgroup_folder(std::string_view controller);
// Removes the folders in `home`, and `home`, as far as nothing is inside.
void remove_cgroup_folders(const std::string& home);

}  // namespace millrace::worker
