// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "services/worker/control.h"
#include "services/worker/slot.h"

namespace millrace::worker {

// A process that serves calls, one after the other, of one key alone. In a call its slot is the
// run's, and what becomes of the run becomes of it: a timeout, a cancel and a crash end both.
struct Warm {
  WarmCall terms;      // of the call that it was started for; the later ones have the same key
  std::string marker;  // by which its processes are known without a cgroup
  pid_t pid = 0;
  std::unique_ptr<Slot> slot;  // while it is idle
  Fd socket;
  std::string in;       // of frames that have not come whole
  Fd own_out, own_err;  // of Node, whose output comes in frames, but for what is written past them
  int64_t calls = 0;
  int64_t born_ms = 0;        // monotonic
  int64_t idle_since_ms = 0;  // monotonic
  bool recycle = false;       // it said that something of a call has stayed
};

// The order as the process reads it: four bytes of length, the highest first, and JSON. `env` and
// `cwd` are the whole of the call's.
std::string warm_frame(const Launch& launch, const std::vector<std::string>& env,
                       std::string_view cwd, int64_t number);

// Takes one frame out of `in`. False: there is none yet. Errors: Invalid, WRK-0011: it is none, or
// longer than kMostWarmFrame.
Result<bool> take_warm_frame(std::string& in, std::string& frame);

// What a larger order costs to hand over is little beside what it asks for: it runs cold.
inline constexpr size_t kMostWarmOrder = 64 << 10;
inline constexpr size_t kMostWarmFrame = 64 << 20;

}  // namespace millrace::worker
