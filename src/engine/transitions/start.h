// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/catalog.h"
#include "engine/machine/context.h"

namespace millrace::engine {

// A request for one execution, whoever makes it: a rule, the API, a workflow.
struct StartRequest {
  TenantId tenant;
  std::string action;  // ref
  Value parameters;    // as given; checked here
  Value env;           // map of strings, added to the action's environment
  Priority priority = Priority::Normal;
  int64_t timeout_ms = 0;  // 0: the action's own
  ExecutionId parent;
  ExecutionId root;  // 0: itself
  EnforcementId enforcement;
  ExecutionId original;
  std::string identity;
  std::string trace;     // traceparent
  std::string rule_ref;  // for the environment
  std::string trigger_ref;
  // Of a step of a workflow.
  std::string release;  // preferred to the current one where it has the action
  std::string task;
  int32_t task_route = 0;
  int32_t task_item = -1;
  int depth = 0;              // how many workflows are above
  bool casts = false;         // parameters are cast to their types: a task of an action chain
  int64_t delay_ms = 0;       // starts so much later
  std::string inherited_env;  // ExecutionRow::env_json of the workflow
};

struct Started {
  ExecutionId id;
  ExecutionStatus status = ExecutionStatus::Requested;
  Value result;  // of one that has ended already
};

// Checks the request and adds its execution to `t.changes`: finished at once (a pure action),
// started with the lease in the same commit (a slot is free), or queued. Pure.
// Errors: NotFound for an unknown action, Invalid with all problems of the parameters, EXP-0004
// (see note_need) when a default reads a key that is not loaded; nothing has been added then.
Result<Started> start_execution(Context& ctx, Transition& t, const StartRequest& request);
// Starts an execution whose delay is over.
void start_delayed(Context& ctx, Transition& t, const kernel::ExecutionRow& row);

// Grants a slot to a waiting execution: writes `started`, removes its queue row, makes the order.
void start_queued(Context& ctx, Transition& t, const kernel::ExecutionRow& row);
// As long as slots are free and somebody waits.
void start_waiting(Context& ctx, Transition& t);

// Runs an execution again after its run was lost or a person asked for it: attempt + 1.
void requeue(Context& ctx, Transition& t, kernel::ExecutionRow row);

// Ends an execution: final status, feed, timers; and tells its workflow. `result` null: none.
void finish(Context& ctx, Transition& t, const kernel::ExecutionRow& row, ExecutionStatus status,
            FailureClass failure, const Value& result);
// The same for a row that is being made and not yet in `t.changes`.
void end_at_once(Context& ctx, Transition& t, kernel::ExecutionRow& row, ExecutionStatus status,
                 FailureClass failure, std::string result_json);

// A timer about an execution, due at a Unix ms.
void set_timer(Context& ctx, Transition& t, const kernel::ExecutionRow& row, kernel::TimerKind kind,
               int64_t due);

// The feed entry of an execution row.
void note_execution(Context& ctx, Transition& t, const kernel::ExecutionRow& row,
                    kernel::ChangeOp op);

// The order for a row whose `started` is written by `t`.
Result<kernel::WorkOrder> make_order(const Catalog& catalog, const kernel::ExecutionRow& row);

}  // namespace millrace::engine
