// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "conductor/inspect_checks.h"

namespace millrace::conductor {
namespace {

class ExpressionsCheck {
 public:
  ExpressionsCheck(const Spec& spec, expr::Engine& engine, std::vector<Finding>& findings)
      : spec_(spec), engine_(engine), findings_(findings), most_(findings.size() + kMostFindings) {}

  void run(const Value& document) {
    for (std::string_view key : {"vars", "input", "output"}) {
      check(Place().member(key), document[key]);
    }
    for (const Task& task : spec_.tasks) {
      check_task(task_place(task.name), task, document["tasks"][task.name]);
    }
  }

 private:
  void check_task(const Place& place, const Task& task, const Value& source) {
    check(place.member("action"), task.action.source());
    check(place.member("input"), task.input.source());
    for (const auto& entry : members(source)) {
      std::string_view key = entry.name();
      if (key == "action" || key == "input") continue;
      if (key == "next") {
        check_transitions(place.member(key), entry.value);
      } else if (key == "with" || key == "retry") {
        for (const auto& part : members(entry.value)) {
          check(place.member(key).member(part.name()), part.value);
        }
      } else {
        check(place.member(key), entry.value);
      }
    }
  }

  void check_transitions(const Place& place, const Value& next) {
    if (!next.is_list()) return;
    for (size_t i = 0; i < next.size(); ++i) {
      for (const auto& part : members(next.as_list()[i]))
        check(place.item(i).member(part.name()), part.value);
    }
  }

  static const ValueMap& members(const Value& value) {
    static const Value none = Value::map();
    return (value.is_map() ? value : none).as_map();
  }

  void check(const Place& place, const Value& value) {
    if (findings_.size() >= most_) return;
    if (spec_.mode == expr::Mode::Native) check_names(place, value);
    for (auto& problem : engine_.check(value, spec_.mode)) {
      findings_.push_back({.cls = FindingClass::Expressions,
                           .message = std::move(problem.message),
                           .path = place.path,
                           .schema_path = place.schema,
                           .language = problem.language,
                           .expression = std::move(problem.expression)});
    }
  }

  // The root names of templates; a YAQL expression has bare words too, as texts.
  void check_names(const Place& place, const Value& value) {
    if (value.is_list()) {
      for (const Value& item : value.as_list()) check_names(place, item);
    } else if (value.is_map()) {
      for (const auto& entry : value.as_map()) check_names(place, entry.value);
    }
    if (!value.is_string() || findings_.size() >= most_) return;
    auto compiled = engine_.compile(value.as_string(), spec_.mode);
    if (!compiled.ok() || (*compiled)->language() != expr::Language::Jinja) return;
    for (const std::string& name : (*compiled)->reads().names) {
      if (std::ranges::find(kRootNames, name) != std::end(kRootNames)) continue;
      findings_.push_back(
          {.cls = FindingClass::Context,
           .message = fmt::format("unknown name '{}'{}; known are {}", name,
                                  did_you_mean(name, kRootNames), fmt::join(kRootNames, ", ")),
           .path = place.path,
           .schema_path = place.schema,
           .language = expr::Language::Jinja,
           .expression = std::string(value.as_string())});
    }
  }

  const Spec& spec_;
  expr::Engine& engine_;
  std::vector<Finding>& findings_;
  const size_t most_;
};

}  // namespace

void check_expressions(const Value& document, const Spec& spec, expr::Engine& engine,
                       std::vector<Finding>& findings) {
  ExpressionsCheck(spec, engine, findings).run(document);
}

}  // namespace millrace::conductor
