// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/json_schema.h"
#include "base/text.h"
#include "conductor/inspect_checks.h"

// What tasks call: whether there is such an action, and whether it takes what it is given.
namespace millrace::conductor {
namespace {

class ContentCheck {
 public:
  ContentCheck(const Spec& spec, const FindAction& find_action, std::vector<Finding>& findings)
      : spec_(spec), find_action_(find_action), findings_(findings) {}

  void run() {
    for (size_t i = 0; i < spec_.tasks.size() && findings_.size() < kMostFindings; ++i) {
      const Task& task = spec_.tasks[i];
      if (!task.waits_for_answer) check(task, place_of(task, i));
    }
  }

 private:
  // Where the task says what it calls and with what.
  struct TaskPlace {
    Place action;
    Place input;
  };

  TaskPlace place_of(const Task& task, size_t i) const {
    if (!spec_.is_chain) {
      Place place = task_place(task.name);
      return {place.member("action"), place.member("input")};
    }
    Place place = Place().member("chain").item(i);
    return {place.member("ref"), place.member("parameters")};
  }

  void add(Place place, std::string message) {
    findings_.push_back({.cls = FindingClass::Content,
                         .message = std::move(message),
                         .path = std::move(place.path),
                         .schema_path = std::move(place.schema)});
  }

  bool is_constant(std::string_view text) const {
    return expr::detect(text, spec_.mode) == expr::Language::None;
  }

  void check(const Task& task, const TaskPlace& place) {
    const Value& action = task.action.source();
    if (!action.is_string() || !is_constant(action.as_string())) return;
    std::string_view ref = action.as_string();
    if (ref.find('.') == ref.npos) {
      return add(place.action,
                 fmt::format("task '{}': '{}' is no reference of an action: expected PACK.NAME",
                             task.name, ref));
    }
    Callee callee = find_action_(ref);
    if (callee.is_unseen) return;
    if (!callee.action) {
      return add(place.action,
                 fmt::format("task '{}': unknown action '{}'{}", task.name, ref, callee.advice));
    }
    check_input(task, *callee.action, place.input);
  }

  void check_input(const Task& task, const Action& action, const Place& place) {
    const Value& input = task.input.source();
    if (!input.is_map() && !input.is_null()) return;  // an expression gives it
    for (const Parameter& parameter : action.parameters) {
      bool is_owed = parameter.required && !parameter.default_value && !parameter.immutable;
      if (!is_owed || (input.is_map() && input.find(parameter.name))) continue;
      add(place, fmt::format("task '{}': action '{}' requires the input '{}'", task.name,
                             action.ref, parameter.name));
    }
    if (input.is_null()) return;
    std::vector<std::string_view> names;
    for (const Parameter& parameter : action.parameters) names.push_back(parameter.name);
    std::ranges::sort(names);
    for (const auto& entry : input.as_map()) {
      std::string_view name = entry.name();
      if (!is_constant(name) || std::ranges::binary_search(names, name)) continue;
      if (findings_.size() >= kMostFindings) return;
      Place at{fmt::format("{}.{}", place.path, name),
               fmt::format(R"({}.patternProperties.^\w+$)", place.schema)};
      add(std::move(at), fmt::format("task '{}': action '{}' has no input '{}'{}", task.name,
                                     action.ref, name, did_you_mean(name, names)));
    }
  }

  const Spec& spec_;
  const FindAction& find_action_;
  std::vector<Finding>& findings_;
};

}  // namespace

void check_content(const Spec& spec, const FindAction& find_action,
                   std::vector<Finding>& findings) {
  ContentCheck(spec, find_action, findings).run();
}

std::vector<Finding> inspect_content(const Spec& spec, const FindAction& find_action,
                                     const YamlNode& document) {
  std::vector<Finding> findings;
  check_content(spec, find_action, findings);
  find_lines(document, findings);
  return findings;
}

Value to_value(const Finding& finding) {
  Value out = Value::map({{"type", to_string(finding.cls)}, {"message", finding.message}});
  if (finding.language != expr::Language::None) {
    out.set("language", finding.language == expr::Language::Yaql ? "yaql" : "jinja");
    out.set("expression", finding.expression);
  }
  out.set("spec_path", finding.path);
  out.set("schema_path", finding.schema_path);
  if (finding.line > 0) out.set("line", finding.line);
  return out;
}

}  // namespace millrace::conductor
