// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/workflow_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "engine/transitions/advance.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

// What one decision ends inside the server; the rest goes on in the next one, so that a loop of
// pure actions holds nobody up.
constexpr int kMostStepsAtOnce = 500;

std::string_view pack_of(std::string_view ref) { return ref.substr(0, ref.find('.')); }

FailureClass failure_of(Status status) {
  switch (status) {
    case Status::Succeeded: return FailureClass::None;
    case Status::Canceled: return FailureClass::Canceled;
    case Status::Timeout: return FailureClass::Timeout;
    default: return FailureClass::UserError;
  }
}

}  // namespace

MessageRow message_for(Context& ctx, TenantId tenant, ExecutionId root, MessageKind kind,
                       ExecutionId subject) {
  MessageRow message;
  message.id = ctx.new_id<MessageId>();
  message.tenant = tenant;
  message.shard = shard_of(tenant, root.value);
  message.kind = kind;
  message.subject = subject.value;
  message.created = ctx.now();
  return message;
}

WorkflowRun::WorkflowRun(Context& ctx, Transition& t, LiveWorkflow& live, ExecutionRow* unwritten)
    : ctx_(ctx), t_(t), live_(live), conductor_(*live.conductor), unwritten_(unwritten) {
  auto same = [&](const auto& moved) { return moved.workflow == live.id; };
  if (std::ranges::none_of(t.workflows, same)) t.workflows.push_back({live.id, live.root});
}

Result<void> WorkflowRun::tell(const TaskKey& key, int32_t item, Status status,
                               const Value& result) {
  conductor::TaskEvent event{.status = status, .result = result};
  if (item >= 0) event.item = static_cast<size_t>(item);
  if (item >= 0 && conductor_.needs_results(key.task, key.route, event)) {
    auto items = live_.results->all_items(key);
    if (!items) {
      return Error(ErrorKind::Unavailable, "EXP-0004", "the results of the items must be loaded")
          .with_problem(need_of(key), "not loaded");
    }
    const auto& all = *staged_items(key);
    items->mutable_list().resize(all.size());
    event.accumulated = std::move(*items);
    bool failed = conductor::kAbended.has(status) || all.count(conductor::kAbended) > 0;
    live_.results->ended(
        key,
        task_info(live_.id, key, nullptr, Value::map({{"items", event.accumulated}}),
                  failed ? "failed" : to_string(status)),
        -1, Value());
  }
  TRY(conductor_.event(key.task, key.route, event));
  return {};
}

// Starts what may start, until nothing more does, and brings the execution's row up to date.
Result<void> WorkflowRun::run() {
  for (;;) {
    if (t_.steps_ended > kMostStepsAtOnce) {
      t_.changes.messages.push_back(
          message_for(ctx_, live_.tenant, live_.root, MessageKind::AdvanceWorkflow, live_.id));
      break;
    }
    TRY(auto tasks, conductor_.next_tasks());
    if (tasks.empty()) break;
    for (const auto& task : tasks) {
      TRY(start(task));
      if (t_.again) return {};
    }
    auto ended = std::move(ended_);
    ended_.clear();
    for (const auto& each : ended) {
      TRY(report(each));
      if (t_.again) return {};
    }
  }
  return follow();
}

Result<void> WorkflowRun::start(const conductor::NextTask& task) {
  TaskKey key{task.id, task.route};
  bool known_empty = task.items_count && *task.items_count == 0;
  bool no_action = task.actions.size() == 1 && task.actions[0].action.is_null() &&
                   !task.waits_for_answer && task.delay.is_null();
  if (task.actions.empty() || no_action || known_empty) {
    // Nothing to run: it ends at once.
    live_.results->started(key, task_info(live_.id, key, nullptr, Value()), 0);
    ended_.push_back({.key = key, .result = task.items_count ? Value::list() : Value()});
    return tell(key, -1, Status::Running);
  }
  if (is_first_offer(task)) {
    live_.results->started(key, task_info(live_.id, key, nullptr, Value()),
                           task.items_count.value_or(0));
  }
  for (const auto& call : task.actions) {
    TRY(start_action(task, call));
    if (t_.again) break;
  }
  return {};
}

