// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace millrace {

// A program that the server itself needs, to its end (pip, git): not the work of a user, which is
// the spawner's.
struct Command {
  std::vector<std::string> argv;  // argv[0]: a path, or a name that is looked up in `env`'s PATH
  std::vector<std::string> env;   // NAME=value: the whole environment
  std::string cwd;                // empty: where the caller is
  int64_t within_ms = 60'000;
  const std::atomic<bool>* stop = nullptr;  // looked at five times a second: it is killed then
  int64_t most_file_bytes = 0;              // no file that it writes may be larger; 0: any may
};

struct CommandEnd {
  int exit_code = 0;  // 128 + signal when it was killed
  std::string tail;   // the last kCommandTail bytes of stdout and stderr, as they came
};

inline constexpr size_t kCommandTail = 8 << 10;

// Starts it in a process group of its own, without stdin, and waits. When the time is over the
// group is killed. What it leaves running holds nobody up. Blocks; thread-safe. Errors: NotFound
// or Unavailable (BAS-0014): it cannot be started, or was not done in time, or was stopped.
Result<CommandEnd> run_command(const Command& command);

}  // namespace millrace
