// SPDX-License-Identifier: Apache-2.0
#include "engine/advance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/time.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

// What one decision ends inside the server; the rest goes on in the next one, so that a loop of
// pure actions holds nobody up.
constexpr int kMostStepsAtOnce = 500;

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

// What task() tells of a step.
Value task_info(const LiveWorkflow& live, const TaskKey& key, const ExecutionRow* step,
                Value result, std::string_view status = "running") {
  Value info = Value::map({{"task_execution_id", step ? Value(step->id.str()) : Value()},
                           {"workflow_execution_id", live.id.str()},
                           {"task_name", key.task},
                           {"task_id", key.task},
                           {"route", key.route}});
  info.set("result", std::move(result));
  info.set("status", step ? to_string(step->status) : status);
  info.set("start_timestamp", step && step->started ? Value(to_rfc3339(step->started)) : Value());
  info.set("end_timestamp", step && step->ended ? Value(to_rfc3339(step->ended)) : Value());
  return info;
}

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

std::string_view pack_of(std::string_view ref) { return ref.substr(0, ref.find('.')); }

FailureClass failure_of(Status status) {
  switch (status) {
    case Status::Succeeded: return FailureClass::None;
    case Status::Canceled: return FailureClass::Canceled;
    case Status::Timeout: return FailureClass::Timeout;
    default: return FailureClass::UserError;
  }
}

// One workflow on its way through one transition.
class Advance {
 public:
  // `unwritten`: the row while it is not in the transition's changes yet.
  Advance(Context& ctx, Transition& t, LiveWorkflow& live, ExecutionRow* unwritten = nullptr)
      : ctx_(ctx), t_(t), live_(live), conductor_(*live.conductor), unwritten_(unwritten) {
    auto same = [&](const auto& moved) { return moved.workflow == live.id; };
    if (std::ranges::none_of(t.workflows, same)) t.workflows.push_back({live.id, live.root});
  }

  Result<void> run();
  Result<void> step_changed(const ExecutionRow& step, const Value& result);
  // The result, once it has ended with `unwritten`.
  const Value& result() const { return result_; }

 private:
  const ExecutionRow& row() const {
    return unwritten_ ? *unwritten_ : *ctx_.execution(t_, live_.id);
  }
  Result<void> tell(const TaskKey& key, int32_t item, Status status, const Value& result = Value());
  // What ended while it was being started; reported once all of a round are told as running.
  struct Ended {
    TaskKey key;
    int32_t item = -1;
    Status status = Status::Succeeded;  // without `step`
    Value result;
    std::optional<ExecutionRow> step;
  };
  Result<void> start(const conductor::NextTask& task);
  Result<void> report(const Ended& ended);
  bool is_first_offer(const conductor::NextTask& task) const;
  Result<void> start_action(const conductor::NextTask& task, const conductor::ActionCall& call);
  StartRequest request_for(const conductor::NextTask& task, const conductor::ActionCall& call);
  bool is_pending(const TaskKey& key) const;
  const conductor::ItemList* staged_items(const TaskKey& key) const;
  Result<void> follow();
  Result<void> end();
  std::string held_tasks() const;

  Context& ctx_;
  Transition& t_;
  LiveWorkflow& live_;
  conductor::Conductor& conductor_;
  ExecutionRow* unwritten_;
  std::vector<Ended> ended_;
  Value result_;
};

Result<void> Advance::tell(const TaskKey& key, int32_t item, Status status, const Value& result) {
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
    live_.results->ended(key,
                         task_info(live_, key, nullptr, Value::map({{"items", event.accumulated}}),
                                   failed ? "failed" : to_string(status)),
                         -1, Value());
  }
  TRY(conductor_.event(key.task, key.route, event));
  return {};
}

