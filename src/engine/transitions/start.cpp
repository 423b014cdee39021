// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/start.h"

#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/advance.h"
#include "engine/transitions/builtins.h"
#include "packs/parameters.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// What an execution's environment needs beyond its row, stored as JSON beside it.
std::string encode_env(const StartRequest& request) {
  Value env = Value::map();
  if (!request.rule_ref.empty()) env.set("rule", request.rule_ref);
  if (!request.trigger_ref.empty()) env.set("trigger", request.trigger_ref);
  if (request.env.is_map() && request.env.size() > 0) env.set("env", request.env);
  return env.size() == 0 ? std::string() : to_json(env);
}

Result<void> check_env(const Value& env) {
  if (env.is_null()) return {};
  for (const auto& entry : env.as_map()) {
    if (!entry.value.is_string() || entry.name().empty() ||
        entry.name().find_first_of(std::string_view("=\0", 2)) != std::string_view::npos ||
        entry.name().starts_with("MILLRACE_")) {
      return Error(ErrorKind::Invalid, "EXE-0009",
                   fmt::format("env.{}: expected a string under a name without '=' that does not "
                               "begin with MILLRACE_",
                               entry.name()));
    }
  }
  return {};
}

// The result as every action has it.
Value result_of(std::string_view out, std::string_view err, int exit_code, Value output) {
  return Value::map(
      {{"stdout", out}, {"stderr", err}, {"exit_code", exit_code}, {"output", std::move(output)}});
}

void put_result(Transition& t, ExecutionRow& row, std::string result_json) {
  row.result_size = static_cast<int64_t>(result_json.size());
  if (row.result_size > kInlineResultBytes) {
    t.changes.result_blobs.push_back({row.id, row.tenant, std::move(result_json)});
    row.result_json.clear();
  } else {
    row.result_json = std::move(result_json);
  }
}

// What a process would have printed, so that logs and live output are there for these runs too.
void put_output(Transition& t, const ExecutionRow& row, Stream stream, const std::string& text) {
  if (text.empty()) return;
  OutputRow output;
  output.execution = row.id;
  output.tenant = row.tenant;
  output.attempt = row.attempt;
  output.stream = stream;
  output.content.bytes = text;
  output.content.size = static_cast<int64_t>(text.size());
  t.changes.outputs.push_back(std::move(output));
}

// Returns the result when it has ended.
Value run_inside(Context& ctx, Transition& t, ExecutionRow& row, const Value& parameters) {
  auto outcome = run_builtin(ctx, t, row, parameters);
  row.started = ctx.now();
  auto kind = outcome.ok() ? outcome->kind : BuiltinOutcome::Kind::Failed;
  switch (kind) {
    case BuiltinOutcome::Kind::Sleeping:
      row.status = ExecutionStatus::Running;
      set_timer(ctx, t, row, TimerKind::Wake, outcome->wake_at);
      return {};
    case BuiltinOutcome::Kind::Asking:
      row.status = ExecutionStatus::Pending;
      row.held = fmt::format("waits for an answer: millrace inquiry answer {}", row.id.value);
      if (outcome->wake_at > 0) set_timer(ctx, t, row, TimerKind::Timeout, outcome->wake_at);
      return {};
    case BuiltinOutcome::Kind::Succeeded: {
      put_output(t, row, Stream::Stdout, outcome->stdout_text);
      Value result = result_of(outcome->stdout_text, "", 0, std::move(outcome->output));
      end_at_once(ctx, t, row, ExecutionStatus::Succeeded, FailureClass::None, to_json(result));
      return result;
    }
    case BuiltinOutcome::Kind::Failed: break;
  }
  std::string error = outcome.ok() ? outcome->error : outcome.error().message();
  put_output(t, row, Stream::Stderr, error);
  Value result = result_of("", error, 1, Value());
  end_at_once(ctx, t, row, ExecutionStatus::Failed, FailureClass::UserError, to_json(result));
  return result;
}

// The lease and `started`, in the commit that `t` makes (K7).
Result<void> grant(Context& ctx, Transition& t, ExecutionRow& row, WorkerId worker) {
  row.status = ExecutionStatus::Running;
  row.worker = worker;
  row.epoch += 1;
  row.started = ctx.now();
  TRY(auto order, make_order(ctx.catalog(), row));
  t.orders.emplace_back(worker, std::move(order));
  return {};
}