// Of a task with items: none of them has run.
bool WorkflowRun::is_first_offer(const conductor::NextTask& task) const {
  if (!task.items_count) return true;
  const auto* items = staged_items({task.id, task.route});
  return !items || items->count(conductor::StatusSet(Status::Null)) == items->size();
}

const conductor::ItemList* WorkflowRun::staged_items(const TaskKey& key) const {
  auto node = conductor_.definition().graph().find(key.task);
  const auto* staged = node ? conductor_.state().find_staged(*node, key.route) : nullptr;
  return staged && staged->items ? &*staged->items : nullptr;
}

Result<void> WorkflowRun::report(const Ended& ended) {
  ++t_.steps_ended;
  if (ended.step) return step_changed(*ended.step, ended.result);
  live_.results->ended(
      ended.key, task_info(live_.id, ended.key, nullptr, ended.result, to_string(ended.status)),
      ended.item, ended.result);
  return tell(ended.key, ended.item, ended.status, ended.result);
}

StartRequest WorkflowRun::request_for(const conductor::NextTask& task,
                                      const conductor::ActionCall& call) {
  const ExecutionRow& own = row();
  StartRequest request;
  request.tenant = live_.tenant;
  request.action = call.action.is_string() ? std::string(call.action.as_string())
                   : call.action.is_null() ? "core.noop"
                                           : to_json(call.action);
  if (task.waits_for_answer) request.action = "core.ask";
  if (pack_of(request.action) == pack_of(own.action)) request.release = own.release;
  request.parameters = call.input.is_null() ? Value::map() : call.input;
  request.priority = own.priority;
  request.parent = own.id;
  request.root = own.root;
  request.depth = live_.depth + 1;
  request.task = task.id;
  request.task_route = task.route;
  request.task_item = call.item ? static_cast<int32_t>(*call.item) : -1;
  request.identity = own.identity;
  request.trace = own.trace;
  request.inherited_env = own.env_json;
  request.casts = conductor_.definition().is_chain();
  auto ms = [](const Value& seconds) {
    return seconds.is_number() ? static_cast<int64_t>(std::llround(seconds.as_float() * 1000)) : 0;
  };
  request.delay_ms = ms(task.delay);
  request.timeout_ms = ms(task.timeout);
  return request;
}

Result<void> WorkflowRun::start_action(const conductor::NextTask& task,
                                       const conductor::ActionCall& call) {
  TaskKey key{task.id, task.route};
  int32_t item = call.item ? static_cast<int32_t>(*call.item) : -1;
  auto started = start_execution(ctx_, t_, request_for(task, call));
  if (t_.again) return {};
  if (!started.ok() && note_need(t_, started.error(), live_.id)) return {};
  if (!started.ok()) {
    ended_.push_back({.key = key,
                      .item = item,
                      .status = Status::Failed,
                      .result = Value::map({{"error", started.error().describe()}})});
    return tell(key, item, Status::Running);
  }
  live_.add_run(key, item, started->id);
  live_.open[started->id] = {key, item, Status::Null};
  // Told as running from the start, also while it waits for a slot or for its delay.
  TRY(tell(key, item, Status::Running));
  live_.open[started->id].told = Status::Running;
  const ExecutionRow* step = ctx_.execution(t_, started->id);
  ASSERT(step);
  if (conductor_status(step->status) != Status::Running) {
    ended_.push_back({.key = key, .item = item, .result = started->result, .step = *step});
  }
  return {};
}

