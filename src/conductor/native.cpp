// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/mix.h"
#include "conductor/firing.h"
#include "conductor/task_lookup.h"

namespace millrace::conductor {
namespace {

// A number in [-1, 1) from a seed.
double chance(uint64_t seed) {
  return static_cast<double>(mix64(seed + kGolden64) >> 11) * 0x1.0p-52 - 1;
}

bool is_live(const Entry& entry) {
  return entry.status != Status::Null && !kCompleted.has(entry.status);
}

}  // namespace

// A settled join waits as long as anything that may still lead to it runs or is staged, on a route
// that the join's route continues.
bool Conductor::is_settled(NodeId join, RouteId route) {
  auto feeds = [&](NodeId task, RouteId from) {
    return node(join).fed_by[static_cast<size_t>(task)] &&
           continues(state_.routes[static_cast<size_t>(route)],
                     state_.routes[static_cast<size_t>(from)]);
  };
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    const Entry& entry = state_.entry(i);
    if (is_live(entry) && state_.is_last(i) && feeds(entry.task, entry.route)) return false;
  }
  for (const Staged& staged : state_.staged) {
    bool itself = staged.task == join && staged.route == route;
    if (itself || staged.completed || !feeds(staged.task, staged.route)) continue;
    const Node& other = node(staged.task);
    // Two settled joins of one cycle do not wait for each other.
    bool mutual = !staged.ready && other.barrier && other.barrier->settled() &&
                  other.fed_by[static_cast<size_t>(join)];
    if (mutual) continue;
    if (staged.ready || inbound(staged.task, staged.route) != Inbound::NotSatisfied) return false;
  }
  return true;
}

void Conductor::settle_joins() {
  for (Staged& staged : state_.staged) {
    const auto& barrier = node(staged.task).barrier;
    if (!barrier || !barrier->settled() || staged.ready) continue;
    if (!is_settled(staged.task, staged.route)) continue;
    staged.ready = true;
    changes_.head = true;
  }
}

// What the transitions of a task say, in the order of the document, each told once. With `first`
// those after the first that holds do not hold; `else` holds when no other does.
Result<std::vector<std::optional<bool>>> Conductor::conditions(EntryIndex index,
                                                               expr::Scope& scope) {
  const Node& task = node(state_.entry(index).task);
  std::vector<std::optional<bool>> holding(task.task ? task.task->next.size() : 0);
  bool any = false;
  for (size_t i = 0; i < holding.size(); ++i) {
    const Transition& transition = task.task->next[i];
    if (transition.is_else) continue;
    if (any && task.task->first) {
      holding[i] = false;
      continue;
    }
    auto edge = std::ranges::find_if(
        task.out, [&](EdgeId id) { return graph().edge(id).transition == static_cast<int>(i); });
    if (edge == task.out.end()) continue;  // leads nowhere but to `retry`
    TRY(holding[i], condition(transition, index, *edge, scope));
    any = any || holding[i].value_or(false);
  }
  for (size_t i = 0; i < holding.size(); ++i) {
    if (task.task->next[i].is_else) holding[i] = !any;
  }
  return holding;
}

// A task with `on_failure: hold` is held when it abended and nothing takes care of that; a task
// that undoes another one whenever it abended.
bool Conductor::wants_hold(EntryIndex index,
                           const std::vector<std::optional<bool>>& holding) const {
  const Entry& entry = state_.entry(index);
  const Task* task = node(entry.task).task;
  if (!task || !kAbended.has(entry.status) || entry.held) return false;
  if (entry.compensates) return true;
  if (!task->holds_on_failure || !kActive.has(state_.status)) return false;
  return std::ranges::none_of(node(entry.task).out, [&](EdgeId id) {
    const Edge& edge = graph().edge(id);
    return node(edge.target).name != "continue" &&
           holding[static_cast<size_t>(edge.transition)].value_or(false);
  });
}

Result<void> Conductor::hold(EntryIndex index) {
  TRY(send_to_task(index, "task_hold_requested"));
  changed(index).held = true;
  // It waits for people: that does not keep a workflow from pausing.
  if (state_.status == Status::Pausing && !state_.any(kActive)) {
    state_.status = Status::Paused;
    changes_.head = true;
  }
  return {};
}

// Nobody is asked any more about the held tasks of a workflow that is canceled.
void Conductor::release_held() {
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    if (!state_.entry(i).held) continue;
    changed(i).held = false;
    state_.set_status(i, Status::Canceled);
  }
}

Result<void> Conductor::retry_held(std::string_view task, RouteId route) {
  auto id = graph().find(task);
  auto index = id ? state_.last(*id, route) : std::nullopt;
  if (!index || !state_.entry(*index).held) {
    return Error(ErrorKind::Conflict, "CND-0007",
                 "task '" + std::string(task) + "' is not held on this route");
  }
  TRY(send_to_task(*index, "task_retry_requested"));
  Entry& entry = changed(*index);
  entry.held = false;
  changes_.head = true;
  Staged* staged = state_.find_staged(*id, route);
  if (!staged) {
    state_.staged.push_back({.task = *id,
                             .route = route,
                             .in = entry.in,
                             .prev = entry.prev,
                             .ready = true,
                             .compensates = entry.compensates});
    return {};
  }
  staged->completed = false;
  for (size_t i = 0; staged->items && i < staged->items->size(); ++i) {
    Status item = (*staged->items)[i];
    // One that was held back by a pause has never run.
    if (!kAbended.has(item) && !kPause.has(item)) continue;
    staged->items->set(i, Status::Null);
    item_changed(*staged, i);
  }
  return {};
}

