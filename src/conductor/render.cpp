// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/excerpt.h"
#include "conductor/task_lookup.h"

namespace millrace::conductor {
namespace {

// Whether `earlier` leaves nothing behind when `later` is merged into it, whatever was there
// before.
bool covers(const Value& later, const Value& earlier) {
  if (!later.is_map()) return true;
  if (!earlier.is_map()) return false;
  return std::ranges::all_of(earlier.as_map(), [&](const auto& entry) {
    const Value* member = later.find(entry.name());
    return member && covers(*member, entry.value);
  });
}

Error type_error(std::string message) {
  return Error(ErrorKind::Invalid, "CND-0010", "TypeError: " + std::move(message));
}

}  // namespace

Result<void> Conductor::begin(const Value& context, const Value& inputs) {
  Value ctx = context.is_map() ? context : Value::map();
  state_.parameters = Value::map();
  TaskLookup lookup(*this);
  expr::Scope rolling = scope(ctx, lookup);
  bool failed = false;
  std::optional<Error> needs;  // of all of them at once
  for (const Assignment& input : definition_->spec().input) {
    TRY(Renderable source, input_source(input, inputs));
    rolling.texts_are_data = inputs.find(input.name) != nullptr;
    auto value = render_or_log(source, rolling, needs);
    failed = failed || !value;
    if (!value) continue;
    assign(rolling, input.name, *value);
    state_.parameters.set(input.name, std::move(*value));
    if (native()) rolling.names.set("parameters", state_.parameters);
  }
  rolling.texts_are_data = false;
  merge_into(ctx, rolling.ctx);
  rolling.ctx = ctx;
  if (is_chain() && inputs.is_map()) {
    state_.parameters = inputs;
    merge_into(ctx, inputs);
    rolling = scope(ctx, lookup);
  }
  for (const Assignment& variable : definition_->spec().vars) {
    auto value = render_or_log(variable.value, rolling, needs);
    failed = failed || !value;
    if (!value) continue;
    assign(rolling, variable.name, *value);
    merge_into(ctx, Value::map({{variable.name, std::move(*value)}}));
  }
  if (needs) return std::move(*needs);

  changes_.head = true;
  if (failed) return request_status(Status::Failed);
  state_.contexts.push_back(std::move(ctx));
  state_.routes.emplace_back();
  for (NodeId root : graph().roots()) {
    state_.staged.push_back({.task = root, .route = 0, .in = {0}, .ready = true});
  }
  return {};
}

// The value given at run time, else the default. The reference evaluates given values too; in
// Native mode they are data.
Result<Renderable> Conductor::input_source(const Assignment& input, const Value& inputs) {
  const Value* given = inputs.find(input.name);
  if (!given) return input.value;
  Renderable source(*given);
  if (!native()) {
    TRY(source.compile(environment_.engine, definition_->mode()));
  }
  return source;
}

// Nothing when the evaluation fails: the error is logged, or added to what must be loaded first.
std::optional<Value> Conductor::render_or_log(const Renderable& source, expr::Scope& scope,
                                              std::optional<Error>& needs) {
  auto value = render_kept(source, scope);
  if (value.ok()) return std::move(*value);
  if (expr::needed_key(value.error()).empty()) {
    log_error(value.error().message());
  } else {
    expr::add_needs(needs, value.error());
  }
  return std::nullopt;
}

const Value& Conductor::merged(const ContextList& in) {
  if (auto it = merged_.find(in); it != merged_.end()) return it->second;
  // Lists grow at their end: mostly the merge of all but the last is known.
  Value value = Value::map();
  size_t known = 0;
  if (in.size() > 1) {
    auto it = merged_.find(ContextList(in.begin(), in.end() - 1));
    if (it != merged_.end()) {
      value = it->second;
      known = in.size() - 1;
    }
  }
  for (size_t i = known; i < in.size(); ++i) {
    const Value& context = state_.contexts[static_cast<size_t>(in[i])];
    if (value.size() == 0) {
      value = context;
    } else if (is_chain()) {
      for (const auto& entry : context.as_map()) value.set(entry.name(), entry.value);
    } else {
      merge_into(value, context);
    }
  }
  return merged_.emplace(in, std::move(value)).first->second;
}

// Leaves out what does not change the merge: of a context that stands twice the first, and contexts
// whose every variable a later one covers. Without it the lists of a loop grow with each turn, and
// double where two branches of it meet. The root stays.
void Conductor::compact(ContextList& in) const {
  if (all_show(in)) return;
  std::unordered_set<ContextIndex> seen;
  std::unordered_map<std::string_view, Value, StringHash> later;  // what follows, merged
  ContextList kept;
  for (auto it = in.rbegin(); it != in.rend(); ++it) {
    const ValueMap& context = state_.contexts[static_cast<size_t>(*it)].as_map();
    bool shows = std::ranges::any_of(context, [&](const auto& entry) {
      auto known = later.find(entry.name());
      return known == later.end() || !covers(known->second, entry.value);
    });
    bool is_new = seen.insert(*it).second;
    if (*it != 0 && (!is_new || !shows)) continue;
    kept.push_back(*it);
    for (const auto& entry : context) {
      auto [known, added] = later.try_emplace(entry.name(), entry.value);
      if (added || !known->second.is_map()) continue;
      Value both = entry.value;
      if (both.is_map()) merge_into(both, known->second);
      known->second = std::move(both);
    }
  }
  in.assign(kept.rbegin(), kept.rend());
}

// Whether each has a variable that no later one has: so it is mostly, and is told without much ado
// where they are few.
bool Conductor::all_show(const ContextList& in) const {
  constexpr size_t kFew = 8;
  auto context = [&](ContextIndex index) -> const ValueMap& {
    return state_.contexts[static_cast<size_t>(index)].as_map();
  };
  auto shows = [&](auto it) {
    return std::ranges::any_of(context(*it), [&](const auto& entry) {
      return std::none_of(it + 1, in.end(),
                          [&](auto later) { return context(later).contains(entry.name()); });
    });
  };
  if (in.size() > kFew) return false;
  for (auto it = in.begin(); it != in.end(); ++it) {
    if (!shows(it)) return false;
  }
  return true;
}

expr::Scope Conductor::scope(Value ctx, const TaskLookup& lookup) {
  expr::Scope scope{.lookup = &lookup,
                    .random_seed = environment_.random_seed + evaluations_++,
                    .mode = definition_->mode(),
                    .allowance = environment_.allowance.get()};
  if (native()) scope.names = names(ctx);
  scope.ctx = std::move(ctx);
  return scope;
}

Result<Value> Conductor::render(const Renderable& source, expr::Scope& scope) {
  if (native()) {
    TRY(add_named(source, scope));
  }
  return source.render(environment_.engine, scope);
}

Result<Value> Conductor::render_kept(const Renderable& source, expr::Scope& scope) {
  constexpr size_t kLongestShown = 80;
  TRY(Value value, render(source, scope));
  auto* allowance = environment_.allowance.get();
  bool is_paid = !allowance || allowance->take_writing(value, 1);
  if (is_paid && is_deeper(value, kDeepestKept)) {
    return Error(ErrorKind::TooLarge, "CND-0015",
                 fmt::format("'{}': expected a value of at most {} levels of lists and maps",
                             json_excerpt(source.source(), kLongestShown), kDeepestKept));
  }
  if (is_paid) return value;
  return Error(ErrorKind::TooLarge, "CND-0014",
               fmt::format("'{}': the values that a workflow keeps in one decision are too large: "
                           "writing them may take {} steps together",
                           json_excerpt(source.source(), kLongestShown), allowance->of));
}

// A variable that expressions evaluated from now on see. Those of a chain see what was there before
// their whole group.
void Conductor::assign(expr::Scope& scope, const std::string& name, const Value& value) const {
  if (is_chain()) return;
  scope.ctx.set(name, value);
  if (scope.mode == expr::Mode::Native) scope.names.set("workflow", scope.ctx);
}

Result<std::vector<NextTask>> Conductor::next_tasks() {
  std::vector<NextTask> tasks;
  was_cut_short_ = false;
  if (native()) plan_compensation();
  bool clean_up = state_.status == Status::Failed &&
                  std::ranges::any_of(state_.staged, [](const Staged& staged) {
                    return staged.offered() && staged.run_on_fail;
                  });
  bool undo = !clean_up && ended_badly();
  if (!kRunning.has(state_.status) && !clean_up && !undo) return tasks;
  // All errors of all tasks are wanted, not only the first.
  bool failed = false;
  std::optional<Error> needs;
  for (Staged& staged : state_.staged) {
    if (!staged.offered() || !node(staged.task).task) continue;
    if ((clean_up && !staged.run_on_fail) || (undo && !staged.compensates)) continue;
    was_cut_short_ = was_cut_short_ || (!tasks.empty() && has_spent_half());
    if (was_cut_short_) break;
    auto next = render_task(staged);
    if (!next.ok()) {
      if (!expr::needed_key(next.error()).empty()) {
        expr::add_needs(needs, next.error());
        continue;
      }
      log_error(next.error().message(), node(staged.task).name, staged.route);
      failed = true;
    } else if (!next->actions.empty() || next->items_count == 0u) {
      tasks.push_back(std::move(*next));
    }
  }
  if (needs) return std::move(*needs);
  if (failed) {
    TRY(request_status(Status::Failed));
    return std::vector<NextTask>();
  }
  std::ranges::sort(tasks, {}, [](const NextTask& task) { return std::tie(task.id, task.route); });
  return tasks;
}

bool Conductor::has_spent_half() const {
  const auto* allowance = environment_.allowance.get();
  return allowance && allowance->left < allowance->of / 2;
}

Result<NextTask> Conductor::render_task(Staged& staged) {
  TaskLookup lookup(*this, staged.task, staged.route);
  const Task& task = *node(staged.task).task;
  NextTask next{.id = task.name, .route = staged.route, .ctx = merged(staged.in)};
  expr::Scope scope = this->scope(next.ctx, lookup);
  if (task.items) {
    TRY(render_items(staged, lookup, scope, next));
  } else {
    TRY(Value action, render(task.action, scope));
    TRY(Value input, render(task.input, scope));
    next.actions.push_back({std::move(action), std::move(input), {}});
  }
  TRY(next.delay, render_seconds(task.delay, "delay", scope));
  TRY(next.timeout, render_seconds(task.timeout, "timeout", scope));
  next.waits_for_answer = task.waits_for_answer;
  if (staged.compensates) {
    next.compensates = node(state_.entry(*staged.compensates).task).name;
  }
  if (staged.retry_delay) {
    next.delay = expr::truthy(*staged.retry_delay) ? *staged.retry_delay : Value(0);
  }
  return next;
}

// Null when the document names none.
Result<Value> Conductor::render_seconds(const Renderable& source, std::string_view what,
                                        expr::Scope& scope) {
  if (!expr::truthy(source.source())) return Value();
  TRY(Value seconds, render(source, scope));
  if (seconds.is_int() || (native() && seconds.is_number())) return seconds;
  return type_error(fmt::format("The value of task {} is not type of integer.", what));
}

// The actions of the items that have not run, as many as the concurrency leaves free. Before the
// first is offered every item is rendered, so that an error in the last one shows at once.
Result<void> Conductor::render_items(Staged& staged, TaskLookup& lookup, expr::Scope& scope,
                                     NextTask& next) {
  const Task& task = *node(staged.task).task;
  const WithItems& with = *task.items;
  TRY(Value list, render_list(with, scope));
  if (list.size() > kMostItems) {
    return Error(ErrorKind::TooLarge, "CND-0013",
                 fmt::format("with: expected at most {} items, found {}: put several into one with "
                             "batch_size, or make the list shorter",
                             kMostItems, list.size()));
  }
  next.items_count = list.size();
  TRY(next.concurrency, render(with.concurrency, scope));
  if (!next.concurrency.is_null() && !next.concurrency.is_int()) {
    return type_error(fmt::format("The value of concurrency is not type of integer, found {}.",
                                  next.concurrency.type_name()));
  }
  // Nothing would ever start with less than one at a time.
  if (next.concurrency.is_int() && next.concurrency.as_int() < 1) next.concurrency = Value(1);

  if (!staged.items || staged.items->empty()) {
    staged.items = ItemList(list.size());
    staged.items_seen = 0;
    items_cleared(staged);
    changes_.head = true;
  }
  return render_actions(staged, list, lookup, scope, next);
}

// All items are looked at before the first is offered. Both stop at half of the allowance and at
// some keys, which all have to be loaded, but for one item each time.
Result<void> Conductor::render_actions(Staged& staged, const Value& list, TaskLookup& lookup,
                                       expr::Scope& scope, NextTask& next) {
  const Task& task = *node(staged.task).task;
  const ItemList& items = *staged.items;
  size_t free = items.size();
  if (next.concurrency.is_int()) {
    auto limit = static_cast<size_t>(next.concurrency.as_int());
    free = limit - std::min(limit, items.count(kActive));
  }
  size_t end = std::min(items.size(), list.size());
  std::optional<Error> needs;  // of all of them at once
  auto offer = [&](size_t i) -> Result<void> {
    auto call = render_item(task, list.as_list()[i], i, lookup, scope);
    if (call.ok()) {
      if (next.actions.size() < free) next.actions.push_back(std::move(*call));
      return {};
    }
    if (expr::needed_key(call.error()).empty()) return std::move(call).error();
    expr::add_needs(needs, call.error());
    return {};
  };
  auto is_enough = [&] {
    return has_spent_half() || (environment_.allowance && lookup.keys_read() >= kMostKeysAtOnce);
  };
  if (staged.items_seen) {
    changes_.head = true;
    size_t& seen = *staged.items_seen;
    bool is_whole = seen == 0;
    while (seen < end) {
      TRY(offer(seen));
      ++seen;
      if (is_enough()) break;
    }
    if (needs) return std::move(*needs);
    bool is_done = seen >= end && (is_whole || !is_enough());
    if (!is_whole || !is_done) next.actions.clear();
    was_cut_short_ = was_cut_short_ || !is_done;
    if (!is_done) return {};
    staged.items_seen.reset();
    if (is_whole) return {};
  }
  for (size_t i = items.next_unset(0); i < end; i = items.next_unset(i + 1)) {
    if (next.actions.size() >= free) break;
    was_cut_short_ = was_cut_short_ || (!next.actions.empty() && is_enough());
    if (was_cut_short_) break;
    TRY(offer(i));
  }
  if (needs) return std::move(*needs);
  return {};
}

// The elements, or batches of them.
Result<Value> Conductor::render_list(const WithItems& with, expr::Scope& scope) {
  TRY(Value list, render(with.list, scope));
  if (!list.is_list()) {
    return type_error(
        fmt::format("The value of \"{}\" is not type of list.", with.list.source().as_string()));
  }
  if (!native() || with.batch_size.is_null()) return list;
  TRY(Value size, render(with.batch_size, scope));
  if (!size.is_int() || size.as_int() < 1) {
    return type_error(fmt::format(
        "The value of batch_size is not a whole number above 0, found {}.", expr::to_text(size)));
  }
  Value batches = Value::list();
  const ValueList& elements = list.as_list();
  auto step = static_cast<size_t>(size.as_int());
  for (size_t i = 0; i < elements.size(); i += std::min(step, elements.size() - i)) {
    size_t end = i + std::min(step, elements.size() - i);
    batches.push_back(Value(ValueList(elements.begin() + static_cast<ptrdiff_t>(i),
                                      elements.begin() + static_cast<ptrdiff_t>(end))));
  }
  return batches;
}

Result<ActionCall> Conductor::render_item(const Task& task, const Value& element, size_t index,
                                          TaskLookup& lookup, expr::Scope& scope) {
  const auto& names = task.items->names;
  Value item = element;
  // The reference pairs a list with the names even if there is only one name.
  bool pairs = names.size() > 1 || (names.size() == 1 && !native());
  if (pairs && element.is_list()) {
    item = Value::map();
    for (size_t i = 0; i < std::min(names.size(), element.size()); ++i) {
      item.set(names[i], element.as_list()[i]);
    }
  } else if (names.size() == 1) {
    item = Value::map({{names[0], element}});
  }
  lookup.with_item(item);
  if (native()) {
    scope.names.set("item", item);
    scope.names.set("index", static_cast<int64_t>(index));
  }
  TRY(Value action, render(task.action, scope));
  TRY(Value input, render(task.input, scope));
  return ActionCall{std::move(action), std::move(input), index};
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
    merge_into(ctx, merged(rest));
  }
  return ctx;
}

Result<void> Conductor::render_output() {
  if (!kCompleted.has(state_.status) || expr::truthy(state_.output)) return {};
  if (is_chain()) return render_chain_output();
  TaskLookup lookup(*this);
  expr::Scope rolling = scope(terminal_context(), lookup);
  Value output = Value::map();
  bool failed = false;
  std::optional<Error> needs;
  for (const Assignment& assignment : definition_->spec().output) {
    auto value = render_or_log(assignment.value, rolling, needs);
    failed = failed || !value;
    if (!value) continue;
    bool is_seen = &assignment != &definition_->spec().output.back();
    if (is_seen) assign(rolling, assignment.name, *value);
    output.set(assignment.name, std::move(*value));
  }
  if (needs) return std::move(*needs);
  if (output.size() > 0) {
    state_.output = std::move(output);
    changes_.head = true;
  }
  constexpr StatusSet kKeeps(Status::Timeout, Status::Abandoned, Status::Canceled);
  if (failed && !kKeeps.has(state_.status)) return request_status(Status::Failed);
  return {};
}

}  // namespace millrace::conductor
