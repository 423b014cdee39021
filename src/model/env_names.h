// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Environment variables that make a program run other code, or read it from elsewhere, than the
// action's author wrote: who may only run an action must not set them. Names are compared exactly,
// as who reads them does.
struct SteeringName {
  std::string_view name;  // with `*` at its end: all that begin so
  std::string_view why;   // ends a sentence that begins with the name
};

const std::vector<SteeringName>& steering_env_names();

// Why a caller may not set this variable; empty: he may. `allowed`: names, or beginnings with `*`,
// that the configuration lets through.
std::string why_env_is_refused(std::string_view name, const std::vector<std::string>& allowed);

}  // namespace millrace