void enqueue(Transition& t, const ExecutionRow& row, int64_t now) {
  t.changes.enqueue.push_back({row.id, row.tenant, now + rank_offset_ms(row.priority), row.root});
}

// The execution that asks ends; unless it does so with an answer, the question is closed.
void close_inquiry(Context& ctx, Transition& t, const ExecutionRow& row, ExecutionStatus status) {
  if (status == ExecutionStatus::Succeeded) return;
  InquiryRow inquiry;
  inquiry.id = InquiryId{row.id.value};
  inquiry.tenant = row.tenant;
  inquiry.status =
      status == ExecutionStatus::Timeout ? InquiryStatus::Expired : InquiryStatus::Canceled;
  inquiry.updated = ctx.now();
  inquiry.version = 2;
  t.changes.feed.push_back({.tenant = row.tenant,
                            .type = EntityType::Inquiry,
                            .op = ChangeOp::Updated,
                            .entity = row.id.value,
                            .detail = std::string(to_string(inquiry.status)),
                            .at = ctx.now()});
  t.changes.inquiries.push_back(std::move(inquiry));
}

// Brings an admitted execution to work: ended at once, on a worker, in the queue, or waiting inside
// the server. `row` is not in `t.changes` yet. Returns the result when it has ended.
Value launch(Context& ctx, Transition& t, ExecutionRow& row, const Catalog::ActionRef& action,
             const Value& parameters, int depth) {
  Value result;
  auto cannot = [&](std::string_view why) {
    result = result_of("", why, 1, Value());
    end_at_once(ctx, t, row, ExecutionStatus::Failed, FailureClass::Spawn, to_json(result));
  };
  switch (action.action->runner) {
    case Runner::Builtin: result = run_inside(ctx, t, row, parameters); break;
    case Runner::Workflow: result = begin_workflow(ctx, t, row, action, parameters, depth); break;
    case Runner::Unsupported:
      cannot(fmt::format("runner type '{}' is not supported by this server",
                         action.action->runner_type));
      break;
    case Runner::Http:
    case Runner::Shell:
    case Runner::Script: {
      // Whoever waits in the queue comes first.
      auto worker = ctx.somebody_waits() ? std::nullopt : ctx.take_slot(t);
      if (!worker) {
        row.status = ExecutionStatus::Requested;
        enqueue(t, row, ctx.now());
      } else if (auto granted = grant(ctx, t, row, *worker); !granted.ok()) {
        ctx.free_slot(t, *worker);
        row.worker = {};
        cannot(granted.error().message());
      }
      return result;
    }
  }
  if (!is_final(row.status) && row.timeout_ms > 0) {
    set_timer(ctx, t, row, TimerKind::Timeout, ctx.now() + row.timeout_ms);
  }
  return result;
}

int depth_of(Context& ctx, const Transition& t, const ExecutionRow& row) {
  int depth = 0;
  for (const auto* above = ctx.execution(t, row.parent); above && depth <= kDeepestWorkflow;
       above = ctx.execution(t, above->parent)) {
    ++depth;
  }
  return depth;
}

const Catalog::ActionRef* find_action(Context& ctx, const StartRequest& request,
                                      std::optional<Catalog::ActionRef>& pinned) {
  if (!request.release.empty()) {
    pinned = ctx.catalog().find_action(request.action, request.release);
    if (pinned) return &*pinned;
  }
  return ctx.catalog().find_action(request.action);
}

}  // namespace

void set_timer(Context& ctx, Transition& t, const ExecutionRow& row, TimerKind kind, int64_t due) {
  TimerRow timer;
  timer.id = ctx.new_id<TimerId>();
  timer.tenant = row.tenant;
  timer.shard = shard_of(row.tenant, row.root.value);
  timer.due = due;
  timer.kind = kind;
  timer.subject = row.id.value;
  t.changes.timers.push_back(std::move(timer));
}

void note_execution(Context& ctx, Transition& t, const ExecutionRow& row, ChangeOp op) {
  t.changes.feed.push_back({.tenant = row.tenant,
                            .type = EntityType::Execution,
                            .op = op,
                            .entity = row.id.value,
                            .detail = std::string(to_string(row.status)),
                            .at = ctx.now()});
}

