// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "model/pack.h"

namespace millrace::packs {

// What stands behind a `runner_type` of an action file.
struct RunnerType {
  std::string_view name;
  Runner runner;
  std::string_view runtime;  // of Script
  // Further parameters that a caller may give, as "name:type" with spaces between.
  std::string_view parameters;
  Sdk sdk = Sdk::None;  // what starts it
};

// In any case, as Attune's packs write them. nullptr: no such type. Runtimes of packs are types
// too, but not in this table.
const RunnerType* find_runner_type(std::string_view name);
std::vector<std::string_view> runner_type_names();

// Adds the runner's own parameters to those of the action. What the action says of one of them
// (a default, `immutable`) counts; the rest comes from the runner.
void add_runner_parameters(const RunnerType& type, std::vector<Parameter>& parameters);

}  // namespace millrace::packs
