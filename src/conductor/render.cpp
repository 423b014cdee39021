// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "conductor/task_lookup.h"

namespace millrace::conductor {
namespace {

// Maps merge key by key, everything else is replaced.
void merge(Value& into, const Value& from) {
  for (const auto& [key, value] : from.as_map()) {
    const Value* present = into.find(key.as_string());
    if (present && present->is_map() && value.is_map()) {
      Value both = *present;
      merge(both, value);
      into.mutable_map().set(key, std::move(both));
    } else {
      into.mutable_map().set(key, value);
    }
  }
}

Error type_error(std::string message) {
  return Error(ErrorKind::Invalid, "CND-0010", "TypeError: " + std::move(message));
}

}  // namespace

Result<void> Conductor::begin(const Value& context, const Value& inputs) {
  Value ctx = context.is_map() ? context : Value::map();
  TaskLookup lookup(*this);
  bool failed = false;
  auto render = [&](const Renderable& source, expr::Scope& scope) -> Result<std::optional<Value>> {
    auto value = source.render(environment_.engine, scope);
    if (value.ok()) return std::optional(std::move(*value));
    if (!expr::needed_key(value.error()).empty()) return std::move(value).error();
    log_error(value.error().message());
    failed = true;
    return std::optional<Value>();
  };

  expr::Scope rolling = scope(ctx, lookup);
  state_.parameters = Value::map();
  for (const Assignment& input : definition_->spec().input) {
    const Value* given = inputs.find(input.name);
    Renderable source = input.value;
    if (given) {
      source = Renderable(*given);
      TRY(source.compile(environment_.engine, definition_->mode()));
    }
    TRY(auto value, render(source, rolling));
    if (!value) continue;
    rolling.ctx.set(input.name, *value);
    state_.parameters.set(input.name, std::move(*value));
  }
  merge(ctx, rolling.ctx);
  rolling.ctx = ctx;
  for (const Assignment& variable : definition_->spec().vars) {
    TRY(auto value, render(variable.value, rolling));
    if (!value) continue;
    rolling.ctx.set(variable.name, *value);
    merge(ctx, Value::map({{variable.name, std::move(*value)}}));
  }

  changes_.head = true;
  if (failed) return request_status(Status::Failed);
  state_.contexts.push_back(std::move(ctx));
  state_.routes.emplace_back();
  for (NodeId root : graph().roots()) {
    state_.staged.push_back({.task = root, .route = 0, .in = {0}, .ready = true});
  }
  return {};
}

const Value& Conductor::merged(const ContextList& in) {
  if (auto it = merged_.find(in); it != merged_.end()) return it->second;
  // Lists grow at their end: the merge of all but the last is mostly known.
  Value value = Value::map();
  if (!in.empty()) {
    ContextList before(in.begin(), in.end() - 1);
    if (!before.empty()) value = merged(before);
    const Value& last = state_.contexts[static_cast<size_t>(in.back())];
    if (value.size() == 0) {
      value = last;
    } else {
      merge(value, last);
    }
  }
  return merged_.emplace(in, std::move(value)).first->second;
}

expr::Scope Conductor::scope(Value ctx, const expr::Lookup& lookup) {
  return {.ctx = std::move(ctx),
          .lookup = &lookup,
          .random_seed = environment_.random_seed + evaluations_++,
          .mode = definition_->mode()};
}

Result<std::vector<NextTask>> Conductor::next_tasks() {
  std::vector<NextTask> tasks;
  bool clean_up = state_.status == Status::Failed &&
                  std::ranges::any_of(state_.staged, [](const Staged& staged) {
                    return staged.offered() && staged.run_on_fail;
                  });
  if (!kRunning.has(state_.status) && !clean_up) return tasks;
  // All errors of all tasks are wanted, not only the first.
  bool failed = false;
  for (Staged& staged : state_.staged) {
    if (!staged.offered() || !node(staged.task).task) continue;
    if (clean_up && !staged.run_on_fail) continue;
    auto next = render_task(staged);
    if (!next.ok()) {
      if (!expr::needed_key(next.error()).empty()) return std::move(next).error();
      log_error(next.error().message(), node(staged.task).name, staged.route);
      failed = true;
    } else if (!next->actions.empty() || next->items_count == 0u) {
      tasks.push_back(std::move(*next));
    }
  }
  if (failed) {
    TRY(request_status(Status::Failed));
    return std::vector<NextTask>();
  }
  std::ranges::sort(tasks, {}, [](const NextTask& task) { return std::tie(task.id, task.route); });
  return tasks;
}

Result<NextTask> Conductor::render_task(Staged& staged) {
  TaskLookup lookup(*this, staged.task, staged.route);
  const Task& task = *node(staged.task).task;
  NextTask next{.id = task.name, .route = staged.route, .ctx = merged(staged.in)};
  expr::Scope scope = this->scope(next.ctx, lookup);
  if (task.items) {
    TRY(render_items(staged, lookup, scope, next));
  } else {
    TRY(Value action, task.action.render(environment_.engine, scope));
    TRY(Value input, task.input.render(environment_.engine, scope));
    next.actions.push_back({std::move(action), std::move(input), {}});
  }
  if (expr::truthy(task.delay.source())) {
    TRY(next.delay, task.delay.render(environment_.engine, scope));
    if (!next.delay.is_int()) return type_error("The value of task delay is not type of integer.");
  }
  if (staged.retry_delay) {
    next.delay = expr::truthy(*staged.retry_delay) ? *staged.retry_delay : Value(0);
  }
  return next;
}

// The actions of the items that have not run, as many as the concurrency leaves free. When the
// task is first offered every item is rendered, so that an error in the last one shows at once.
Result<void> Conductor::render_items(Staged& staged, TaskLookup& lookup, expr::Scope& scope,
                                     NextTask& next) {
  const Task& task = *node(staged.task).task;
  const WithItems& with = *task.items;
  TRY(Value list, with.list.render(environment_.engine, scope));
  if (!list.is_list()) {
    return type_error(
        fmt::format("The value of \"{}\" is not type of list.", with.list.source().as_string()));
  }
  next.items_count = list.size();
  TRY(next.concurrency, with.concurrency.render(environment_.engine, scope));
  if (!next.concurrency.is_null() && !next.concurrency.is_int()) {
    return type_error(fmt::format("The value of concurrency is not type of integer, found {}.",
                                  next.concurrency.type_name()));
  }
  // Nothing would ever start with less than one at a time.
  if (next.concurrency.is_int() && next.concurrency.as_int() < 1) next.concurrency = Value(1);

  bool first = !staged.items || staged.items->empty();
  if (first) {
    staged.items = ItemList(list.size());
    items_cleared(staged);
    changes_.head = true;
  }
  const ItemList& items = *staged.items;
  size_t free = items.size();
  if (next.concurrency.is_int()) {
    auto limit = static_cast<size_t>(next.concurrency.as_int());
    free = limit - std::min(limit, items.count(kActive));
  }
  size_t end = std::min(items.size(), list.size());
  for (size_t i = items.next_unset(0); i < end; i = items.next_unset(i + 1)) {
    bool offered = next.actions.size() < free;
    if (!offered && !first) break;
    TRY(ActionCall call, render_item(task, list.as_list()[i], lookup, scope));
    call.item = i;
    if (offered) next.actions.push_back(std::move(call));
  }
  return {};
}

Result<ActionCall> Conductor::render_item(const Task& task, const Value& element,
                                          TaskLookup& lookup, expr::Scope& scope) {
  const auto& names = task.items->names;
  Value item = element;
  if (!names.empty() && element.is_list()) {
    item = Value::map();
    for (size_t i = 0; i < std::min(names.size(), element.size()); ++i) {
      item.set(names[i], element.as_list()[i]);
    }
  } else if (names.size() == 1) {
    item = Value::map({{names[0], element}});
  }
  lookup.with_item(item);
  TRY(Value action, task.action.render(environment_.engine, scope));
  TRY(Value input, task.input.render(environment_.engine, scope));
  return ActionCall{std::move(action), std::move(input), {}};
}

Value Conductor::terminal_context() {
  Value ctx = Value::map();
  bool first = true;
  for (const Entry& entry : state_.sequence()) {
    if (!entry.term) continue;
    if (first) {
      ctx = merged(entry.in);
      first = false;
      continue;
    }
    // The root context is in the first; again it would cover what the others have set.
    ContextList rest = entry.in;
    if (auto root = std::ranges::find(rest, 0); root != rest.end()) rest.erase(root);
    merge(ctx, merged(rest));
  }
  return ctx;
}

Result<void> Conductor::render_output() {
  if (!kCompleted.has(state_.status) || expr::truthy(state_.output)) return {};
  TaskLookup lookup(*this);
  expr::Scope rolling = scope(terminal_context(), lookup);
  Value output = Value::map();
  bool failed = false;
  for (const Assignment& assignment : definition_->spec().output) {
    auto value = assignment.value.render(environment_.engine, rolling);
    if (!value.ok()) {
      if (!expr::needed_key(value.error()).empty()) return std::move(value).error();
      log_error(value.error().message());
      failed = true;
      continue;
    }
    rolling.ctx.set(assignment.name, *value);
    output.set(assignment.name, std::move(*value));
  }
  if (output.size() > 0) {
    state_.output = std::move(output);
    changes_.head = true;
  }
  constexpr StatusSet kKeeps(Status::Timeout, Status::Abandoned, Status::Canceled);
  if (failed && !kKeeps.has(state_.status)) return request_status(Status::Failed);
  return {};
}

}  // namespace millrace::conductor
