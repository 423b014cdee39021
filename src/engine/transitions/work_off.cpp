// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/work_off.h"

#include <fmt/format.h>

#include "base/json.h"
#include "conductor/inspect.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

std::string_view pack_part(std::string_view ref) { return ref.substr(0, ref.find('.')); }

// What a workflow sees besides its own variables, under the names that StackStorm gives it.
Value context_of(const Context& ctx, const ExecutionRow& row, const Pack& pack,
                 const Action& action) {
  Value st2 = Value::map({{"action_execution_id", row.id.str()},
                          {"workflow_execution_id", row.id.str()},
                          {"user", row.identity},
                          {"api_user", row.identity},
                          {"pack", pack.ref},
                          {"action", row.action},
                          {"runner", action.runner_type},
                          {"api_url", ctx.api_url()}});
  auto started_by = row.env_json.empty() ? Value() : parse_json(row.env_json, kOwnJson);
  for (std::string_view name : {"rule", "trigger"}) {  // may fail: then nobody is named
    if (started_by.ok() && started_by->is_map() && started_by->find(name)) {
      st2.set(name, Value((*started_by)[name]));
    }
  }
  Value context = Value::map({{"st2", std::move(st2)}});
  if (row.parent) {
    context.set("parent", Value::map({{"execution_id", row.parent.str()},
                                      {"workflow_execution_id", row.parent.str()},
                                      {"task_id", row.task},
                                      {"task_name", row.task},
                                      {"task_route", row.task_route}}));
  }
  return context;
}

Value failed_with_errors(Value errors) {
  return Value::map({{"output", Value()}, {"errors", std::move(errors)}});
}

Value failed_with(std::string_view why) {
  return failed_with_errors(Value(ValueList{Value::map({{"message", why}})}));
}

// The actions that its tasks name, as a start of them would find them.
conductor::FindAction callees_of(const TenantCatalog& catalog, const ExecutionRow& workflow) {
  std::string_view own_pack = pack_part(workflow.action);
  return [&catalog, &workflow, own_pack](std::string_view ref) -> conductor::Callee {
    if (pack_part(ref) == own_pack) {
      auto pinned = catalog.find_action(ref, workflow.release);
      // Its release is kept: for this execution.
      if (pinned) return {.action = pinned->action.get()};
    }
    if (const auto* current = catalog.find_action(ref)) return {.action = current->action.get()};
    return {.advice = catalog.suggest_action(ref)};
  };
}

// What can be known of its calls before its first task runs.
Value errors_of_calls(const Context& ctx, const ExecutionRow& row,
                      const TenantCatalog::ActionRef& action) {
  Value errors = Value::list();
  const auto& spec = action.workflow->definition->spec();
  auto find_action = callees_of(ctx.catalog(row.tenant), row);
  for (auto& finding : conductor::inspect_content(spec, find_action, *action.action->workflow)) {
    errors.push_back(conductor::to_value(finding));
  }
  return errors;
}

// Its input and variables are rendered by a decision of their own.
void begin_later(Context& ctx, ExecutionId id) {
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  row.status = ExecutionStatus::Delayed;
  row.started = 0;
  std::erase(ctx.launched, id);
  set_timer(ctx, row, TimerKind::Wake, ctx.now());
}

