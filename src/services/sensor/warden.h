// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

// A sensor's process, and the small one that stands between it and the server. The warden is this
// binary again. It adopts whatever the sensor leaves behind (a subreaper), tells how it ended, and
// when its server is gone, however that ended, it kills the whole tree: a sensor does not outlive
// its server, as a run does, because nobody would hear it.
namespace millrace::sensor {

// RLIMIT_..., as setrlimit takes it.
struct Limit {
  int resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct Launch {
  std::vector<std::string> argv;  // argv[0]: a path, or a name that is looked up in `env`'s PATH
  std::vector<std::string> env;   // NAME=value: the whole environment
  std::string cwd;
  std::vector<Limit> limits = {};  // of each of its processes
};

// The server's ends. All but the last word of `lifeline` close with the sensor.
struct Process {
  pid_t warden = -1;
  Fd lifeline;  // takes kTerminate and kKill; gives "exit N" or "signal N", then its end
  Fd input;     // of the sensor's stdin
  Fd output;
  Fd errors;
  Fd lines;  // what it writes to descriptor kLinesFd
};

inline constexpr int kLinesFd = 3;
inline constexpr char kTerminate = 't';  // SIGTERM for the sensor's process group
inline constexpr char kKill = 'k';       // SIGKILL for its whole tree

// Blocks for a moment. That the program cannot be executed is said on the sensor's stderr, and it
// ends with 127. Errors: Unavailable, SEN-0002.
Result<Process> start_process(const Launch& launch);
// How it ended, once `lifeline` has ended: "exit 1", "signal 9". Waits for the warden, which is
// leaving.
void reap(Process& process);

// True when this process was started as a warden: then main does nothing but
// `return warden_main(argc, argv)`, before anything else.
bool is_warden_invocation(int argc, char** argv);
int warden_main(int argc, char** argv);

}  // namespace millrace::sensor