Result<Started> start_execution(Context& ctx, Transition& t, const StartRequest& request) {
  std::optional<Catalog::ActionRef> pinned;
  const auto* found = find_action(ctx, request, pinned);
  if (!found) {
    return Error(ErrorKind::NotFound, "EXE-0001",
                 fmt::format("unknown action '{}'{}", request.action,
                             ctx.catalog().suggest_action(request.action)));
  }
  const Action& action = *found->action;
  if (!action.enabled) {
    return Error(ErrorKind::Conflict, "EXE-0002",
                 fmt::format("action '{}' is disabled", request.action));
  }
  TRY(check_env(request.env));
  KeyLookup keys =
      ctx.keys({request.tenant, key_user(request.identity), found->pack->ref, action.ref});
  packs::CallScope scope{.pack_config = found->pack->config, .lookup = &keys};
  Value given =
      request.casts ? packs::cast_parameters(action, request.parameters) : request.parameters;
  TRY(Value parameters, packs::check_parameters(action, given, scope, ctx.expressions()));

  ExecutionRow row;
  row.id = ctx.new_id<ExecutionId>();
  row.tenant = request.tenant;
  row.action = action.ref;
  row.release = found->pack->digest;
  row.effect_class = action.effect_class;
  row.priority = request.priority;
  row.parent = request.parent;
  row.root = request.root ? request.root : row.id;
  row.enforcement = request.enforcement;
  row.original = request.original;
  // What runs inside the server ends by itself, unless somebody asks for less.
  bool unlimited = request.timeout_ms > 0 || action.runner == Runner::Builtin;
  row.timeout_ms = unlimited ? request.timeout_ms : action.timeout_ms;
  row.created = row.updated = ctx.now();
  row.identity = request.identity;
  row.trace = request.trace;
  row.parameters_json = to_json(parameters);
  row.env_json = encode_env(request);
  if (row.env_json.empty()) row.env_json = request.inherited_env;
  row.task = request.task;
  row.task_route = request.task_route;
  row.task_item = request.task_item;

  Started started{.id = row.id};
  if (request.delay_ms > 0) {
    row.status = ExecutionStatus::Delayed;
    set_timer(ctx, t, row, TimerKind::Wake, ctx.now() + request.delay_ms);
  } else {
    started.result = launch(ctx, t, row, *found, parameters, request.depth);
  }
  started.status = row.status;
  note_execution(ctx, t, row, ChangeOp::Created);
  t.changes.new_executions.push_back(std::move(row));
  return started;
}

void start_delayed(Context& ctx, Transition& t, const ExecutionRow& waiting) {
  ExecutionRow row = ctx.edit(t, waiting);
  row.status = ExecutionStatus::Requested;
  Value result;
  auto action = ctx.catalog().find_action(row.action, row.release);
  auto parameters = parse_json(row.parameters_json);
  if (action && parameters.ok()) {
    result = launch(ctx, t, row, *action, *parameters, depth_of(ctx, t, row));
  } else {
    result = result_of("", "the release that it is pinned to is gone", 1, Value());
    end_at_once(ctx, t, row, ExecutionStatus::Failed, FailureClass::Spawn, to_json(result));
  }
  note_execution(ctx, t, row, ChangeOp::Updated);
  ctx.edit(t, waiting) = row;
  tell_workflow(ctx, t, row, result);
}

void start_queued(Context& ctx, Transition& t, const ExecutionRow& waiting) {
  auto worker = ctx.take_slot(t);
  ASSERT(worker.has_value());
  ExecutionRow row = waiting;
  row.version += 1;
  row.updated = ctx.now();
  if (auto granted = grant(ctx, t, row, *worker); !granted.ok()) {
    // Its release is gone or its parameters cannot be read: it will never start.
    ctx.free_slot(t, *worker);
    finish(ctx, t, waiting, ExecutionStatus::Failed, FailureClass::Spawn,
           result_of("", granted.error().message(), 1, Value()));
    return;
  }
  t.changes.dequeue.push_back({row.tenant, row.id});
  note_execution(ctx, t, row, ChangeOp::Updated);
  t.changes.executions.push_back(std::move(row));
}