bool Conductor::ended_badly() const {
  return native() && kCompleted.has(state_.status) && state_.status != Status::Succeeded;
}

// Remembers a run that can be undone, or that nobody has to undo any more.
void Conductor::note_undoable(EntryIndex index) {
  Entry& entry = changed(index);
  entry.held = false;  // an operator has decided
  changes_.head = true;
  if (entry.compensates) {
    // Done, or given up by an operator.
    std::erase(state_.undoable, *entry.compensates);
  } else if (entry.status == Status::Succeeded && node(entry.task).undone_by) {
    state_.undoable.push_back(index);
  }
}

// Stages the next task that undoes another one: the last completed first, one at a time, when
// nothing else goes on any more.
void Conductor::plan_compensation() {
  if (!ended_badly() || state_.undoable.empty() || any_at_work()) return;
  for (const Staged& staged : state_.staged) {
    if (staged.compensates || (staged.offered() && staged.run_on_fail)) return;
  }
  for (const Entry& entry : state_.sequence()) {
    if (entry.compensates && is_live(entry)) return;
  }
  EntryIndex index = state_.undoable.back();
  const Entry& entry = state_.entry(index);
  ContextList in = entry.in;
  if (entry.out) in.push_back(entry.out->second);
  state_.staged.push_back({.task = *node(entry.task).undone_by,
                           .route = entry.route,
                           .in = std::move(in),
                           .ready = true,
                           .compensates = index});
  changes_.head = true;
}

// Whether an action is under way. A with-items task whose other items will not be offered any more,
// because the workflow has ended, stays active without work.
bool Conductor::any_at_work() const {
  if (!state_.any(kActive)) return false;
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    const Entry& entry = state_.entry(i);
    if (!kActive.has(entry.status) || !state_.is_last(i)) continue;
    const Staged* staged = state_.find_staged(entry.task, entry.route);
    if (!staged || !staged->items || staged->items->count(kActive) > 0) return true;
  }
  return false;
}

bool Conductor::is_over() const {
  if (!kCompleted.has(state_.status) || any_at_work()) return false;
  if (ended_badly() && !state_.undoable.empty()) return false;
  return std::ranges::none_of(
      state_.staged, [](const Staged& staged) { return staged.offered() && staged.run_on_fail; });
}

Value Conductor::retry_delay(const Entry& entry) {
  const RetryState& state = *entry.retry;
  const Retry& retry = *node(entry.task).retry;
  if (!native() || !state.delay.is_number()) return state.delay;
  double delay = state.delay.as_float();
  auto tally = static_cast<double>(state.tally);
  if (retry.backoff == Backoff::Linear) delay *= tally;
  if (retry.backoff == Backoff::Exponential) delay *= std::exp2(tally - 1);
  if (retry.jitter > 0) {
    delay *= 1 + retry.jitter * chance(environment_.random_seed + evaluations_++);
  }
  if (state.max_delay.is_number()) delay = std::min(delay, state.max_delay.as_float());
  bool whole = delay == std::floor(delay) && delay < 1e15;
  return whole ? Value(static_cast<int64_t>(delay)) : Value(delay);
}

// The root names beside ctx(): parameters, workflow (the variables), task, config, keystore and
// system; item and index are added for each item.
Value Conductor::names(const Value& ctx) const {
  if (is_chain()) return chain_names(ctx);
  // Each evaluation has them: they share their keys.
  static const Value kNames = Value::map({{"parameters", Value()},
                                          {"workflow", Value()},
                                          {"task", Value::map()},
                                          {"config", Value()},
                                          {"keystore", Value::map()},
                                          {"system", Value()}});
  Value names = kNames;
  names.set("parameters", state_.parameters);
  names.set("workflow", ctx);
  names.set("config", environment_.config);
  names.set("system", environment_.system);
  return names;
}

// Looks up the tasks and keys that the expressions name.
Result<void> Conductor::add_named(const Renderable& source, expr::Scope& scope) const {
  if (is_chain()) return add_chain_names(source, scope);
  std::optional<Error> needs;  // of all of them at once
  std::optional<Error> no;
  auto add = [&](std::string_view root, const std::set<std::string>& names, auto ask) {
    if (names.empty()) return;
    Value group = scope.names[root];
    for (const std::string& name : names) {
      expr::Answer answer = ask(name);
      if (answer.needs_load()) expr::add_needs(needs, must_load(answer.key()));
      if (answer.is_refused()) no = expr::refused(answer);
      if (answer.found()) group.set(name, answer.value());
    }
    scope.names.set(root, std::move(group));
  };
  add("task", source.named_tasks(),
      [&](const std::string& name) { return scope.lookup->task(name, std::nullopt); });
  add("keystore", source.named_keys(),
      [&](const std::string& name) { return scope.lookup->kv(name, false); });
  if (no) return std::move(*no);
  if (needs) return std::move(*needs);
  return {};
}

}  // namespace millrace::conductor
