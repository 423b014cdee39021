// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// What policies say of an execution, in the decision that moves it (docs/guides/policies.md). All
// of its limits hold together: it is let in where each has room, and waits at the first that has
// none. Limits that refuse go before those that cancel, and these before those that wait.

// Whether it is to be taken at all. Errors: POL-0101 (quota), POL-0102 (rate), Busy.
Result<void> check_may_start(Context& ctx, const StartRequest& request, const Action& action,
                             const Value& parameters);

// It begins now: true. Else it waits for room, or has ended, or this decision comes to nothing
// (Context::lacks).
bool let_in(Context& ctx, ExecutionId id, const Action& action, const Value& parameters);

// The same for what cannot wait. Errors: POL-0103, Needs.
Result<void> let_in_now(Context& ctx, ExecutionId id, const Action& action,
                        const Value& parameters);
// Whether a look of who is first there may come to something.
bool may_find_room(Context& ctx, const kernel::ExecutionRow& row, LoadedGauge& gauge);
// Who is first there has to look; `row`: what moves now.
void tell_first(Context& ctx, const kernel::ExecutionRow& row, const LoadedGauge& gauge);

// It is counted at no limit any more, and who is first there may look.
void leave_limits(Context& ctx, ExecutionId id);
// The same until it asks again: what its start has cost stays paid.
void leave_for_now(Context& ctx, ExecutionId id);
// It does not wait for room any more; where it has been let in it stays counted.
void stop_waiting(Context& ctx, ExecutionId id);

// It has failed or timed out, and a policy wants another attempt of it: that is made. False: it has
// ended. Of a workflow that is a new execution: this one ends.
bool retry_by_policy(Context& ctx, ExecutionId id, ExecutionStatus end, std::string_view why);
// Errors: those of start_execution.
Result<void> retry_workflow(Context& ctx, ExecutionId id);

}  // namespace millrace::engine
