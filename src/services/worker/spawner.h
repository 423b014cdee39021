// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/blobs.h"
#include "services/worker/posix.h"

namespace millrace::worker {

struct SpawnerOptions {
  std::string data_dir;        // absolute
  int64_t linger_ms = 10'000;  // waits so long for a server once no run is left
  bool use_cgroups = true;     // where they can be had
  int64_t run_files = 0;       // soft limit of open files of a run; 0: that of the spawner's start
};

// Opens the room for output and artifacts of a data folder.
using OpenBlobs = std::function<Result<std::unique_ptr<kernel::Blobs>>(const std::string& data)>;

// True when this process was started as a spawner: then main does nothing but
// `return spawner_main(argc, argv, ...)`, before anything else.
bool is_spawner_invocation(int argc, char** argv);
int spawner_main(int argc, char** argv, const OpenBlobs& open_blobs);

// The control connection to the spawner of a data folder: the one that runs, or a new one,
// started from /proc/self/exe. Blocks, for milliseconds as a rule, and for seconds when what a
// dead spawner left has to be killed first; 30 s at most. Asks `go_on` several times a second
// while it waits, and gives up when that says no.
Result<Fd> connect_spawner(const SpawnerOptions& options, const std::function<bool()>& go_on);

}  // namespace millrace::worker
