// SPDX-License-Identifier: Apache-2.0
#include "conductor/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "conductor/inspect_checks.h"
#include "conductor/schema.h"

namespace millrace::conductor {
namespace {

constexpr std::string_view kOnSuccess = "on-success";
constexpr std::string_view kOnFailure = "on-failure";

constexpr std::string_view kSchema = R"json({
  "type": "object",
  "properties": {
    "chain": {
      "type": "array",
      "minItems": 1,
      "items": {
        "type": "object",
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "ref": {"type": "string", "minLength": 1},
          "description": {"type": "string"},
          "parameters": {"anyOf": [{"type": "object"}, {"type": "null"}]},
          "params": {"anyOf": [{"type": "object"}, {"type": "null"}]},
          "on-success": {"anyOf": [{"type": "string"}, {"type": "null"}]},
          "on-failure": {"anyOf": [{"type": "string"}, {"type": "null"}]},
          "publish": {"anyOf": [{"type": "object"}, {"type": "null"}]},
          "notify": {"anyOf": [{"type": "object"}, {"type": "null"}]}
        },
        "required": ["name", "ref"],
        "additionalProperties": false
      }
    },
    "default": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "vars": {"anyOf": [{"type": "object"}, {"type": "null"}]}
  },
  "required": ["chain"],
  "additionalProperties": false
})json";

const Value& schema() {
  static const Value parsed = [] {
    auto value = parse_json(kSchema);
    ASSERT(value.ok());
    return *value;
  }();
  return parsed;
}

std::string_view name_of(const Value& task) { return task.string_or("name", ""); }

const Value& parameters_of(const Value& task) {
  return task["parameters"].is_map() ? task["parameters"] : task["params"];
}

const ValueList& tasks_of(const Value& document) {
  static const Value none = Value::list();
  const Value& chain = document["chain"];
  return (chain.is_list() ? chain : none).as_list();
}

std::vector<Assignment> assignments(const Value& map) {
  std::vector<Assignment> out;
  if (!map.is_map()) return out;
  for (const auto& entry : map.as_map()) {
    out.push_back({std::string(entry.name()), Renderable(entry.value)});
  }
  return out;
}

// The `default`; without one the first task that no other names, else the first of all.
std::string start_of(const Value& document) {
  if (std::string_view name = document.string_or("default", ""); !name.empty()) {
    return std::string(name);
  }
  const ValueList& tasks = tasks_of(document);
  std::set<std::string_view> named;
  for (const Value& task : tasks) {
    named.insert({task.string_or(kOnSuccess, ""), task.string_or(kOnFailure, "")});
  }
  for (const Value& task : tasks) {
    if (!named.contains(name_of(task))) return std::string(name_of(task));
  }
  return tasks.empty() ? "" : std::string(name_of(tasks.front()));
}

Task read_task(const Value& source) {
  Task task;
  task.name = std::string(name_of(source));
  task.action = Renderable(source["ref"]);
  task.input = Renderable(parameters_of(source));
  auto lead = [&](std::string_view condition, std::string_view key) {
    std::string_view target = source.string_or(key, "");
    auto publish = assignments(source["publish"]);
    if (target.empty() && publish.empty()) return;
    task.next.push_back({.when = Renderable(Value(condition)),
                         .publish = std::move(publish),
                         .targets = {std::string(target.empty() ? "continue" : target)}});
  };
  lead("<% succeeded() %>", kOnSuccess);
  lead("<% not succeeded() %>", kOnFailure);
  return task;
}

class ChainCheck {
 public:
  ChainCheck(const Value& document, expr::Engine& engine) : document_(document), engine_(engine) {}

