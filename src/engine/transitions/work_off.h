// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/commands.h"
#include "engine/transitions/workflow_run.h"

namespace millrace::engine {

// Sees to everything that came up while the decision was made: workflows begin, hear of their
// steps, go on, until all is at rest or a share of the work goes into a message. The last thing
// that a decision does before `ctx.decided`. Errors: Needs, Spoiled.
Result<void> work_off(Context& ctx);

// Ends a workflow whose state cannot be worked with.
void fail_workflow(Context& ctx, ExecutionId workflow, std::string_view why);

// What becomes of a workflow that Context::workflow could not give: it waits for its release, or it
// ends. Errors: Spoiled.
Result<void> cannot_go_on(Context& ctx, ExecutionId workflow, const Error& why);

// The workflow goes on with what waits, once what is on the agenda is done.
void go_on_later(Context& ctx, const kernel::ExecutionRow& workflow);

}  // namespace millrace::engine
