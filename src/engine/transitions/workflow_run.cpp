// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/workflow_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/log.h"
#include "base/mutants.h"
#include "engine/transitions/error_places.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/waiting.h"
#include "engine/transitions/work_off.h"
#include "packs/output.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

// What one decision ends inside the server; the rest goes on in the next one, so that a loop of
// pure actions holds nobody up.
constexpr int kMostStepsAtOnce = 500;

bool is_handed_over(const ExecutionRow& workflow) {
  return workflow.status == ExecutionStatus::NeedsDecision &&
         workflow.failure != FailureClass::None;
}

std::string_view pack_of(std::string_view ref) { return ref.substr(0, ref.find('.')); }

// What a task's delay, retry or timeout says in seconds. Beyond a hundred years it is a mistake:
// what does not fit would be over at once.
Result<int64_t> wait_ms(const Value& seconds, std::string_view what) {
  if (!seconds.is_number()) return 0;
  constexpr double kLongestS = 100.0 * 366 * 86'400;
  double s = seconds.as_float();
  if (!(std::abs(s) <= kLongestS)) {
    return Error(ErrorKind::Invalid, "EXE-0006",
                 fmt::format("the task's {}: expected up to {} seconds (100 years), found {}", what,
                             kLongestS, to_json(seconds)));
  }
  return static_cast<int64_t>(std::llround(s * 1000));
}

FailureClass failure_of(Status status) {
  switch (status) {
    case Status::Succeeded: return FailureClass::None;
    case Status::Canceled: return FailureClass::Canceled;
    case Status::Timeout: return FailureClass::Timeout;
    default: return FailureClass::UserError;
  }
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

WorkflowRun::WorkflowRun(Context& ctx, LiveWorkflow& live)
    : ctx_(ctx), live_(live), conductor_(*live.conductor) {
  ctx.moves(live);
}

Result<void> WorkflowRun::check(Result<void> done) {
  if (done.ok()) return {};
  if (auto need = ctx_.need(done.error(), live_.runs_of)) return std::move(*need);
  return ctx_.broke(live_, done.error());
}

Result<void> WorkflowRun::begin(const Value& context, const Value& inputs) {
  TRY(conductor_.begin(context, inputs));
  // An input or a variable that cannot be rendered has failed it, and says why.
  bool failed = conductor::kCompleted.has(conductor_.state().status);
  if (!failed) TRY(conductor_.request_status(Status::Running));
  return go_on();
}

Result<void> WorkflowRun::go_on() {
  // It was paused, or may have been before it was handed over: what was held back is heard of
  // before anything new is offered.
  bool was_paused = is_paused(row().status) || is_handed_over(row());
  bool is_resumed = was_paused && conductor::kRunning.has(conductor_.state().status);
  if (is_resumed) {
    TRY(bool touched, follow());
    if (touched) {
      go_on_later(ctx_, row());
      return {};
    }
  }
  for (;;) {
    done_for_now_ = false;
    while (!done_for_now_) TRY(start_round());
    if (!conductor_.is_over()) break;
    if (ctx_.has_done_enough() && rests()) break;
    // Of one that could not begin there is nothing that an output could show.
    if (!conductor_.state().contexts.empty()) TRY(conductor_.render_output());
    if (!conductor_.is_over()) continue;  // the output failed: what was done is undone
    return end();
  }
  TRY(follow());
  return {};
}

// One offer of the conductor, and the ends that it comes to at once.
Result<void> WorkflowRun::start_round() {
  done_for_now_ = true;
  if (rests()) return {};
  TRY(auto tasks, conductor_.next_tasks());
  done_for_now_ = tasks.empty() || conductor_.was_cut_short();
  if (conductor_.was_cut_short()) go_on_after_this();
  for (const auto& task : tasks) {
    if (!ctx_.has_started_enough()) TRY(start(task));
  }
  for (const auto& each : std::exchange(ended_, {})) TRY(report(each));
  return {};
}

bool WorkflowRun::rests() {
  bool is_put_off = ctx_.put_off.contains(live_.id);
  if (!is_put_off && ctx_.steps_ended <= kMostStepsAtOnce && !ctx_.has_done_enough()) return false;
  go_on_after_this();
  return true;
}

// In the next decision.
void WorkflowRun::go_on_after_this() {
  if (ctx_.put_off.insert(live_.id).second) {
    send(ctx_, row(), MessageKind::AdvanceWorkflow, live_.id);
  }
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
    std::vector<std::string_view> statuses;
    for (size_t i = 0; i < all.size(); ++i) {
      statuses.push_back(to_string(static_cast<int32_t>(i) == item ? status : all[i]));
    }
    live_.results->ended(
        key,
        TaskInfo(live_.id, nullptr, live_.results->shown(event.accumulated.as_list(), statuses),
                 failed ? "failed" : to_string(status)),
        -1, Value());
  }
  TRY(conductor_.event(key.task, key.route, event));
  return {};
}

