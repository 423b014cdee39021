// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernel/work.h"

namespace millrace::sim {

// A run at a worker, from the order to the day its end is acknowledged.
struct WorkerRun {
  enum class State : uint8_t { Building, AsksToBegin, Runs, Ended };
  kernel::WorkOrder order;
  State state = State::Runs;
  bool known = false;  // that it is being built
  std::optional<kernel::Completion> end;
  SessionId told;  // in this session
};

// A worker: what it has been ordered, what it runs, what it has to tell. It lives on when the
// server dies; when it dies itself, its runs die with it.
struct Worker {
  std::string name;
  size_t home = 0;     // the place of its server
  bool moved = false;  // has been at another one
  int slots = 2;
  bool remote = false;  // its session ends when it is not renewed
  int instance = 1;     // another one has forgotten its runs
  int64_t opening = 0;  // its last WorkerHello::opening
  std::optional<kernel::Session> session;
  WorkerId id;                            // of its last session
  bool opens = false;                     // has asked for a session
  bool frozen = false;                    // does nothing, renews nothing
  bool gone = false;                      // for ever
  int64_t renewed_ms = 0;                 // monotonic
  std::vector<kernel::WorkOrder> orders;  // on their way to it: lost with the server
  std::map<kernel::RunKey, WorkerRun> runs;
  std::vector<kernel::Completion> told;  // acknowledged ones, to be told once more

  // Orders and runs that take its slots.
  size_t load() const {
    size_t load = orders.size();
    for (const auto& [key, run] : runs) load += run.state != WorkerRun::State::Ended ? 1 : 0;
    return load;
  }

  kernel::WorkerHello hello() const {
    kernel::WorkerHello hello{.name = name,
                              .slots = slots,
                              .runtimes = {},
                              .instance = name + std::to_string(instance),
                              .adopted = {},
                              .opening = remote ? opening : 0};
    for (const auto& [key, run] : runs) {
      if (run.state != WorkerRun::State::Building && run.state != WorkerRun::State::AsksToBegin) {
        hello.adopted.push_back(key);
      }
    }
    return hello;
  }
};

}  // namespace millrace::sim