Result<void> begin(Context& ctx, const Due& due) {
  const ExecutionRow& row = *ctx.execution(due.execution.id);  // until steps are added
  auto end_with = [&](Value errors) -> Result<void> {
    finish(ctx, row.id, ExecutionStatus::Failed, FailureClass::UserError,
           failed_with_errors(std::move(errors)));
    return {};
  };
  auto end = [&](std::string_view why) -> Result<void> {
    finish(ctx, row.id, ExecutionStatus::Failed, FailureClass::UserError, failed_with(why));
    return {};
  };
  if (ctx.has_evaluated_enough()) {
    begin_later(ctx, row.id);
    return {};
  }
  auto action = ctx.catalog(row.tenant).find_action(row.action, row.release);
  int depth = depth_of(ctx, row);
  if (depth > kDeepestWorkflow) {
    return end(fmt::format("workflow '{}' would be {} levels deep; {} are allowed", row.action,
                           depth, kDeepestWorkflow));
  }
  if (!action || !action->workflow || !action->workflow->definition) {
    if (!action || !action->workflow) return end("it has no definition");
    if (action->workflow->errors.size() == 0) return end(action->workflow->faults);
    return end_with(action->workflow->errors);
  }
  if (Value errors = errors_of_calls(ctx, row, *action); errors.size() > 0) {
    return end_with(std::move(errors));
  }
  // Its id is another one in each decision: it is known by its place among those that begin.
  int place = ctx.next_beginning();
  const auto& broken = ctx.learned().broken_beginnings;
  if (auto why = broken.find(place); why != broken.end()) return end(why->second);
  auto fresh = LiveWorkflow::of(row);
  fresh->depth = depth;
  fresh->beginning = place;
  auto environment = ctx.environment(*action->pack, row);
  if (ctx.lacks_config()) return needs_error();
  environment.outside = fresh->results.get();
  fresh->results->tells_items(!action->workflow->definition->native());
  fresh->conductor.emplace(action->workflow->definition, conductor::State(), environment);
  auto& live = ctx.add_workflow(std::move(fresh));
  WorkflowRun run(ctx, live);
  return run.check(run.begin(context_of(ctx, row, *action->pack, *action->action), due.value));
}

Result<void> changed(Context& ctx, const Due& due) {
  const ExecutionRow& step = *ctx.execution(due.execution.id);
  const ExecutionRow* parent = ctx.execution(step.parent);
  // Who is not at hand is told by a transition of its own.
  auto tell_later = [&]() -> Result<void> {
    if (is_final(step.status)) send(ctx, step, MessageKind::AdvanceWorkflow, step.id);
    return {};
  };
  if (!parent) return tell_later();
  if (is_final(parent->status)) return {};
  if (is_final(step.status) && ctx.has_done_enough()) return tell_later();
  auto live = ctx.workflow(step.parent);
  if (!live.ok()) return cannot_go_on(ctx, step.parent, live.error());
  if (!*live) return tell_later();
  if (!(*live)->open.contains(step.id)) return {};
  if (step.version == 1) ++ctx.steps_ended;
  WorkflowRun run(ctx, **live);
  TRY(run.check(run.step_changed(step, due.value)));
  go_on_later(ctx, *ctx.execution(step.parent));
  return {};
}

Result<void> go_on(Context& ctx, const Due& due) {
  ExecutionId id = due.execution.id;
  const ExecutionRow* row = ctx.execution(id);
  if (!row || is_final(row->status)) return {};
  auto live = ctx.workflow(id);
  if (!live.ok()) return cannot_go_on(ctx, id, live.error());
  if (!*live) return {};
  if (auto why = (*live)->too_large(); !why.empty()) {
    fail_workflow(ctx, id, why);
    return {};
  }
  WorkflowRun run(ctx, **live);
  return run.check(run.go_on());
}

}  // namespace

Result<void> work_off(Context& ctx) {
  while (!ctx.agenda.empty()) {
    Due due = ctx.agenda.next();
    switch (due.what) {
      case Due::What::Begin: TRY(begin(ctx, due)); break;
      case Due::What::Changed: TRY(changed(ctx, due)); break;
      case Due::What::GoOn: TRY(go_on(ctx, due)); break;
    }
  }
  settle_new(ctx);
  return {};
}

void fail_workflow(Context& ctx, ExecutionId workflow, std::string_view why) {
  ctx.forget_workflow(workflow);
  send(ctx, *ctx.execution(workflow), MessageKind::CancelExecution, workflow);
  finish(ctx, workflow, ExecutionStatus::Failed, FailureClass::UserError, failed_with(why));
}

Result<void> cannot_go_on(Context& ctx, ExecutionId workflow, const Error& why) {
  if (is_another_try(why)) return why;
  const ExecutionRow* row = ctx.execution(workflow);
  if (!row || is_final(row->status)) return {};
  if (row->status == ExecutionStatus::Canceling) {
    send(ctx, *row, MessageKind::CancelExecution, workflow);
    finish(ctx, workflow, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
  } else if (why.code() != kNoRelease) {
    fail_workflow(ctx, workflow, why.message());
  } else {
    hold_for_release(ctx, workflow);
  }
  return {};
}

void go_on_later(Context& ctx, const ExecutionRow& workflow) {
  ctx.agenda.add(depth_of(ctx, workflow),
                 {Due::What::GoOn, {workflow.tenant, workflow.id}, Value()});
}

}  // namespace millrace::engine