void start_waiting(Context& ctx, Transition& t) {
  while (ctx.free_slots() > 0) {
    const auto* next = ctx.next_queued(t);
    if (!next) return;
    start_queued(ctx, t, *next);
  }
}

void requeue(Context& ctx, Transition& t, ExecutionRow row) {
  row.version += 1;
  row.attempt += 1;
  row.status = ExecutionStatus::Requested;
  row.failure = FailureClass::None;
  row.worker = {};
  row.held.clear();
  row.updated = ctx.now();
  enqueue(t, row, ctx.now());
  note_execution(ctx, t, row, ChangeOp::Updated);
  t.changes.executions.push_back(std::move(row));
}

void finish(Context& ctx, Transition& t, const ExecutionRow& stored, ExecutionStatus status,
            FailureClass failure, const Value& result) {
  ASSERT(!is_final(stored.status) && is_final(status));
  ExecutionRow& row = ctx.edit(t, stored);
  if (row.status == ExecutionStatus::Requested) t.changes.dequeue.push_back({row.tenant, row.id});
  if (row.status == ExecutionStatus::Pending) close_inquiry(ctx, t, row, status);
  // Only runs inside the server have timers of their own.
  if (!row.worker) t.changes.timers_of_done.push_back({row.tenant, row.id});
  row.status = status;
  row.failure = failure;
  row.held.clear();
  row.ended = ctx.now();
  put_result(t, row, result.is_null() ? std::string() : to_json(result));
  note_execution(ctx, t, row, ChangeOp::Updated);
  ExecutionRow ended = row;  // the next one may move the rows
  tell_workflow(ctx, t, ended, result);
}

void end_at_once(Context& ctx, Transition& t, ExecutionRow& row, ExecutionStatus status,
                 FailureClass failure, std::string result_json) {
  row.status = status;
  row.failure = failure;
  row.held.clear();
  row.ended = ctx.now();
  put_result(t, row, std::move(result_json));
}

Result<WorkOrder> make_order(const Catalog& catalog, const ExecutionRow& row) {
  auto found = catalog.find_action(row.action, row.release);
  if (!found) {
    return Error(ErrorKind::NotFound, "EXE-0003",
                 fmt::format("action '{}': release {} that this execution is pinned to is gone",
                             row.action, row.release.substr(0, 12)));
  }
  WorkOrder order;
  order.tenant = row.tenant;
  order.key = row.key();
  const Action& action = *found->action;
  order.action = action.ref;
  order.pack = found->pack->ref;
  order.release = found->pack->digest;
  order.entry_point = action.entry_point;
  order.runner = action.runner;
  order.runner_type = action.runner_type;
  order.python_runner = action.python_runner;
  order.delivery = action.delivery;
  order.parameter_format = action.parameter_format;
  order.arguments = packs::argument_names(action);
  order.steering = packs::steering_names(action);
  order.permissions = action.permissions;
  order.timeout_ms = row.timeout_ms;
  if (!action.runtime.empty()) {
    const auto* runtime = catalog.find_runtime(action.runtime);
    if (!runtime) {
      return Error(ErrorKind::NotFound, "EXE-0004",
                   fmt::format("action '{}': unknown runtime '{}'", row.action, action.runtime));
    }
    order.runtime = *runtime;
  }
  TRY(order.parameters, parse_json(row.parameters_json));
  order.secrets = packs::secret_values(action, order.parameters);
  order.env = {{"MILLRACE_ACTION", row.action},
               {"MILLRACE_PACK", found->pack->ref},
               {"MILLRACE_EXEC_ID", row.id.str()},
               {"MILLRACE_ATTEMPT", std::to_string(row.attempt)},
               {"MILLRACE_IDEMPOTENCY_KEY", "execution-" + row.id.str()},
               {"MILLRACE_TRACE_PARENT", row.trace}};
  if (!row.env_json.empty()) {
    TRY(Value extra, parse_json(row.env_json));
    order.env.emplace_back("MILLRACE_RULE", extra.string_or("rule", ""));
    order.env.emplace_back("MILLRACE_TRIGGER", extra.string_or("trigger", ""));
    if (const Value* own = extra.find("env")) {
      for (const auto& entry : own->as_map()) {
        order.env.emplace_back(entry.name(), entry.value.as_string());
      }
    }
  }
  return order;
}

}  // namespace millrace::engine
