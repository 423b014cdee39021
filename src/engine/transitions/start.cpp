// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/start.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/mutants.h"
#include "engine/transitions/builtins.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/parameters.h"
#include "engine/transitions/run_env.h"
#include "engine/transitions/told_events.h"
#include "engine/transitions/waiting.h"
#include "engine/transitions/work_order.h"
#include "kernel/gauges.h"
#include "model/labels.h"

namespace millrace::engine {

using namespace kernel;

void hold_for_release(Context& ctx, ExecutionId id) {
  const ExecutionRow& row = *ctx.execution(id);
  if (mutant(Mutant::ReleaseGoneFails)) {
    return finish(ctx, id, ExecutionStatus::Failed, FailureClass::NoRelease, Value());
  }
  auto why = fmt::format("{}; it goes on when that is mended, or by: millrace execution resolve {}",
                         ctx.no_release(row).message(), id.value);
  // Said once: whoever follows the feed would hear the same at every look.
  if (row.failure == FailureClass::NoRelease && row.held == why) return;
  hold(ctx, id, FailureClass::NoRelease, std::move(why));
}

namespace {

// Of the steps of a decision, for the input and variables of a workflow that begins in it: so many
// do that each has them.
constexpr uint64_t kStepsToBegin = 20'000;

// What an execution's environment needs beyond its row, stored as JSON beside it. Workflows are
// told more of the rule: see system_of (context.cpp).
std::string encode_env(const StartRequest& request, bool is_workflow) {
  Value env;
  if (!request.rule_ref.empty()) env.set("rule", request.rule_ref);
  if (request.rule && is_workflow) {
    env.set("rule_id", request.rule.str());
    env.set("rule_revision", request.rule_revision);
    env.set("enforcement", request.enforcement.str());
  }
  if (!request.trigger_ref.empty()) env.set("trigger", request.trigger_ref);
  if (request.env.is_map() && request.env.size() > 0) env.set("env", request.env);
  if (request.chain > 0) env.set("chain", request.chain);
  if (request.context.is_map()) env.set("context", request.context);
  return env.size() == 0 ? std::string() : to_json(env);
}

void put_result(Context& ctx, ExecutionRow& row, std::string result_json) {
  row.result_size = static_cast<int64_t>(result_json.size());
  if (row.result_size > kInlineResultBytes) {
    ctx.changes.result_blobs.push_back({row.id, row.tenant, std::move(result_json)});
    row.result_json.clear();
  } else {
    row.result_json = std::move(result_json);
  }
}

// What a process would have printed, so that logs and live output are there for these runs too.
void put_output(Context& ctx, const ExecutionRow& row, Stream stream, const std::string& text) {
  if (text.empty()) return;
  OutputRow output;
  output.execution = row.id;
  output.tenant = row.tenant;
  output.attempt = row.attempt;
  output.stream = stream;
  output.content.bytes = text;
  output.content.size = static_cast<int64_t>(text.size());
  ctx.changes.outputs.push_back(std::move(output));
}

ExecutionRow& edit(Context& ctx, ExecutionId id) { return ctx.edit(*ctx.execution(id)); }

// A decision makes it: nothing of it is stored yet.
bool is_fresh(const ExecutionRow& row) { return row.version == 1; }

void run_inside(Context& ctx, ExecutionId id, const Value& parameters) {
  ExecutionRow& row = edit(ctx, id);
  auto outcome = run_builtin(ctx, row, parameters);
  row.started = ctx.now();
  auto kind = outcome.ok() ? outcome->kind : BuiltinOutcome::Kind::Failed;
  switch (kind) {
    case BuiltinOutcome::Kind::Sleeping:
      row.status = ExecutionStatus::Running;
      set_timer(ctx, row, TimerKind::Wake, outcome->wake_at);
      return;
    case BuiltinOutcome::Kind::Asking:
      row.status = ExecutionStatus::Pending;
      row.held = fmt::format("waits for an answer: millrace inquiry answer {}", row.id.value);
      if (outcome->wake_at > 0) set_timer(ctx, row, TimerKind::Timeout, outcome->wake_at);
      tell_workflow(ctx, row);
      return;
    case BuiltinOutcome::Kind::Succeeded:
      put_output(ctx, row, Stream::Stdout, outcome->stdout_text);
      finish(ctx, id, ExecutionStatus::Succeeded, FailureClass::None,
             result_of(outcome->stdout_text, "", 0, std::move(outcome->output)));
      return;
    case BuiltinOutcome::Kind::Failed: break;
  }
  std::string error = outcome.ok() ? outcome->error : outcome.error().message();
  put_output(ctx, row, Stream::Stderr, error);
  if (retry_by_policy(ctx, id, ExecutionStatus::Failed, error)) return;
  finish(ctx, id, ExecutionStatus::Failed, FailureClass::UserError,
         result_of("", error, 1, Value()));
}

// The lease and `started`, in the commit of this decision (K7).
Result<void> grant(Context& ctx, ExecutionRow& row, const Slots::Taken& slot) {
  WorkerId worker = slot.worker;
  row.status = ExecutionStatus::Running;
  row.worker = worker;
  if (!mutant(Mutant::EpochNotRaised)) row.epoch += 1;
  if (!mutant(Mutant::StartedNotWritten)) row.started = ctx.now();
  TRY(auto order, make_order(ctx, row));
  if (slot.borrowed) {
    if (!mutant(Mutant::HomeNotTold)) tell_home(ctx, row, slot.borrowed->permit);
    return {};
  }
  ctx.hold_slot(worker, row.key());
  ctx.decision().grants.emplace_back(worker, std::move(order));
  return {};
}

void cannot_start(Context& ctx, ExecutionId id, std::string_view why) {
  finish(ctx, id, ExecutionStatus::Failed, FailureClass::Spawn, result_of("", why, 1, Value()));
}

// Onto a worker, when a slot is free and nobody waits for one; else into the queue.
void launch_on_worker(Context& ctx, ExecutionId id) {
  ExecutionRow& row = edit(ctx, id);
  auto slot = ctx.somebody_waits(row.needs) ? std::nullopt : ctx.take_slot(row.needs);
  if (!slot) {
    row.status = ExecutionStatus::Requested;
    enqueue(ctx, row);
    return;
  }
  auto granted = grant(ctx, row, *slot);
  if (granted.ok()) return;
  ctx.free_slot(*slot);
  row.worker = {};
  cannot_start(ctx, id, granted.error().message());
}

// Brings an admitted execution to work: ended at once, on a worker, in the queue, or waiting inside
// the server.
void launch(Context& ctx, ExecutionId id, const Action& action, const Value& parameters) {
  if (!let_in(ctx, id, action, parameters)) return;
  switch (action.runner) {
    case Runner::Builtin:
      ctx.launched.push_back(id);
      run_inside(ctx, id, parameters);
      return;
    case Runner::Workflow: {
      ctx.launched.push_back(id);
      ExecutionRow& row = edit(ctx, id);
      row.status = ExecutionStatus::Running;
      row.started = ctx.now();
      (void)ctx.starts.take(kStepsToBegin);
      ctx.agenda.add(depth_of(ctx, row), {Due::What::Begin, {row.tenant, row.id}, parameters});
      return;
    }
    case Runner::Unsupported:
      cannot_start(
          ctx, id,
          fmt::format("runner type '{}' is not supported by this server", action.runner_type));
      return;
    case Runner::Http:
    case Runner::Shell:
    case Runner::Script: launch_on_worker(ctx, id); return;
  }
}

const TenantCatalog::ActionRef* find_action(Context& ctx, const StartRequest& request,
                                            std::optional<TenantCatalog::ActionRef>& pinned) {
  const auto& catalog = ctx.catalog(request.tenant);
  if (!request.release.empty()) {
    pinned = catalog.find_action(request.action, request.release);
    if (pinned) return &*pinned;
  }
  return catalog.find_action(request.action);
}

// Of the runtimes those that a machine may lack.
std::string needs_of(const Action& action) {
  bool on_worker = action.runner == Runner::Script || action.runner == Runner::Shell ||
                   action.runner == Runner::Http;
  if (!on_worker) return {};
  auto needs = action.runs_on;
  bool may_lack = action.runtime == "python" || action.runtime == "node";
  if (may_lack) needs.push_back(std::string(kRuntimeLabel) + action.runtime);
  return join_labels(std::move(needs));
}

ExecutionRow make_row(Context& ctx, const StartRequest& request,
                      const TenantCatalog::ActionRef& found, const Resolved& resolved) {
  const Action& action = *found.action;
  ExecutionRow row;
  row.id = request.root ? ctx.new_id<ExecutionId>() : ctx.new_root<ExecutionId>(request.tenant);
  row.tenant = request.tenant;
  row.action = action.ref;
  row.release = found.pack->digest;
  row.effect_class = action.effect_class;
  row.needs = needs_of(action);
  row.priority = request.priority;
  row.parent = request.parent;
  row.root = request.root ? request.root : row.id;
  row.enforcement = request.enforcement;
  row.original = request.original;
  row.timeout_ms = resolved.timeout_ms;
  row.parameters_json = to_json(resolved.parameters);
  row.defaults = resolved.defaults;
  row.created = row.updated = ctx.now();
  row.identity = request.identity;
  row.trace = request.trace;
  row.env_json = encode_env(request, action.runner == Runner::Workflow);
  if (row.env_json.empty()) row.env_json = request.inherited_env;
  row.task = request.task;
  row.task_route = request.task_route;
  row.task_item = request.task_item;
  row.retries = request.retries;
  return row;
}

void start_queued(Context& ctx, const ExecutionRow& waiting) {
  ExecutionId id = waiting.id;
  if (!ctx.catalog(waiting.tenant).find_action(waiting.action, waiting.release)) {
    hold_for_release(ctx, id);
    return;
  }
  auto slot = ctx.take_slot(waiting.needs);
  ASSERT(slot.has_value());
  ExecutionRow& row = ctx.edit(waiting);
  if (auto granted = grant(ctx, row, *slot); !granted.ok()) {
    // Its runtime is gone or its parameters cannot be read: it will never start.
    ctx.free_slot(*slot);
    row.status = ExecutionStatus::Requested;
    row.worker = {};
    cannot_start(ctx, id, granted.error().message());
    return;
  }
  if (!mutant(Mutant::QueueRowKept)) dequeue(ctx, row);
  note_update(ctx, row);
}

}  // namespace

void tell_home(Context& ctx, const ExecutionRow& row, const Permit& permit) {
  ctx.changes.feed.push_back(
      {.tenant = row.tenant,
       .type = EntityType::Worker,
       .op = ChangeOp::Updated,
       .entity = row.worker.value,
       .detail = to_text(PermitUse{.run = row.key(), .home = permit.home, .number = permit.number}),
       .at = ctx.now()});
}

// The result as every action has it.
Value result_of(std::string_view out, std::string_view err, int exit_code, Value output) {
  // The last three are StackStorm's names.
  return Value::map({{"stdout", out},
                     {"stderr", err},
                     {"exit_code", exit_code},
                     {"output", std::move(output)},
                     {"return_code", exit_code},
                     {"succeeded", exit_code == 0},
                     {"failed", exit_code != 0}});
}

void set_timer(Context& ctx, const ExecutionRow& row, TimerKind kind, int64_t due) {
  if (mutant(Mutant::TimerLost) && kind == TimerKind::Wake) return;
  TimerRow timer;
  timer.id = ctx.new_id<TimerId>();
  timer.tenant = row.tenant;
  timer.shard = shard_of(row.tenant, row.root.value);
  timer.due = due;
  timer.kind = kind;
  timer.subject = row.id.value;
  ctx.changes.timers.push_back(std::move(timer));
}

void note_update(Context& ctx, const ExecutionRow& row) {
  if (is_fresh(row)) return;  // see settle_new
  ctx.changes.feed.push_back({.tenant = row.tenant,
                              .type = EntityType::Execution,
                              .op = ChangeOp::Updated,
                              .entity = row.id.value,
                              .detail = std::string(to_string(row.status)),
                              .at = ctx.now()});
}

void send(Context& ctx, const ExecutionRow& of_tree, MessageKind kind, ExecutionId subject,
          std::string_view body) {
  MessageRow message;
  message.id = ctx.new_id<MessageId>();
  message.tenant = of_tree.tenant;
  message.shard = shard_of(of_tree.tenant, of_tree.root.value);
  message.kind = kind;
  message.subject = subject.value;
  message.body_json = body;
  message.created = ctx.now();
  ctx.changes.messages.push_back(std::move(message));
}

int depth_of(const Context& ctx, const ExecutionRow& row) {
  int depth = 0;
  for (const auto* above = ctx.execution(row.parent); above && depth <= kDeepestWorkflow;
       above = ctx.execution(above->parent)) {
    ++depth;
  }
  return depth;
}

void tell_workflow(Context& ctx, const ExecutionRow& step, Value result) {
  if (!step.parent) return;
  if (mutant(Mutant::WorkflowNotTold) && step.status == ExecutionStatus::Canceled) return;
  ctx.agenda.add(depth_of(ctx, step) - 1,
                 {Due::What::Changed, {step.tenant, step.id}, std::move(result)});
}

void settle_new(Context& ctx) {
  for (ExecutionId id : ctx.launched) {
    const ExecutionRow& row = *ctx.execution(id);
    if (is_final(row.status) || row.timeout_ms <= 0) continue;
    set_timer(ctx, row, TimerKind::Timeout, ctx.now() + row.timeout_ms);
  }
  for (const auto& row : ctx.changes.new_executions) {
    ctx.changes.feed.push_back({.tenant = row.tenant,
                                .type = EntityType::Execution,
                                .op = ChangeOp::Created,
                                .entity = row.id.value,
                                .detail = std::string(to_string(row.status)),
                                .at = ctx.now()});
  }
}

Result<ExecutionId> start_execution(Context& ctx, const StartRequest& request) {
  std::optional<TenantCatalog::ActionRef> pinned;
  const auto* found = find_action(ctx, request, pinned);
  if (!found) {
    return Error(ErrorKind::NotFound, "EXE-0001",
                 fmt::format("unknown action '{}'{}", request.action,
                             ctx.catalog(request.tenant).suggest_action(request.action)));
  }
  const Action& action = *found->action;
  if (!action.enabled) {
    return Error(ErrorKind::Conflict, "EXE-0002",
                 fmt::format("action '{}' is disabled", request.action));
  }
  TRY(check_secrets_are_hidden(action));
  TRY(check_env(request.env, ctx.env_allowed()));
  TRY(auto resolved, resolve(ctx, request, *found));
  if (request.delay_ms <= 0) {
    TRY(check_may_start(ctx, request, action, resolved.parameters));
  }

  ExecutionRow row = make_row(ctx, request, *found, resolved);
  ExecutionId id = row.id;
  if (request.delay_ms > 0) {
    row.status = ExecutionStatus::Delayed;
    set_timer(ctx, row, TimerKind::Wake, ctx.now() + request.delay_ms);
  }
  bool delayed = row.status == ExecutionStatus::Delayed;
  ctx.changes.new_executions.push_back(std::move(row));
  if (!delayed) launch(ctx, id, action, resolved.parameters);
  return id;
}

void start_delayed(Context& ctx, ExecutionId id) {
  ExecutionRow& row = edit(ctx, id);
  auto action = ctx.catalog(row.tenant).find_action(row.action, row.release);
  if (!action) {
    hold_for_release(ctx, id);
    return;
  }
  // Its status stays until it is launched: Requested would mean that it is in the queue.
  row.failure = FailureClass::None;
  row.held.clear();
  if (is_held_back(ctx, row)) return hold_back(ctx, id);
  auto parameters = parse_json(row.parameters_json, kOwnJson);
  if (!parameters.ok()) {
    cannot_start(ctx, id, parameters.error().message());
    return;
  }
  launch(ctx, id, *action->action, *parameters);
  const ExecutionRow& after = *ctx.execution(id);
  if (!is_final(after.status)) note_update(ctx, after);  // an end is noted by itself
}

void start_when_due(Context& ctx, ExecutionId id) {
  ExecutionRow& row = edit(ctx, id);
  if (!ctx.rows().has_delay(id)) {
    // Its timer has fired, which may not be durable yet.
    ctx.changes.timers_of_done.push_back({row.tenant, id});
    return start_delayed(ctx, id);
  }
  row.status = ExecutionStatus::Delayed;
  row.held.clear();
  note_update(ctx, row);
}

void start_waiting(Context& ctx) {
  while (const auto* next = ctx.next_queued()) start_queued(ctx, *next);
}

void dequeue(Context& ctx, const ExecutionRow& row) {
  ctx.changes.dequeue.push_back({row.tenant, row.id});
  ctx.decision().left_queue.emplace_back(row.tenant, row.needs);
}

void enqueue(Context& ctx, const ExecutionRow& row) {
  if (mutant(Mutant::QueueRowLost)) return;
  ctx.changes.enqueue.push_back(
      {row.id, row.tenant, ctx.now() + rank_offset_ms(row.priority), row.root, row.needs});
}

void requeue(Context& ctx, ExecutionId id) {
  ExecutionRow& row = edit(ctx, id);
  row.attempt += 1;
  row.failure = FailureClass::None;
  row.worker = {};
  row.held.clear();
  if (is_held_back(ctx, row)) return hold_back(ctx, id);
  bool is_let_in = counted_of(row.limits).how == Counted::How::Holds;
  if (!is_let_in && !ctx.catalog(row.tenant).policies().of(row.action).empty()) {
    return start_delayed(ctx, id);  // it has never been let in
  }
  row.status = ExecutionStatus::Requested;
  enqueue(ctx, row);
  note_update(ctx, row);
}

void retry(Context& ctx, ExecutionId id) {
  const ExecutionRow& held = *ctx.execution(id);
  auto action = ctx.catalog(held.tenant).find_action(held.action, held.release);
  bool inside = action && (action->action->runner == Runner::Builtin ||
                           action->action->runner == Runner::Workflow);
  if (!inside) return requeue(ctx, id);
  ctx.changes.timers_of_done.push_back({held.tenant, id});  // it is given its own anew
  edit(ctx, id).attempt += 1;
  start_delayed(ctx, id);
}

void close_inquiry(Context& ctx, const ExecutionRow& row, ExecutionStatus status) {
  if (status == ExecutionStatus::Succeeded || mutant(Mutant::InquiryKept)) return;
  InquiryRow inquiry;
  inquiry.id = InquiryId{row.id.value};
  inquiry.tenant = row.tenant;
  inquiry.status =
      status == ExecutionStatus::Timeout ? InquiryStatus::Expired : InquiryStatus::Canceled;
  inquiry.updated = ctx.now();
  inquiry.version = row.attempt * int64_t{2};
  ctx.changes.feed.push_back({.tenant = row.tenant,
                              .type = EntityType::Inquiry,
                              .op = ChangeOp::Updated,
                              .entity = row.id.value,
                              .detail = std::string(to_string(inquiry.status)),
                              .at = ctx.now()});
  ctx.changes.inquiries.push_back(std::move(inquiry));
}

void finish(Context& ctx, ExecutionId id, ExecutionStatus status, FailureClass failure,
            const Value& result) {
  leave_limits(ctx, id);
  ExecutionRow& row = edit(ctx, id);
  ASSERT(!is_final(row.status) && is_final(status));
  if (!is_fresh(row)) {
    if (row.status == ExecutionStatus::Requested) dequeue(ctx, row);
    if (row.status == ExecutionStatus::Pending) close_inquiry(ctx, row, status);
    // Only runs inside the server have timers of their own.
    bool has_timers = !row.worker && !mutant(Mutant::TimersOfEndedKept);
    if (has_timers) ctx.changes.timers_of_done.push_back({row.tenant, row.id});
  }
  row.status = status;
  row.failure = failure;
  row.held.clear();
  row.ended = ctx.now();
  put_result(ctx, row, result.is_null() ? std::string() : to_json(result));
  tell_ended(ctx, row, result);
  note_update(ctx, row);
  tell_workflow(ctx, row, result);
}

void hold(Context& ctx, ExecutionId id, FailureClass failure, std::string why) {
  stop_waiting(ctx, id);
  ExecutionRow& row = edit(ctx, id);
  if (row.status == ExecutionStatus::Requested && !is_fresh(row)) dequeue(ctx, row);
  bool asks = row.status == ExecutionStatus::Pending && !is_fresh(row);
  if (asks && !mutant(Mutant::HeldGoesOnAsking)) {
    close_inquiry(ctx, row, ExecutionStatus::NeedsDecision);
  }
  row.status = ExecutionStatus::NeedsDecision;
  row.failure = failure;
  row.worker = {};
  row.held = std::move(why);
  note_update(ctx, row);
}

}  // namespace millrace::engine