Result<void> WorkflowRun::step_changed(const ExecutionRow& step, const Value& result) {
  auto open = live_.open.find(step.id);
  if (open == live_.open.end()) return {};  // told before
  Status status = conductor_status(step.status);
  auto [key, item, told] = open->second;
  if (status == told) return {};
  bool final = is_final(step.status);
  if (final) {
    live_.open.erase(open);
    live_.results->ended(key, task_info(live_.id, key, &step, item < 0 ? result : Value()), item,
                         result);
  } else {
    open->second.told = status;
  }
  bool was_pending = is_pending(key);
  bool goes_on = !conductor::kPause.has(status) && !conductor::kCancel.has(status);
  if (conductor::kPause.has(told) && goes_on) {
    // The only way out of a pause, also when nothing was left to do and it ends at once.
    TRY(tell(key, item, Status::Resuming));
    if (final) TRY(tell(key, item, Status::Running));
  }
  TRY(tell(key, item, status, result));
  // In Orquesta a question pauses the workflow, and its answer lets it go on.
  bool was_paused_by_it = was_pending && final && !conductor_.definition().native();
  if (was_paused_by_it && conductor::kPause.has(conductor_.state().status)) {
    TRY(conductor_.request_status(Status::Resuming));
  }
  return {};
}

bool WorkflowRun::is_pending(const TaskKey& key) const {
  auto node = conductor_.definition().graph().find(key.task);
  auto entry = node ? conductor_.state().last(*node, key.route) : std::nullopt;
  return entry && conductor_.state().entry(*entry).status == Status::Pending;
}

// The execution's row follows the conductor's status.
Result<void> WorkflowRun::follow() {
  if (conductor_.is_over()) return end();
  std::string held = held_tasks();
  ExecutionStatus status = execution_status(conductor_.state().status);
  if (is_final(status)) status = ExecutionStatus::Running;  // cleans up, undoes
  if (row().status == ExecutionStatus::Canceling) status = ExecutionStatus::Canceling;
  bool waits = status == ExecutionStatus::Canceling || status == ExecutionStatus::Pausing ||
               status == ExecutionStatus::Paused;
  if (!held.empty() && live_.open.empty()) {
    status = ExecutionStatus::NeedsDecision;
  } else if (held.empty() && waits) {
    held = row().held;  // says for whom
  }
  if (unwritten_) {
    unwritten_->status = status;
    unwritten_->held = std::move(held);
    return {};
  }
  ExecutionRow before = row();
  if (before.status == status && before.held == held) return {};
  ExecutionRow& after = ctx_.edit(t_, before);
  after.status = status;
  after.held = std::move(held);
  ExecutionRow now = after;
  note_execution(ctx_, t_, now, ChangeOp::Updated);
  if (before.status != status && status != ExecutionStatus::NeedsDecision) {
    tell_workflow(ctx_, t_, now, Value());
  }
  return {};
}

std::string WorkflowRun::held_tasks() const {
  const auto& state = conductor_.state();
  if (!state.any(conductor::StatusSet(Status::Pending))) return {};
  std::string names;
  for (const auto& entry : state.sequence()) {
    if (!entry.held) continue;
    const auto& name = conductor_.definition().graph().node(entry.task).name;
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
  }
  if (names.empty()) return {};
  return fmt::format(
      "task {} failed and is held for an operator: millrace execution resolve {} "
      "retry|succeed|fail --task NAME",
      names, live_.id.value);
}

Result<void> WorkflowRun::end() {
  TRY(conductor_.render_output());
  if (!conductor_.is_over()) return run();  // the output failed: what was done is undone
  const auto& state = conductor_.state();
  Status status = state.status;
  if (row().failure == FailureClass::Timeout && status == Status::Canceled) {
    status = Status::Timeout;
  }
  Value result = Value::map({{"output", state.output}});
  if (!state.errors.empty()) {
    Value errors = Value::list();
    for (const auto& error : state.errors) errors.push_back(error.to_value());
    result.set("errors", std::move(errors));
  }
  if (!live_.open.empty()) {
    // Questions that nobody has to answer any more.
    t_.changes.messages.push_back(
        message_for(ctx_, live_.tenant, live_.root, MessageKind::CancelExecution, live_.id));
  }
  live_.over = true;
  ++t_.steps_ended;
  if (unwritten_) {
    result_ = result;
    end_at_once(ctx_, t_, *unwritten_, execution_status(status), failure_of(status),
                to_json(result));
    return {};
  }
  ExecutionRow own = row();
  finish(ctx_, t_, own, execution_status(status), failure_of(status), result);
  return {};
}

}  // namespace millrace::engine