  std::vector<Finding> run() {
    shape();
    for (const Value& task : tasks_of(document_)) names_.push_back(name_of(task));
    for (size_t i = 0; i < names_.size(); ++i) first_.emplace(names_[i], i);
    for (size_t i = 0; i < names_.size(); ++i) check_name(i);
    Place chain = Place().member("chain");
    for (size_t i = 0; i < names_.size(); ++i) {
      const Value& task = tasks_of(document_)[i];
      target(chain.item(i).member(kOnSuccess), i, task.string_or(kOnSuccess, ""));
      target(chain.item(i).member(kOnFailure), i, task.string_or(kOnFailure, ""));
    }
    start(document_.string_or("default", ""));
    expressions(Place().member("vars"), document_["vars"]);
    for (size_t i = 0; i < names_.size(); ++i) {
      const Value& task = tasks_of(document_)[i];
      for (std::string_view key : {"ref", "parameters", "params", "publish"}) {
        expressions(chain.item(i).member(key), task[key]);
      }
    }
    return std::move(findings_);
  }

 private:
  void add(const Place& place, std::string message) {
    findings_.push_back({.cls = FindingClass::Semantics,
                         .message = std::move(message),
                         .path = place.path,
                         .schema_path = place.schema});
  }

  void shape() {
    for (SchemaProblem& problem : validate(schema(), document_)) {
      findings_.push_back({.cls = FindingClass::Syntax,
                           .message = std::move(problem.message),
                           .path = std::move(problem.spec_path),
                           .schema_path = std::move(problem.schema_path),
                           .key = std::move(problem.key)});
    }
  }

  void check_name(size_t i) {
    Place place = Place().member("chain").item(i);
    std::string_view name = names_[i];
    if (is_command(name)) {
      add(place.member("name"),
          fmt::format("the task name '{}' is a command of the engine: choose another name", name));
    }
    if (!name.empty() && first_.find(name)->second < i) {
      add(place.member("name"), fmt::format("the task '{}' stands twice", name));
    }
    const Value& task = tasks_of(document_)[i];
    if (expr::truthy(task["parameters"]) && expr::truthy(task["params"])) {
      add(place, fmt::format("task '{}': 'params' is the old name of 'parameters': use one of them",
                             name));
    }
  }

  void target(const Place& place, size_t i, std::string_view name) {
    if (name.empty() || is_known(name) || findings_.size() >= kMostFindings) return;
    add(place, fmt::format("task '{}': undefined task '{}'{}", names_[i], name, advice(name)));
  }

  void start(std::string_view name) {
    if (name.empty() || is_known(name)) return;
    add(Place().member("default"), fmt::format("undefined task '{}'{}", name, advice(name)));
  }

  bool is_known(std::string_view name) const { return first_.contains(name); }
  std::string advice(std::string_view name) const {
    if (expr::detect(name, expr::Mode::Native) != expr::Language::None) {
      return ": the name of a task cannot be an expression here";
    }
    return did_you_mean(name, names_);
  }

  void expressions(const Place& place, const Value& value) {
    for (auto& problem : engine_.check(value, expr::Mode::Native)) {
      findings_.push_back({.cls = FindingClass::Expressions,
                           .message = std::move(problem.message),
                           .path = place.path,
                           .schema_path = place.schema,
                           .language = problem.language,
                           .expression = std::move(problem.expression)});
    }
  }

  const Value& document_;
  expr::Engine& engine_;
  std::vector<std::string_view> names_;
  std::map<std::string_view, size_t> first_;  // where each name stands first
  std::vector<Finding> findings_;
};

}  // namespace

bool is_chain(const Value& document) {
  return document.is_map() && document.find("chain") && !document.find("tasks");
}

Spec read_chain(const Value& document) {
  Spec spec;
  spec.is_chain = true;
  spec.start = start_of(document);
  spec.vars = assignments(document["vars"]);
  for (const Assignment& variable : spec.vars) spec.chain_variables.insert(variable.name);
  std::set<std::string_view> known;
  for (const Value& task : tasks_of(document)) {
    if (!known.insert(name_of(task)).second) continue;
    spec.tasks.push_back(read_task(task));
    for (const Assignment& published : assignments(task["publish"])) {
      spec.chain_variables.insert(published.name);
    }
  }
  return spec;
}

std::vector<Finding> inspect_chain(const Value& document, expr::Engine& engine) {
  return ChainCheck(document, engine).run();
}

}  // namespace millrace::conductor
