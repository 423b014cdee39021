// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/work_off.h"

namespace millrace::engine {

// What people ask of a workflow. What follows from it is on the agenda.

// Pause, resume or cancel, of the workflow alone: its steps are the caller's business. Conflict
// when it cannot take the status.
Result<void> ask_workflow(Context& ctx, const kernel::ExecutionRow& workflow, LiveWorkflow& live,
                          conductor::Status status);

// A workflow that was held goes on, or is paused as the one above it is.
Result<void> go_on_if_it_may(Context& ctx, const kernel::ExecutionRow& workflow,
                             LiveWorkflow& live);

// An operator's word on a task that failed and is held. Conflict when there is none, or several and
// none is named.
Result<void> resolve_held(Context& ctx, const kernel::ExecutionRow& workflow, LiveWorkflow& live,
                          const Resolution& resolution);
bool holds_a_task(const LiveWorkflow& live);

// A re-run: the execution `id` is new and gets a copy of the state of `original`, in which the
// named tasks, or those that failed, run again.
Result<void> begin_rerun(Context& ctx, ExecutionId id, const kernel::ExecutionRow& original,
                         const std::vector<conductor::RerunRequest>& tasks);

}  // namespace millrace::engine