// Starts what may start, until nothing more does, and brings the execution's row up to date.
Result<void> Advance::run() {
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

Result<void> Advance::start(const conductor::NextTask& task) {
  TaskKey key{task.id, task.route};
  bool known_empty = task.items_count && *task.items_count == 0;
  bool no_action = task.actions.size() == 1 && task.actions[0].action.is_null() &&
                   !task.waits_for_answer && task.delay.is_null();
  if (task.actions.empty() || no_action || known_empty) {
    // Nothing to run: it ends at once.
    live_.results->started(key, task_info(live_, key, nullptr, Value()), 0);
    ended_.push_back({.key = key, .result = task.items_count ? Value::list() : Value()});
    return tell(key, -1, Status::Running);
  }
  if (is_first_offer(task)) {
    live_.results->started(key, task_info(live_, key, nullptr, Value()),
                           task.items_count.value_or(0));
  }
  for (const auto& call : task.actions) {
    TRY(start_action(task, call));
    if (t_.again) break;
  }
  return {};
}

// Of a task with items: none of them has run.
bool Advance::is_first_offer(const conductor::NextTask& task) const {
  if (!task.items_count) return true;
  const auto* items = staged_items({task.id, task.route});
  return !items || items->count(conductor::StatusSet(Status::Null)) == items->size();
}

const conductor::ItemList* Advance::staged_items(const TaskKey& key) const {
  auto node = conductor_.definition().graph().find(key.task);
  const auto* staged = node ? conductor_.state().find_staged(*node, key.route) : nullptr;
  return staged && staged->items ? &*staged->items : nullptr;
}

Result<void> Advance::report(const Ended& ended) {
  ++t_.steps_ended;
  if (ended.step) return step_changed(*ended.step, ended.result);
  live_.results->ended(ended.key,
                       task_info(live_, ended.key, nullptr, ended.result, to_string(ended.status)),
                       ended.item, ended.result);
  return tell(ended.key, ended.item, ended.status, ended.result);
}

StartRequest Advance::request_for(const conductor::NextTask& task,
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

Result<void> Advance::start_action(const conductor::NextTask& task,
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

Result<void> Advance::step_changed(const ExecutionRow& step, const Value& result) {
  auto open = live_.open.find(step.id);
  if (open == live_.open.end()) return {};  // told before
  Status status = conductor_status(step.status);
  auto [key, item, told] = open->second;
  if (status == told) return {};
  bool final = is_final(step.status);
  if (final) {
    live_.open.erase(open);
    live_.results->ended(key, task_info(live_, key, &step, item < 0 ? result : Value()), item,
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

bool Advance::is_pending(const TaskKey& key) const {
  auto node = conductor_.definition().graph().find(key.task);
  auto entry = node ? conductor_.state().last(*node, key.route) : std::nullopt;
  return entry && conductor_.state().entry(*entry).status == Status::Pending;
}

// The execution's row follows the conductor's status.
Result<void> Advance::follow() {
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

std::string Advance::held_tasks() const {
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

Result<void> Advance::end() {
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
  Advance advance(ctx, t, live, &row);
  auto done = live.conductor->begin(context_of(row, *action.pack), inputs);
  if (done.ok()) done = live.conductor->request_status(Status::Running);
  if (done.ok()) done = advance.run();
  if (!done.ok() && !t.again && !note_need(t, done.error(), row.id)) {
    t.again = true;
    // Those that began after it are counted anew.
    t.broken_beginnings.erase(t.broken_beginnings.lower_bound(place), t.broken_beginnings.end());
    t.broken_beginnings[place] = done.error().describe();
  }
  return advance.result();
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
  Advance advance(ctx, t, *live);
  auto done = advance.step_changed(step, result);
  if (done.ok() && !t.again) done = advance.run();
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
  Advance advance(ctx, t, *live);
  auto done = advance.run();
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
  Advance advance(ctx, t, *live);
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
  Advance advance(ctx, t, *live);
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
  if (done.ok()) done = advance.run();
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
  Advance advance(ctx, t, live, &row);
  TRY(end_questions(*live.conductor));
  TRY(live.conductor->rerun(tasks));
  TRY(live.conductor->request_status(Status::Running));
  auto done = advance.run();
  handle(t, original.id, done);
  bool stands_still = !is_final(row.status) && live.open.empty() && t.changes.messages.empty();
  if (!t.again && stands_still) {
    return Error(ErrorKind::Conflict, "EXE-0022",
                 fmt::format("execution {} has no task that failed: name those that are to run "
                             "again",
                             original.id.value));
  }
  return advance.result();
}

}  // namespace millrace::engine
