// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"

namespace millrace::engine {

// A request for one execution, whoever makes it: a rule, the API, a workflow.
struct StartRequest {
  TenantId tenant;
  std::string action;  // ref
  Value parameters;    // as given; cast and checked here
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
  RuleId rule;  // and its revision: {{ system.rule }} of a workflow
  int64_t rule_revision = 0;
  // Of a step of a workflow.
  std::string release;  // preferred to the current one where it has the action
  std::string task;
  int32_t task_route = 0;
  int32_t task_item = -1;
  int64_t delay_ms = 0;  // starts so much later
  int32_t retries = 0;   // of a workflow that a policy runs again: which one this is
  // What checking its parameters draws on, with whatever else the decision does for one request.
  // Null: each check has only its own ceiling.
  expr::Allowance* allowance = nullptr;
  int32_t chain = 0;          // how many rules have led to it, this one among them
  std::string inherited_env;  // ExecutionRow::env_json of the workflow
  Value context;              // NewExecution::context
};

// How many workflows may be above one.
inline constexpr int kDeepestWorkflow = 10;

// The life of an execution. All of it belongs to one decision: rows go into `ctx.changes`, and
// what a workflow has to hear of goes on `ctx.agenda`.

// Checks the request and adds its execution: finished at once (a pure action), started with the
// lease in the same commit (a slot is free), queued, or a workflow that is to begin.
// Errors: NotFound for an unknown action, Invalid with all problems of the parameters, Needs when a
// default reads a key that is not loaded; nothing has been added then.
Result<ExecutionId> start_execution(Context& ctx, const StartRequest& request);
// Starts an execution whose delay is over, or one whose release has come back; below a paused
// workflow it waits for that.
void start_delayed(Context& ctx, ExecutionId id);
// The same, but it goes on waiting when its delay is not over: its timer has to be loaded.
void start_when_due(Context& ctx, ExecutionId id);
// Tells of a run that another server's worker is to have: its home follows the feed, and makes the
// order from the row (take_run.cpp).
void tell_home(Context& ctx, const kernel::ExecutionRow& row, const kernel::Permit& permit);
// As long as slots are free and somebody waits: grants a slot, writes `started`, removes the queue
// row, makes the order.
void start_waiting(Context& ctx);
// Runs an execution again after its run was lost or a person asked for it: attempt + 1.
void requeue(Context& ctx, ExecutionId id);
// One more attempt of what was held for an operator: in the queue, or inside the server.
void retry(Context& ctx, ExecutionId id);
// Into the queue as it is.
// It waits no more.
void dequeue(Context& ctx, const kernel::ExecutionRow& row);
void enqueue(Context& ctx, const kernel::ExecutionRow& row);

// The execution that asks ends, or is held; unless it ends with an answer, the question is closed.
void close_inquiry(Context& ctx, const kernel::ExecutionRow& row, ExecutionStatus status);
// Ends an execution: final status, feed, timers; its workflow is told. `result` null: none.
void finish(Context& ctx, ExecutionId id, ExecutionStatus status, FailureClass failure,
            const Value& result);
// Hands an execution over to an operator, or to the coming of what is missing: `needs_decision`.
void hold(Context& ctx, ExecutionId id, FailureClass failure, std::string why);

// The same, because the release that it is pinned to is not there: it goes on when that is back.
void hold_for_release(Context& ctx, ExecutionId id);

// The result as every action has it.
Value result_of(std::string_view out, std::string_view err, int exit_code, Value output);
// A timer about an execution, due at a Unix ms.
void set_timer(Context& ctx, const kernel::ExecutionRow& row, kernel::TimerKind kind, int64_t due);
// The feed entry of an execution that was there before.
void note_update(Context& ctx, const kernel::ExecutionRow& row);
// A message of an execution's tree to a later transition.
void send(Context& ctx, const kernel::ExecutionRow& of_tree, kernel::MessageKind kind,
          ExecutionId subject, std::string_view body = {});
// How many executions are above it.
int depth_of(const Context& ctx, const kernel::ExecutionRow& row);
// Its workflow, if it belongs to one, hears of its status. `result`: that of a final one.
void tell_workflow(Context& ctx, const kernel::ExecutionRow& step, Value result = {});
// What is to be seen to once all else is decided: timeouts of what was launched, feed entries of
// what is new.
void settle_new(Context& ctx);

}  // namespace millrace::engine
