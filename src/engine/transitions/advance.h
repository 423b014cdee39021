// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/commands.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// How workflows run on the server: the conductor decides, its steps become executions. All of it
// belongs to the transition `t`; the executor adds what changed of each state to its rows.
//
// When a value has to be loaded first, or a conductor turns out to be broken, `t.again` is set and
// the transition is decided again from what is stored.

inline constexpr int kDeepestWorkflow = 10;

// Starts the workflow `row`, which is not in `t.changes` yet: its first steps, or its end.
// Returns the result when it has ended.
Value begin_workflow(Context& ctx, Transition& t, kernel::ExecutionRow& row,
                     const Catalog::ActionRef& action, const Value& inputs, int depth);

// An execution has another status than before: its workflow, if it belongs to one, is told and
// goes on. `result` is that of a final one.
void tell_workflow(Context& ctx, Transition& t, const kernel::ExecutionRow& step,
                   const Value& result);

// Goes on with what waits: after a resume, or when a transition had done its share.
void go_on(Context& ctx, Transition& t, const kernel::ExecutionRow& workflow);

// Pause, resume or cancel, of the workflow alone: its steps are the caller's business. Conflict
// when it cannot take the status.
Result<void> ask_workflow(Context& ctx, Transition& t, const kernel::ExecutionRow& workflow,
                          conductor::Status status);

// Ends a workflow whose state cannot be worked with.
void fail_workflow(Context& ctx, Transition& t, const kernel::ExecutionRow& workflow,
                   std::string_view why);

// An operator's word on a task that failed and is held. Conflict when there is none, or several and
// none is named.
Result<void> resolve_held(Context& ctx, Transition& t, const kernel::ExecutionRow& workflow,
                          const Resolution& resolution);

// A re-run: `row` is new and gets a copy of the state of `original`, in which the named tasks, or
// those that failed, run again.
Result<Value> begin_rerun(Context& ctx, Transition& t, kernel::ExecutionRow& row,
                          const kernel::ExecutionRow& original,
                          const std::vector<conductor::RerunRequest>& tasks);

// The status of an execution as its workflow's conductor knows it, and back.
conductor::Status conductor_status(ExecutionStatus status);
ExecutionStatus execution_status(conductor::Status status);

}  // namespace millrace::engine
