// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "conductor/firing.h"
#include "conductor/task_lookup.h"

namespace millrace::conductor {

Result<Conductor::Firing> Conductor::fire_transitions(EntryIndex index, const Value& result) {
  NodeId task = state_.entry(index).task;
  TaskLookup lookup(*this, task, state_.entry(index).route);
  lookup.with_result(result);
  Firing firing;
  expr::Scope scope = this->scope(merged(state_.entry(index).in), lookup);
  std::vector<std::optional<bool>> holding;
  if (native()) {
    TRY(holding, conditions(index, scope));
    firing.held = wants_hold(index, holding);
    if (firing.held) return firing;
    note_undoable(index);
  }
  if (node(task).out.empty() && !state_.entry(index).compensates) changed(index).term = true;
  for (EdgeId edge : node(task).out) {
    auto transition = static_cast<size_t>(graph().edge(edge).transition);
    std::optional<bool> holds;
    if (native()) {
      holds = holding[transition];
    } else {
      TRY(holds, condition(node(task).task->next[transition], index, edge, scope));
    }
    if (!holds) continue;
    changed(index).next.emplace_back(edge, *holds);
    if (*holds) {
      TRY(fire(index, edge, scope, firing));
    }
  }
  if (graph().has_settled_joins()) arrive_at_settled(index, firing);
  // Tasks that stand beside a `fail` are its clean-up: they run although the workflow fails.
  if (firing.fails) {
    for (const auto& [next, route] : firing.tasks) {
      if (Staged* staged = state_.find_staged(next, route)) staged->run_on_fail = true;
    }
  }
  return firing;
}

// Whether a transition's condition holds; nothing when it cannot be told, which fails the workflow.
Result<std::optional<bool>> Conductor::condition(const Transition& transition, EntryIndex index,
                                                 EdgeId edge, expr::Scope& scope) {
  if (transition.when.is_null()) return std::optional(true);
  auto value = render(transition.when, scope);
  if (value.ok()) return std::optional(expr::truthy(*value));
  TRY(fail_in_transition(std::move(value).error(), index, edge));
  return std::optional<bool>();
}

// Follows one transition: publishes, and stages the target.
Result<void> Conductor::fire(EntryIndex index, EdgeId edge, expr::Scope scope, Firing& firing) {
  const Edge& way = graph().edge(edge);
  const Transition& transition = node(way.source).task->next[static_cast<size_t>(way.transition)];
  TRY(auto published, publish(transition, index, edge, scope));
  if (!published) return {};

  ContextList in = state_.entry(index).in;
  if (published->size() > 0) {
    auto context = static_cast<ContextIndex>(state_.contexts.size());
    state_.contexts.push_back(std::move(*published));
    in.push_back(context);
    changed(index).out = {edge, context};
  }
  stage_target(index, edge, std::move(in), firing);
  return {};
}

// Each value sees those before it. Nothing when one failed.
Result<std::optional<Value>> Conductor::publish(const Transition& transition, EntryIndex index,
                                                EdgeId edge, expr::Scope& scope) {
  Value published = Value::map();
  bool failed = false;
  std::optional<Error> needs;
  for (const Assignment& assignment : transition.publish) {
    auto value = render_kept(assignment.value, scope);
    if (!value.ok() && !expr::needed_key(value.error()).empty()) {
      expr::add_needs(needs, value.error());
      continue;
    }
    if (!value.ok()) {
      TRY(fail_in_transition(std::move(value).error(), index, edge));
      failed = true;
      continue;
    }
    bool is_seen = &assignment != &transition.publish.back();
    if (is_seen) assign(scope, assignment.name, *value);
    published.set(assignment.name, std::move(*value));
  }
  if (needs) return std::move(*needs);
  if (failed) return std::optional<Value>();
  return std::optional(std::move(published));
}

// An expression of a transition that fails is logged and fails the workflow.
Result<void> Conductor::fail_in_transition(Error error, EntryIndex index, EdgeId edge) {
  if (!expr::needed_key(error).empty()) return error;
  const Entry& entry = state_.entry(index);
  log_error(error.message(), node(entry.task).name, entry.route, graph().out_name(edge));
  return request_status(Status::Failed);
}

// A settled join hears of a task that ends without leading to it, too.
void Conductor::arrive_at_settled(EntryIndex index, Firing& firing) {
  const auto& next = state_.entry(index).next;
  std::vector<std::pair<NodeId, EdgeId>> silent;
  for (EdgeId edge : node(state_.entry(index).task).out) {
    NodeId target = graph().edge(edge).target;
    const auto& barrier = node(target).barrier;
    if (!barrier || !barrier->settled()) continue;
    bool led = std::ranges::any_of(next, [&](const auto& told) {
      return told.second && graph().edge(told.first).target == target;
    });
    bool known = std::ranges::any_of(silent, [&](const auto& s) { return s.first == target; });
    if (!led && !known) silent.emplace_back(target, edge);
  }
  for (const auto& [target, edge] : silent) {
    stage_target(index, edge, state_.entry(index).in, firing);
  }
}

void Conductor::stage_target(EntryIndex index, EdgeId edge, ContextList in, Firing& firing) {
  NodeId target = graph().edge(edge).target;
  RouteId route = route_after(edge, state_.entry(index).route);
  Staged* staged = state_.find_staged(target, route);
  if (!staged) {
    state_.staged.push_back({.task = target, .route = route, .in = std::move(in)});
    staged = &state_.staged.back();
  } else {
    // Another branch got here first: its variables stay below those that arrive now. The root
    // context would cover them.
    if (auto root = std::ranges::find(in, 0); root != in.end()) in.erase(root);
    staged->in.insert(staged->in.end(), in.begin(), in.end());
    if (staged->items) items_cleared(*staged);
    staged->items.reset();
    staged->completed = false;
  }
  compact(staged->in);
  auto back = std::ranges::find(staged->prev, edge, &std::pair<EdgeId, EntryIndex>::first);
  if (back == staged->prev.end()) {
    staged->prev.emplace_back(edge, index);
  } else {
    back->second = index;
  }
  // The target's own route begins here: what led to it happened on the source's route.
  staged->ready = inbound(target, state_.entry(index).route) == Inbound::Satisfied;
  changes_.head = true;
  if (is_command(node(target).name)) {
    firing.commands.emplace_back(target, route);
    firing.fails = firing.fails || node(target).name == "fail";
  } else if (staged->ready) {
    firing.tasks.emplace_back(target, route);
  }
}

RouteId Conductor::route_after(EdgeId edge, RouteId route) {
  const Edge& way = graph().edge(edge);
  const Node& target = node(way.target);
  if (!target.is_split || target.in_cycle) return route;
  Route steps = state_.routes[static_cast<size_t>(route)];
  RouteStep step{way.source, way.key};
  if (std::ranges::find(steps, step) != steps.end()) return route;
  steps.push_back(step);
  state_.routes.push_back(std::move(steps));
  return static_cast<RouteId>(state_.routes.size()) - 1;
}

}  // namespace millrace::conductor
