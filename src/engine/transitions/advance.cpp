// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/advance.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "engine/transitions/workflow_run.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

// What a workflow sees besides its own variables, under the names that StackStorm gives it.
Value context_of(const ExecutionRow& row, const Pack& pack) {
  Value context = Value::map({{"st2", Value::map({{"action_execution_id", row.id.str()},
                                                  {"workflow_execution_id", row.id.str()},
                                                  {"user", row.identity},
                                                  {"pack", pack.ref},
                                                  {"action", row.action}})}});
  if (row.parent) {
    context.set("parent", Value::map({{"execution_id", row.parent.str()},
                                      {"workflow_execution_id", row.parent.str()},
                                      {"task_id", row.task},
                                      {"task_name", row.task},
                                      {"task_route", row.task_route}}));
  }
  return context;
}

// What an error of the conductor means for the transition.
void handle(Transition& t, ExecutionId workflow, const Result<void>& done) {
  if (done.ok() || t.again || note_need(t, done.error(), workflow)) return;
  t.again = true;
  t.broken_workflows[workflow] = done.error().describe();
}

const std::string* broken(const Transition& t, ExecutionId workflow) {
  auto found = t.broken_workflows.find(workflow);
  return found == t.broken_workflows.end() ? nullptr : &found->second;
}

std::unique_ptr<LiveWorkflow> make_live(Context& ctx, const ExecutionRow& row,
                                        const Catalog::ActionRef& action, int depth,
                                        conductor::State state) {
  auto live = LiveWorkflow::of(row);
  live->depth = depth;
  auto environment = ctx.environment(*action.pack);
  environment.outside = live->results.get();
  live->conductor.emplace(action.workflow->definition, std::move(state), environment);
  return live;
}

// A workflow that cannot begin ends at once.
Value end_before_start(Context& ctx, Transition& t, ExecutionRow& row, std::string_view why) {
  Value result = Value::map(
      {{"output", Value()}, {"errors", Value(ValueList{Value::map({{"message", why}})})}});
  end_at_once(ctx, t, row, ExecutionStatus::Failed, FailureClass::UserError, to_json(result));
  return result;
}

}  // namespace

conductor::Status conductor_status(ExecutionStatus status) {
  switch (status) {
    case ExecutionStatus::Requested:
    case ExecutionStatus::Delayed:
    case ExecutionStatus::Scheduled:
    case ExecutionStatus::NeedsDecision:
    case ExecutionStatus::Resuming:
    case ExecutionStatus::Running: return Status::Running;
    case ExecutionStatus::Pending: return Status::Pending;
    case ExecutionStatus::Pausing: return Status::Pausing;
    case ExecutionStatus::Paused: return Status::Paused;
    case ExecutionStatus::Canceling: return Status::Canceling;
    case ExecutionStatus::Succeeded: return Status::Succeeded;
    case ExecutionStatus::Failed: return Status::Failed;
    case ExecutionStatus::Timeout: return Status::Timeout;
    case ExecutionStatus::Canceled: return Status::Canceled;
    case ExecutionStatus::Abandoned: return Status::Abandoned;
  }
  return Status::Running;
}

ExecutionStatus execution_status(Status status) {
  switch (status) {
    case Status::Pausing: return ExecutionStatus::Pausing;
    case Status::Paused: return ExecutionStatus::Paused;
    case Status::Canceling: return ExecutionStatus::Canceling;
    case Status::Succeeded: return ExecutionStatus::Succeeded;
    case Status::Failed: return ExecutionStatus::Failed;
    case Status::Timeout: return ExecutionStatus::Timeout;
    case Status::Canceled: return ExecutionStatus::Canceled;
    case Status::Abandoned: return ExecutionStatus::Abandoned;
    default: return ExecutionStatus::Running;
  }
}

