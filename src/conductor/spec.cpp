// SPDX-License-Identifier: Apache-2.0
#include "conductor/spec.h"

#include <algorithm>

#include "base/text.h"
#include "conductor/inline_params.h"

namespace millrace::conductor {
namespace {

std::vector<Assignment> assignments(std::vector<std::pair<std::string, Value>> pairs) {
  std::vector<Assignment> out;
  for (auto& [name, value] : pairs) out.push_back({std::move(name), Renderable(std::move(value))});
  return out;
}

// A list of one-key maps; a name alone stands for {NAME: null}; a text has inline parameters.
std::vector<Assignment> read_assignments(const Value& source) {
  if (source.is_string()) return assignments(parse_inline_params(source.as_string()));
  std::vector<Assignment> out;
  if (!source.is_list()) return out;
  for (const Value& item : source.as_list()) {
    if (item.is_string()) {
      out.push_back({std::string(item.as_string()), Renderable()});
    } else if (item.is_map() && item.size() > 0) {
      const auto& entry = item.as_map().at_index(0);
      out.push_back({std::string(entry.name()), Renderable(entry.value)});
    }
  }
  return out;
}

std::vector<std::string> read_targets(const Value& source) {
  std::vector<std::string> out;
  if (source.is_string() && source.size() > 0) {
    for (std::string_view name : split(source.as_string(), ',')) out.emplace_back(trim(name));
  } else if (source.is_list()) {
    for (const Value& name : source.as_list()) {
      if (name.is_string()) out.emplace_back(name.as_string());
    }
  }
  if (out.empty()) out.emplace_back("continue");
  return out;
}

// Native: `else: true` beside `do`, or `else: TARGETS`.
Transition read_transition(const Value& source) {
  const Value* otherwise = source.find("else");
  bool names_targets = otherwise && !otherwise->is_bool();
  return {.when = Renderable(source["when"]),
          .is_else = otherwise && *otherwise != Value(false),
          .publish = read_assignments(source["publish"]),
          .targets = read_targets(names_targets ? *otherwise : source["do"])};
}

// Where ` in ` stands between names and list. The reference takes the first one anywhere, even
// inside an expression.
size_t find_in(std::string_view clause, expr::Mode mode) {
  size_t end = clause.size();
  if (mode == expr::Mode::Native) end = std::min(clause.find("<%"), clause.find("{{"));
  return clause.substr(0, end).find(" in ");
}

WithItems read_items(const Value& source, expr::Mode mode) {
  WithItems items;
  items.clause = std::string(source.string_or("items", ""));
  items.concurrency = Renderable(source["concurrency"]);
  items.batch_size = Renderable(source["batch_size"]);
  std::string_view clause = items.clause;
  size_t in = find_in(clause, mode);
  if (in == clause.npos) {
    items.list = Renderable(trim(clause));
    return items;
  }
  items.list = Renderable(trim(clause.substr(in + std::string_view(" in ").size())));
  for (std::string_view name : split(clause.substr(0, in), ',')) {
    items.names.emplace_back(trim(name));
  }
  return items;
}

// Inline parameters replace the input: `core.echo message="x"`.
void read_action(Task& task, const Value& source) {
  task.action = Renderable(source["action"]);
  task.input = Renderable(source["input"]);
  if (!task.action.source().is_string()) return;
  std::string_view text = task.action.source().as_string();
  auto params = parse_inline_params(text);
  if (params.empty()) return;
  Value input = Value::map();
  for (auto& [name, value] : params) input.set(name, std::move(value));
  task.input = Renderable(std::move(input));
  task.action = Renderable(text.substr(0, text.find(' ')));
}

Retry read_retry(const Value& source) {
  Retry retry{.when = Renderable(source["when"]),
              .count = Renderable(source["count"]),
              .delay = Renderable(source["delay"]),
              .max_delay = Renderable(source["max_delay"])};
  std::string_view backoff = source.string_or("backoff", "constant");
  if (backoff == "linear") retry.backoff = Backoff::Linear;
  if (backoff == "exponential") retry.backoff = Backoff::Exponential;
  if (const Value& jitter = source["jitter"]; jitter.is_number()) retry.jitter = jitter.as_float();
  return retry;
}

void read_native_keys(Task& task, const Value& source) {
  task.timeout = Renderable(source["timeout"]);
  task.first = source.bool_or("first", false);
  task.waits_for_answer = source.string_or("wait_for", "") == "inquiry";
  task.holds_on_failure = source.string_or("on_failure", "") == "hold";
  task.compensate = std::string(source.string_or("compensate", ""));
}

Task read_task(std::string_view name, const Value& source, expr::Mode mode) {
  Task task;
  task.name = std::string(name);
  if (!source.is_map()) return task;
  if (mode == expr::Mode::Native) read_native_keys(task, source);
  read_action(task, source);
  task.delay = Renderable(source["delay"]);
  task.join = source["join"];
  if (source["with"].is_map()) task.items = read_items(source["with"], mode);
  if (const Value& retry = source["retry"]; retry.is_map() && retry.size() > 0) {
    task.retry = read_retry(retry);
  }
  if (const Value& next = source["next"]; next.is_list()) {
    for (const Value& transition : next.as_list()) {
      task.next.push_back(read_transition(transition));
    }
  }
  return task;
}

// {NAME: VALUE} as a list of one-key maps. A parameter may be a schema: then its default counts.
Value pairs(const Value& map, bool of_schemas) {
  Value list = Value::list();
  for (const auto& [name, value] : map.as_map()) {
    bool schema = of_schemas && value.is_map() && (value.find("type") || value.find("default"));
    list.push_back(Value::map({{name.as_string(), schema ? value["default"] : value}}));
  }
  return list;
}

// A list of tasks with names as a map; what has another shape stays, for inspect() to tell.
Value named_tasks(const Value& list) {
  Value tasks = Value::map();
  for (const Value& task : list.as_list()) {
    std::string_view name = task.string_or("name", "");
    if (name.empty() || tasks.find(name)) return list;
    Value copy = task;
    copy.mutable_map().erase("name");
    tasks.set(name, std::move(copy));
  }
  return tasks;
}

Value from_attune(const Value& document) {
  Value out = Value::map();
  for (const auto& [key, value] : document.as_map()) {
    if (key.as_string() == "parameters" && value.is_map()) {
      out.set("input", pairs(value, true));
    } else if (key.as_string() == "output_map" && value.is_map()) {
      out.set("output", pairs(value, false));
    } else if (key.as_string() == "tasks" && value.is_list()) {
      out.set("tasks", named_tasks(value));
    } else {
      out.mutable_map().set(key, value);
    }
  }
  return out;
}

}  // namespace

bool is_command(std::string_view task_name) {
  return std::ranges::find(kCommands, task_name) != std::end(kCommands);
}

const Task* Spec::find(std::string_view name) const {
  auto it = std::ranges::find(tasks, name, &Task::name);
  return it == tasks.end() ? nullptr : &*it;
}

expr::Mode mode_of(const Value& document, expr::Mode default_mode) {
  std::string_view language = document.string_or("language", "");
  if (language == "orquesta") return expr::Mode::Orquesta;
  return language == "native" ? expr::Mode::Native : default_mode;
}

Value normalized(const Value& document, expr::Mode mode) {
  if (!document.is_map()) return document;
  Value out = mode == expr::Mode::Native ? from_attune(document) : document;
  if (!out["tasks"].is_map()) return out;
  Value tasks = Value::map();
  for (const auto& [name, task] : out["tasks"].as_map()) {
    Value copy = task;
    if (task["with"].is_string()) copy.set("with", Value::map({{"items", task["with"]}}));
    tasks.mutable_map().set(name, std::move(copy));
  }
  out.set("tasks", std::move(tasks));
  return out;
}

Spec read_spec(const Value& document, expr::Mode mode) {
  Spec spec;
  spec.mode = mode;
  spec.input = read_assignments(document["input"]);
  spec.vars = read_assignments(document["vars"]);
  spec.output = read_assignments(document["output"]);
  if (const Value& tasks = document["tasks"]; tasks.is_map()) {
    for (const auto& [name, task] : tasks.as_map()) {
      spec.tasks.push_back(read_task(name.as_string(), task, mode));
    }
  }
  return spec;
}

bool too_large(const Spec& spec) {
  size_t targets = 0;
  for (const Task& task : spec.tasks) {
    for (const Transition& transition : task.next) targets += transition.targets.size();
  }
  return spec.tasks.size() > kMaxTasks || targets > kMaxTargets;
}

}  // namespace millrace::conductor