Result<void> WorkflowRun::start(const conductor::NextTask& task) {
  TaskKey key{task.id, task.route};
  bool known_empty = task.items_count && *task.items_count == 0;
  bool no_action = task.actions.size() == 1 && task.actions[0].action.is_null() &&
                   !task.waits_for_answer && task.delay.is_null();
  if (task.actions.empty() || no_action || known_empty) {
    // Nothing to run: it ends at once.
    live_.results->started(key, TaskInfo(live_.id, nullptr, Value()), 0);
    ended_.push_back({.key = key, .result = task.items_count ? Value::list() : Value()});
    return tell(key, -1, Status::Running);
  }
  if (is_first_offer(task)) {
    live_.results->started(key, TaskInfo(live_.id, nullptr, Value()), task.items_count.value_or(0));
  }
  for (const auto& call : task.actions) {
    if (ctx_.has_started_enough()) break;  // the others are offered again
    TRY(start_action(task, call));
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
  ++ctx_.steps_ended;
  live_.results->ended(ended.key,
                       TaskInfo(live_.id, nullptr, ended.result, to_string(ended.status)),
                       ended.item, ended.result);
  return tell(ended.key, ended.item, ended.status, ended.result);
}

Result<StartRequest> WorkflowRun::request_for(const conductor::NextTask& task,
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
  request.task = task.id;
  request.task_route = task.route;
  request.task_item = call.item ? static_cast<int32_t>(*call.item) : -1;
  request.identity = own.identity;
  request.trace = own.trace;
  request.inherited_env = own.env_json;
  request.allowance = &ctx_.starts;
  TRY(request.delay_ms, wait_ms(task.delay, "delay"));
  TRY(request.timeout_ms, wait_ms(task.timeout, "timeout"));
  return request;
}

Result<void> WorkflowRun::start_action(const conductor::NextTask& task,
                                       const conductor::ActionCall& call) {
  TaskKey key{task.id, task.route};
  int32_t item = call.item ? static_cast<int32_t>(*call.item) : -1;
  auto request = request_for(task, call);
  auto started = request.ok() ? start_execution(ctx_, *request)
                              : Result<ExecutionId>(std::move(request).error());
  if (!started.ok()) {
    if (auto need = ctx_.need(started.error(), live_.runs_of)) return std::move(*need);
    ended_.push_back({.key = key,
                      .item = item,
                      .status = Status::Failed,
                      .result = Value::map({{"error", started.error().describe()}})});
    return tell(key, item, Status::Running);
  }
  live_.add_run(key, item, *started);
  live_.open[*started] = {key, item, Status::Null};
  // Told as running from the start, also while it waits for a slot or for its delay.
  TRY(tell(key, item, Status::Running));
  live_.open[*started].told = Status::Running;
  return {};
}

Result<void> WorkflowRun::step_changed(const ExecutionRow& step, const Value& result) {
  auto open = live_.open.find(step.id);
  if (open == live_.open.end()) return {};  // told before
  Status status = conductor_status(step.status);
  auto [key, item, told, untold_end] = open->second;
  if (status == told) return {};
  bool final = is_final(step.status);
  if (final) {
    live_.open.erase(open);
    live_.result_bytes += step.result_size;
    live_.results->ended(key, TaskInfo(live_.id, &step, item < 0 ? result : Value()), item, result);
  } else {
    open->second.told = status;
  }
  // An item that was held back, whose task has ended without it: nobody waits for it.
  if (item >= 0 && conductor::kPause.has(told) && goes_without_it(live_, key)) return {};
  bool was_pending = status_of(key) == Status::Pending;
  // A task knows how its paused action is canceled, but not how one of its paused items is.
  bool canceled_item = item >= 0 && status == Status::Canceled;
  bool goes_on =
      canceled_item || (!conductor::kPause.has(status) && !conductor::kCancel.has(status));
  if (conductor::kPause.has(told) && goes_on) {
    // The only way out of a pause, also when nothing was left to do and it ends at once.
    TRY(tell(key, item, Status::Resuming));
    if (final) TRY(tell(key, item, Status::Running));
  }
  TRY(tell(key, item, status, result));
  // Where a question pauses the workflow its answer lets it go on, unless somebody has paused it,
  // too.
  bool was_paused_by_it = was_pending && final && conductor_.definition().questions_pause() &&
                          !row().held.starts_with(kPausedBy);
  if (was_paused_by_it && conductor::kPause.has(conductor_.state().status)) {
    TRY(conductor_.request_status(Status::Resuming));
  }
  return {};
}

Status WorkflowRun::status_of(const TaskKey& key) const {
  auto node = conductor_.definition().graph().find(key.task);
  auto entry = node ? conductor_.state().last(*node, key.route) : std::nullopt;
  return entry ? conductor_.state().entry(*entry).status : Status::Null;
}

void tell_missed(Context& ctx, const ExecutionRow& workflow, const LiveWorkflow& live) {
  if (mutant(Mutant::MissedNotTold)) return;
  for (const auto& [step, how] : live.open) {
    if (how.ended) send(ctx, workflow, MessageKind::AdvanceWorkflow, step);
  }
}

// The execution's row follows the conductor's status.
Result<bool> WorkflowRun::follow() {
  if (conductor::kPause.has(conductor_.state().status)) TRY(drop_unwanted(ctx_, live_));
  std::string held = held_tasks();
  ExecutionStatus status = execution_status(conductor_.state().status);
  if (is_final(status)) status = ExecutionStatus::Running;  // cleans up, undoes
  const ExecutionRow& before = row();
  if (before.status == ExecutionStatus::Canceling) status = ExecutionStatus::Canceling;
  bool waits = status == ExecutionStatus::Canceling || is_paused(status);
  if (!held.empty() && live_.open.empty()) {
    status = ExecutionStatus::NeedsDecision;
  } else if (waits) {
    bool was_held = before.status == ExecutionStatus::NeedsDecision;
    held = was_held ? fmt::format("paused: millrace execution resume {}", live_.id.value)
                    : before.held;  // says for whom
  }
  if (before.status == status && before.held == held) return false;
  bool changed = before.status != status;
  bool was_handed_over = is_handed_over(before);
  bool pauses = is_paused(status);
  // Whether one that was handed over had been paused, its row does not tell.
  bool settles = was_handed_over || pauses != is_paused(before.status);
  ExecutionRow& after = ctx_.edit(before);
  after.status = status;
  after.held = std::move(held);
  if (was_handed_over) {
    after.failure = FailureClass::None;
    tell_missed(ctx_, after, live_);
  }
  note_update(ctx_, after);
  if (changed && status != ExecutionStatus::NeedsDecision) tell_workflow(ctx_, after);
  return settles ? settle_waiting(ctx_, live_) : Result<bool>(false);
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
  const auto& state = conductor_.state();
  Status status = state.status;
  const ExecutionRow& own = row();
  // Though its timer has not run yet.
  bool late = own.timeout_ms > 0 && own.started + own.timeout_ms <= ctx_.now();
  bool was_ended = own.failure == FailureClass::Timeout && status == Status::Canceled;
  if (was_ended || (late && status == Status::Succeeded)) status = Status::Timeout;
  Value result = Value::map({{"output", state.output}});
  Value errors = Value::list();
  for (const auto& error : state.errors) errors.push_back(error.to_value());
  auto action = ctx_.catalog(own.tenant).find_action(own.action, own.release);
  if (action) put_places(*action->action->workflow, errors);
  if (status == Status::Succeeded && action) {
    auto fault = packs::output_fault(*action->action, state.output);
    if (!fault.empty()) result.set("output_error", fault);
    if (!fault.empty() && !action->action->keeps_output_errors) {
      status = Status::Failed;
      errors.push_back(Value::map({{"type", "error"}, {"message", fault}}));
    }
  }
  // What went wrong on the way to a good end is seen at its tasks.
  if (status != Status::Succeeded && errors.size() > 0) result.set("errors", std::move(errors));
  if (conductor_.definition().is_chain()) {
    for (std::string_view name : {"tasks", "published"}) result.set(name, state.output[name]);
  }
  if (!live_.open.empty()) {
    // Questions that nobody has to answer any more.
    send(ctx_, row(), MessageKind::CancelExecution, live_.id);
  }
  live_.over = true;
  finish(ctx_, live_.id, execution_status(status), failure_of(status), result);
  auto again = retry_workflow(ctx_, live_.id);
  if (again.ok()) return {};
  if (auto need = ctx_.need(again.error())) return std::move(*need);
  log_warn("policy.not_retried", {{"execution", live_.id}, {"error", again.error().message()}});
  return {};
}

}  // namespace millrace::engine