Value begin_workflow(Context& ctx, Transition& t, ExecutionRow& row,
                     const Catalog::ActionRef& action, const Value& inputs, int depth) {
  row.started = ctx.now();
  if (depth > kDeepestWorkflow) {
    return end_before_start(ctx, t, row,
                            fmt::format("workflow '{}' would be {} levels deep; {} are allowed",
                                        row.action, depth, kDeepestWorkflow));
  }
  if (!action.workflow || !action.workflow->definition) {
    return end_before_start(ctx, t, row,
                            action.workflow ? action.workflow->faults : "it has no definition");
  }
  // Its id is another one in each decision: it is known by its place among those that begin.
  int place = t.beginnings++;
  if (auto why = t.broken_beginnings.find(place); why != t.broken_beginnings.end()) {
    return end_before_start(ctx, t, row, why->second);
  }
  row.status = ExecutionStatus::Running;
  auto& live = ctx.add_workflow(make_live(ctx, row, action, depth, {}));
  WorkflowRun run(ctx, t, live, &row);
  auto done = live.conductor->begin(context_of(row, *action.pack), inputs);
  if (done.ok()) done = live.conductor->request_status(Status::Running);
  if (done.ok()) done = run.run();
  if (!done.ok() && !t.again && !note_need(t, done.error(), row.id)) {
    t.again = true;
    // Those that began after it are counted anew.
    t.broken_beginnings.erase(t.broken_beginnings.lower_bound(place), t.broken_beginnings.end());
    t.broken_beginnings[place] = done.error().describe();
  }
  return run.result();
}

void tell_workflow(Context& ctx, Transition& t, const ExecutionRow& step, const Value& result) {
  if (!step.parent || t.again) return;
  const ExecutionRow* parent = ctx.execution(t, step.parent);
  if (!parent) {
    // Not loaded: it is told by a transition of its own.
    if (is_final(step.status)) {
      t.changes.messages.push_back(
          message_for(ctx, step.tenant, step.root, MessageKind::AdvanceWorkflow, step.id));
    }
    return;
  }
  if (is_final(parent->status)) return;
  LiveWorkflow* live = ctx.workflow(t, step.parent);
  if (t.again) return;
  if (const auto* why = broken(t, step.parent)) {
    fail_workflow(ctx, t, ExecutionRow(*parent), *why);
    return;
  }
  if (!live) {
    if (is_final(step.status)) {
      t.changes.messages.push_back(
          message_for(ctx, step.tenant, step.root, MessageKind::AdvanceWorkflow, step.id));
    }
    return;
  }
  if (!live->open.contains(step.id)) return;
  WorkflowRun run(ctx, t, *live);
  auto done = run.step_changed(step, result);
  if (done.ok() && !t.again) done = run.run();
  handle(t, step.parent, done);
}

void go_on(Context& ctx, Transition& t, const ExecutionRow& workflow) {
  if (is_final(workflow.status)) return;
  LiveWorkflow* live = ctx.workflow(t, workflow.id);
  if (t.again) return;
  if (const auto* why = broken(t, workflow.id)) {
    fail_workflow(ctx, t, ExecutionRow(workflow), *why);
    return;
  }
  if (!live) return;
  ExecutionId id = workflow.id;  // `workflow` may lie among the rows that change
  WorkflowRun run(ctx, t, *live);
  auto done = run.run();
  handle(t, id, done);
}

Result<void> ask_workflow(Context& ctx, Transition& t, const ExecutionRow& workflow,
                          Status status) {
  LiveWorkflow* live = ctx.workflow(t, workflow.id);
  if (t.again) return {};
  const auto* why = broken(t, workflow.id);
  if (!live || why) {
    fail_workflow(ctx, t, workflow, why ? *why : "its state is not there");
    return {};
  }
  Status now = live->conductor->state().status;
  bool asked_before = status == Status::Canceled
                          ? conductor::kCancel.has(now)
                          : status == Status::Paused && conductor::kPause.has(now);
  if (asked_before || conductor::kCompleted.has(now)) return {};
  WorkflowRun run(ctx, t, *live);
  auto done = live->conductor->request_status(status);
  if (!done.ok() && done.error().kind() == ErrorKind::Conflict) {
    ctx.forget_workflows(t);
    return done.error();
  }
  handle(t, workflow.id, done);
  return {};
}

void fail_workflow(Context& ctx, Transition& t, const ExecutionRow& workflow,
                   std::string_view why) {
  t.changes.messages.push_back(
      message_for(ctx, workflow.tenant, workflow.root, MessageKind::CancelExecution, workflow.id));
  Value result = Value::map(
      {{"output", Value()}, {"errors", Value(ValueList{Value::map({{"message", why}})})}});
  finish(ctx, t, workflow, ExecutionStatus::Failed, FailureClass::UserError, result);
}

