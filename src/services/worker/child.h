// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "services/worker/run_limits.h"

namespace millrace::worker {

// Where a child finds the descriptor for its result.
inline constexpr int kResultFd = 3;

// How a child begins. The descriptors stay the caller's.
struct ChildSpec {
  std::string program;  // path of the file to execute
  std::vector<std::string> argv;
  std::vector<std::string> env;  // the whole environment
  std::string cwd;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int result_fd = -1;  // becomes kResultFd of the child; -1: it has none
  int cgroup_fd = -1;  // started inside this cgroup v2 folder; -1: where the caller is
  std::vector<ResourceLimit> limits = {};
  int task_entry_fd = -1;  // of a TaskLimit that the child goes into; -1: none
  pid_t* note =
      nullptr;  // the kernel writes the pid there before the child runs; not with a cgroup
};

struct ChildStart {
  pid_t pid = -1;
  std::string error;  // why there is no child; says what to do
};

// Starts a child by clone(CLONE_VM|CLONE_VFORK): nothing of the caller's memory is copied, and
// the caller waits until the child has executed its program or failed. The child leads its own
// process group in the caller's session (a session of its own would be an autogroup of its own to
// the scheduler: on a machine under load new children then wait, measured, twice as long), has
// default signal dispositions, no blocked signals and no descriptors but 0 to 2 and
// kResultFd.
// For single-threaded callers.
ChildStart start_child(const ChildSpec& spec);

// True when this kernel and machine let children be started inside `cgroup_fd` (clone3 may be
// missing, or forbidden by a seccomp filter).
bool can_start_in_cgroup(int cgroup_fd);

// PATH of an environment; empty: it has none.
std::string_view path_variable(const std::vector<std::string>& env);

// The file that `name` stands for: itself when it holds a slash, else the first executable file
// of that name in `path`, a list of folders with colons between. Empty when there is none.
std::string find_program(const std::string& name, const std::string& path);

}  // namespace millrace::worker
