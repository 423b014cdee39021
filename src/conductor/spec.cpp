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

Transition read_transition(const Value& source) {
  return {.when = Renderable(source["when"]),
          .publish = read_assignments(source["publish"]),
          .targets = read_targets(source["do"])};
}

WithItems read_items(const Value& source) {
  WithItems items;
  items.clause = std::string(source.string_or("items", ""));
  items.concurrency = Renderable(source["concurrency"]);
  constexpr std::string_view kIn = " in ";
  size_t in = items.clause.find(kIn);
  if (in == std::string::npos) {
    items.list = Renderable(trim(items.clause));
    return items;
  }
  items.list = Renderable(trim(std::string_view(items.clause).substr(in + kIn.size())));
  for (std::string_view name : split(std::string_view(items.clause).substr(0, in), ',')) {
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

Task read_task(std::string_view name, const Value& source) {
  Task task;
  task.name = std::string(name);
  if (!source.is_map()) return task;
  read_action(task, source);
  task.delay = Renderable(source["delay"]);
  task.join = source["join"];
  if (source["with"].is_map()) task.items = read_items(source["with"]);
  if (const Value& retry = source["retry"]; retry.is_map() && retry.size() > 0) {
    task.retry = Retry{.when = Renderable(retry["when"]),
                       .count = Renderable(retry["count"]),
                       .delay = Renderable(retry["delay"])};
  }
  if (const Value& next = source["next"]; next.is_list()) {
    for (const Value& transition : next.as_list()) {
      task.next.push_back(read_transition(transition));
    }
  }
  return task;
}

}  // namespace

bool is_command(std::string_view task_name) {
  return std::ranges::find(kCommands, task_name) != std::end(kCommands);
}

const Task* Spec::find(std::string_view name) const {
  auto it = std::ranges::find(tasks, name, &Task::name);
  return it == tasks.end() ? nullptr : &*it;
}

Value normalized(const Value& document) {
  if (!document["tasks"].is_map()) return document;
  Value tasks = Value::map();
  for (const auto& [name, task] : document["tasks"].as_map()) {
    Value copy = task;
    if (task["with"].is_string()) copy.set("with", Value::map({{"items", task["with"]}}));
    tasks.mutable_map().set(name, std::move(copy));
  }
  Value out = document;
  out.set("tasks", std::move(tasks));
  return out;
}

Spec read_spec(const Value& document, expr::Mode default_mode) {
  Spec spec;
  spec.mode = default_mode;
  if (document["language"] == Value("orquesta")) spec.mode = expr::Mode::Orquesta;
  if (document["language"] == Value("native")) spec.mode = expr::Mode::Native;
  spec.input = read_assignments(document["input"]);
  spec.vars = read_assignments(document["vars"]);
  spec.output = read_assignments(document["output"]);
  if (const Value& tasks = document["tasks"]; tasks.is_map()) {
    for (const auto& [name, task] : tasks.as_map()) {
      spec.tasks.push_back(read_task(name.as_string(), task));
    }
  }
  return spec;
}

}  // namespace millrace::conductor
