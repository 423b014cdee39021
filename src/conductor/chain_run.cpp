// SPDX-License-Identifier: Apache-2.0
#include "conductor/task_lookup.h"

// What running an action chain has of its own: names of expressions, and its output.
namespace millrace::conductor {

// The variables by their names, `config_context`, and `action_context.parent`: what the caller's
// context says under `st2`.
Value Conductor::chain_names(const Value& ctx) const {
  Value names = ctx;
  Value parent = ctx["st2"].is_map() ? ctx["st2"] : Value::map();
  if (const Value* id = parent.find("action_execution_id")) parent.set("execution_id", Value(*id));
  names.set("action_context", Value::map({{"parent", std::move(parent)}}));
  names.set("config_context", environment_.config);
  return names;
}

// The results of the tasks that a text names; `__results` has all of them.
Result<void> Conductor::add_chain_names(const Renderable& source, expr::Scope& scope) const {
  const auto& read = source.names();
  bool all = read.contains("__results") || read.contains("__context");
  Value results = Value::map();
  std::optional<Error> needs;  // of all of them at once
  for (const Task& task : definition_->spec().tasks) {
    if (!all && !read.contains(task.name)) continue;
    auto status = scope.lookup->task_status(task.name, std::nullopt);
    if (!status.found() || status.value() == Value(to_string(Status::Null))) continue;
    auto answer = scope.lookup->task(task.name, std::nullopt);
    if (answer.needs_load()) expr::add_needs(needs, must_load(answer.key()));
    if (!answer.found()) continue;
    const Value& result = answer.value()["result"];
    results.set(task.name, result);
    bool hidden = definition_->spec().chain_variables.contains(task.name) &&
                  scope.ctx.find(task.name) != nullptr;
    if (!hidden) scope.names.set(task.name, result);
  }
  if (!source.system_keys().empty()) {
    Value system = Value::map();
    for (const std::string& name : source.system_keys()) {
      auto answer = scope.lookup->kv("system." + name, false);
      if (answer.is_refused()) return expr::refused(answer);
      if (answer.needs_load()) expr::add_needs(needs, must_load(answer.key()));
      system.set(name, answer.value());
    }
    scope.names.set("system", std::move(system));
  }
  if (needs) return std::move(*needs);
  if (all) {
    scope.names.set("__results", std::move(results));
    scope.names.set("__context", Value(scope.names));
  }
  return {};
}

// {tasks, published}, as StackStorm's chains end. A task that ran several times has its result with
// the last run.
Result<void> Conductor::render_chain_output() {
  TaskLookup lookup(*this);
  Value tasks = Value::list();
  Value published = Value::map();
  std::optional<Error> needs;
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    const Entry& entry = state_.entry(i);
    if (!node(entry.task).task) continue;
    std::string_view name = node(entry.task).name;
    Value task = Value::map({{"id", name}, {"name", name}, {"state", to_string(entry.status)}});
    if (state_.is_last(i)) {
      auto answer = lookup.task(name, entry.route);
      if (answer.needs_load()) expr::add_needs(needs, must_load(answer.key()));
      task.set("result", answer.found() ? answer.value()["result"] : Value());
    }
    tasks.push_back(std::move(task));
    if (!entry.out) continue;
    const Value& context = state_.contexts[static_cast<size_t>(entry.out->second)];
    for (const auto& variable : context.as_map()) published.set(variable.name(), variable.value);
  }
  if (needs) return std::move(*needs);
  state_.output = Value::map({{"tasks", std::move(tasks)}, {"published", std::move(published)}});
  changes_.head = true;
  return {};
}

}  // namespace millrace::conductor