namespace {

struct HeldTask {
  std::string task;
  int32_t route = 0;
};

Result<HeldTask> find_held(const conductor::Conductor& conductor, ExecutionId id,
                           const Resolution& resolution) {
  std::vector<HeldTask> held;
  for (const auto& entry : conductor.state().sequence()) {
    if (!entry.held) continue;
    HeldTask task{conductor.definition().graph().node(entry.task).name, entry.route};
    bool meant =
        resolution.task.empty() || (task.task == resolution.task && task.route == resolution.route);
    if (meant) held.push_back(std::move(task));
  }
  if (held.size() == 1) return held[0];
  std::string what = resolution.task.empty() ? "no task" : "no task '" + resolution.task + "'";
  if (!held.empty()) what = "more than one task: name one with --task;";
  return Error(ErrorKind::Conflict, "EXE-0012",
               fmt::format("execution {} holds {} for a decision", id.value, what));
}

// Questions that were left open when the workflow ended have nobody who asks them any more.
Result<void> end_questions(conductor::Conductor& conductor) {
  std::vector<HeldTask> open;
  for (const auto& entry : conductor.state().sequence()) {
    if (entry.status != Status::Pending || entry.held) continue;
    open.push_back({conductor.definition().graph().node(entry.task).name, entry.route});
  }
  for (const auto& task : open) {
    TRY(conductor.event(task.task, task.route, {.status = Status::Canceled}));
  }
  return {};
}

}  // namespace

Result<void> resolve_held(Context& ctx, Transition& t, const ExecutionRow& workflow,
                          const Resolution& resolution) {
  LiveWorkflow* live = ctx.workflow(t, workflow.id);
  if (t.again || !live) return {};
  TRY(auto held, find_held(*live->conductor, workflow.id, resolution));
  WorkflowRun run(ctx, t, *live);
  Result<void> done;
  if (resolution.kind == Resolution::Kind::Retry) {
    done = live->conductor->retry_held(held.task, held.route);
  } else {
    bool succeeds = resolution.kind == Resolution::Kind::Succeed;
    conductor::TaskEvent event{.status = succeeds ? Status::Succeeded : Status::Failed,
                               .result = resolution.result};
    auto told = live->conductor->event(held.task, held.route, event);
    if (!told.ok()) done = told.error();
  }
  if (done.ok()) done = run.run();
  handle(t, workflow.id, done);
  return {};
}

Result<Value> begin_rerun(Context& ctx, Transition& t, ExecutionRow& row,
                          const ExecutionRow& original,
                          const std::vector<conductor::RerunRequest>& tasks) {
  auto action = ctx.catalog().find_action(original.action, original.release);
  const auto* stored = ctx.rows().workflow(original.id);
  if (!action || !action->workflow || !action->workflow->definition || !stored) {
    return Error(
        ErrorKind::Conflict, "EXE-0016",
        fmt::format("execution {}: its workflow's state or release is gone", original.id.value));
  }
  auto environment = ctx.environment(*action->pack);
  if (const auto* why = broken(t, original.id)) {
    return Error(ErrorKind::Conflict, "EXE-0016",
                 fmt::format("execution {}: {}", original.id.value, *why));
  }
  TRY(auto copy, LiveWorkflow::restore(stored->state, stored->runs, {}, original,
                                       action->workflow->definition, environment));
  auto& live =
      ctx.add_workflow(make_live(ctx, row, *action, 0, conductor::State(copy->conductor->state())));
  for (const auto& run : stored->runs) {
    live.results->note_stored({run.task, run.route});
    live.add_run({run.task, run.route}, run.item, run.execution);
  }
  ctx.absorb_needs(t, original.id, live);
  row.status = ExecutionStatus::Running;
  row.started = ctx.now();
  WorkflowRun run(ctx, t, live, &row);
  TRY(end_questions(*live.conductor));
  TRY(live.conductor->rerun(tasks));
  TRY(live.conductor->request_status(Status::Running));
  auto done = run.run();
  handle(t, original.id, done);
  bool stands_still = !is_final(row.status) && live.open.empty() && t.changes.messages.empty();
  if (!t.again && stands_still) {
    return Error(ErrorKind::Conflict, "EXE-0022",
                 fmt::format("execution {} has no task that failed: name those that are to run "
                             "again",
                             original.id.value));
  }
  return run.result();
}

}  // namespace millrace::engine
