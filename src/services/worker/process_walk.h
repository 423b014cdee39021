// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::worker {

// Finding the processes of a run without cgroups: by parent, by process group and by a marker
// in the environment. The spawner is a subreaper, so descendants whose parent died become its
// children. What remains unseen is a process that left the group, wiped its environment and lost
// its parents; it is killed when the spawner has no run any more.

// The environment variable by which the processes of a run are known.
inline constexpr std::string_view kMarkerName = "MILLRACE_RUN";

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  uint64_t start_ticks = 0;  // since boot; with the pid it names one process
  int64_t threads = 0;
  int64_t resident_bytes = 0;  // what it shares with others included
};

// From /proc/PID/stat; pid 0 when there is no such process. Zombies count as gone.
Process read_process(pid_t pid);

// All living processes but the caller; those that descend from the caller.
std::vector<Process> all_processes();
std::vector<Process> descendants();

// Of `among`: every process of the process group `group` (0: none), every process whose
// begins with `marker`, and all their descendants.
std::vector<Process> find_tree(std::vector<Process> among, pid_t group, std::string_view marker);

// Living children of the caller, single-threaded.
std::vector<pid_t> own_children();

// Sends a signal unless the pid has meanwhile become another process.
void signal_process(const Process& process, int signal);

}  // namespace millrace::worker
