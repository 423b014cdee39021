// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/work.h"
#include "model/pack.h"

// The environment variables that callers give a run: `env` of the execution, and the runner's
// parameter `env`. Both are refused (Invalid, EXE-0009) where they hold a name that belongs to the
// server or steers an interpreter (model/env_names.h). `allowed`: as why_env_is_refused takes it.
namespace millrace::engine {

// A map of strings, or null.
Result<void> check_env(const Value& env, const std::vector<std::string>& allowed);

// What the action's own file gives as default may stay.
Result<void> check_env_parameter(const Action& action, const Value& parameters,
                                 const std::vector<std::string>& allowed);

// Moves what the action's own file sets from the parameter `env` to the runtime's variables, so
// that a worker, which trusts callers with less, sees whose they are.
void give_own_env(const Action& action, kernel::WorkOrder& order);

}  // namespace millrace::engine
