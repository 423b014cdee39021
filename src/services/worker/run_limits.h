// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <vector>

namespace millrace::worker {

// What one run may use at most; 0: no limit (of open files: as many as the server was started
// with; of core files: none are written). None goes beyond the hard limit that the server itself
// was started with.
struct RunLimits {
  int64_t processes = 0;     // of the run together. Users but root are also kept by the kernel
                             // from starting more than this beyond what runs on the machine
  int64_t memory_bytes = 0;  // of the run together; the data of each process by the kernel
  int64_t open_files = 0;    // of each process
  int64_t file_bytes = 0;    // of each file that is written
  int64_t cpu_s = 0;         // processor seconds of each process
  int64_t core_bytes = 0;    // of each core file

  bool operator==(const RunLimits&) const = default;
};

struct ResourceLimit {
  int resource = 0;  // RLIMIT_...
  rlimit value{};
};

// The same for setrlimit. `open_files`: where the run has no limit of its own.
std::vector<ResourceLimit> resource_limits(const RunLimits& limits, rlimit open_files);

}  // namespace millrace::worker
