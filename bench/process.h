// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::bench {

// Prints `message` and ends the bench: a figure that could not be measured is not a figure.
[[noreturn]] void give_up(const std::string& message);

// A child process; its output goes to `log`. Killed and reaped with this object.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::string& log);
  ~Process() { end(SIGKILL); }
  Process(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool ended();          // without waiting
  void end(int signal);  // sends it and waits

 private:
  pid_t pid_ = -1;
};

// User and system time of all threads of a process so far, to the nanosecond; not that of its
// children. 0 when there is no such process.
double cpu_seconds_of(pid_t pid);
double own_cpu_seconds();
double wall_seconds();
// How long this thread was ready to run and had no CPU: somebody else had it.
double waited_seconds();

// What a server's processes have used so far.
struct Use {
  double cpu_seconds = 0;
  double switches = 0;       // times that a thread of them began to wait: wake-ups and disk
  double commits = 0;        // each is one sync of the log
  double written_bytes = 0;  // that went towards a disk, checkpoints included

  Use(double cpu = 0) : cpu_seconds(cpu) {}  // NOLINT(google-explicit-constructor): of a floor
};
// Voluntary switches of all threads so far, as the kernel counts them.
int64_t switches_of(pid_t pid);

struct Footprint {
  int64_t written_bytes = 0;   // that went towards a disk: write_bytes of /proc/PID/io
  int64_t resident_bytes = 0;  // VmRSS
  int64_t peak_bytes = 0;      // the most that was resident, VmHWM
};
Footprint footprint_of(pid_t pid);

// The first process whose argv[0] is `name` and whose arguments hold `part`; 0: none.
pid_t find_process(std::string_view name, std::string_view part);
uint16_t free_port();

}  // namespace millrace::bench
