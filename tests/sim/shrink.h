// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "world.h"

namespace millrace::sim {

// What a plan comes to in a world of its own.
std::optional<Violation> run_plan(SimStore& store, const Plan& plan, Coverage& coverage,
                                  std::function<void(std::string)> trace = {},
                                  uint64_t* hash = nullptr);

// Leaves out operations as long as the plan still fails in the same way (delta debugging, after
// Zeller). `most`: how many plans are tried.
Plan shrink(SimStore& store, Plan plan, const Violation& violation, int most = 400);
// Two violations of one kind: they differ in numbers and names only.
bool same_kind(const Violation& a, const Violation& b);

}  // namespace millrace::sim
