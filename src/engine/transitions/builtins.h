// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "engine/transitions/start.h"

namespace millrace::engine {

// What an action that runs inside the server comes to: pure, decided in the admitting transition.
struct BuiltinOutcome {
  enum class Kind : uint8_t { Succeeded, Failed, Sleeping, Asking };
  Kind kind = Kind::Succeeded;
  Value output;  // becomes result.output
  std::string stdout_text;
  std::string error;    // of Failed
  int64_t wake_at = 0;  // of Sleeping and Asking (0: never), Unix ms
};

// core.noop, core.echo, core.fail, core.sleep, core.ask, core.inject_trigger. `row` is the
// execution that is being made; events that the action sends go into `ctx.changes`.
Result<BuiltinOutcome> run_builtin(Context& ctx, const kernel::ExecutionRow& row,
                                   const Value& parameters);

}  // namespace millrace::engine
