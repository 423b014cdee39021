// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "conductor/conductor.h"

namespace millrace::conductor {

// What the transitions of a completed task have set going.
struct Conductor::Firing {
  std::vector<std::pair<NodeId, RouteId>> commands;
  std::vector<std::pair<NodeId, RouteId>> tasks;
  bool fails = false;  // `fail` is among the commands
  bool held = false;   // nothing was set going: the task waits for an operator
};

}  // namespace millrace::conductor
