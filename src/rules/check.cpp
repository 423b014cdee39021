// SPDX-License-Identifier: Apache-2.0
#include "rules/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_schema.h"
#include "base/text.h"
#include "model/casts.h"
#include "rules/rule.h"
#include "rules/schedule.h"
#include "rules/webhook.h"

namespace millrace::rules {
namespace {

class RuleChecker {
 public:
  RuleChecker(const RuleSpec& spec, const Catalog& known) : spec_(spec), known_(known) {}

  std::vector<Problem> problems;

  void check() {
    if (auto* trigger = find(known_.triggers, spec_.trigger, "trigger", "/trigger/type")) {
      check_trigger_parameters(*trigger);
    }
    if (auto* action = find(known_.actions, spec_.action, "action", "/action/ref")) {
      check_action_parameters(*action);
    }
  }

 private:
  void add(std::string at, std::string message) {
    problems.push_back({std::move(at), std::move(message)});
  }

  template <typename Entity>
  const Entity* find(const std::map<std::string, const Entity*, std::less<>>& entities,
                     const std::string& ref, std::string_view what, const char* at) {
    auto found = entities.find(ref);
    if (found != entities.end()) return found->second;
    std::vector<std::string_view> names;
    for (const auto& [name, entity] : entities) names.push_back(name);
    if (ref.empty()) {
      add(at, fmt::format("expected the ref of {} {}", what == "action" ? "an" : "a", what));
    } else {
      add(at, fmt::format("unknown {} '{}'{}", what, ref, did_you_mean(ref, names)));
    }
    return nullptr;
  }

  void check_trigger_parameters(const Trigger& trigger) {
    constexpr std::string_view kAt = "/trigger/parameters";
    const Value& given = spec_.trigger_parameters;
    if (spec_.trigger == kStackstormWebhook && given["url"].is_string()) {
      auto fault = webhook_name_fault(webhook_name(given["url"].as_string()));
      if (!fault.empty()) add(std::string(kAt) + "/url", std::move(fault));
    }
    if (!is_timer(spec_.trigger)) {
      check_parameters(trigger.parameters, given, kAt, trigger.ref, Templates::AreTexts);
      for (const Parameter& parameter : trigger.parameters)
        check_given(parameter, given, kAt, trigger.ref);
      return;
    }
    auto schedule = parse_schedule(spec_.trigger, given);
    if (schedule) return;
    for (const Problem& problem : schedule.error().problems()) {
      add(std::string(kAt) + problem.path, problem.message);
    }
  }

  void check_action_parameters(const Action& action) {
    constexpr std::string_view kAt = "/action/parameters";
    const Value& given = spec_.action_parameters;
    check_parameters(action.parameters, given, kAt, action.ref, Templates::AreRendered);
    for (const Parameter& parameter : action.parameters) {
      check_given(parameter, given, kAt, action.ref);
      if (parameter.immutable && given.find(parameter.name)) {
        add(json_pointer(kAt, parameter.name), "is immutable: the action sets it itself");
      }
    }
  }

  void check_given(const Parameter& parameter, const Value& given, std::string_view at,
                   std::string_view owner) {
    if (!parameter.required || parameter.default_value) return;
    if (given.is_map() && given.find(parameter.name)) return;
    add(std::string(at), fmt::format("{} requires the parameter '{}'", owner, parameter.name));
  }

  // Nothing renders a trigger's parameters: they are compared as they stand.
  enum class Templates : uint8_t { AreRendered, AreTexts };

  // The names, and the values of those that no template is still to give.
  void check_parameters(const std::vector<Parameter>& declared, const Value& given,
                        std::string_view at, std::string_view owner, Templates templates) {
    if (!given.is_map()) return;
    std::map<std::string_view, const Parameter*> by_name;
    for (const Parameter& parameter : declared) by_name.emplace(parameter.name, &parameter);
    for (const auto& [key, value] : given.as_map()) {
      std::string_view name = key.as_string();
      auto found = by_name.find(name);
      auto value_at = json_pointer(at, name);
      if (found == by_name.end() && problems.size() >= kMostProblems) return;
      if (found == by_name.end()) {
        std::vector<std::string_view> names;
        for (const Parameter& p : declared) names.push_back(p.name);
        add(value_at,
            fmt::format("{} has no parameter '{}'{}", owner, name, did_you_mean(name, names)));
        continue;
      }
      const Parameter* parameter = found->second;
      if (value.is_null()) continue;
      if (holds_template(value)) {
        if (templates == Templates::AreTexts) {
          add(value_at,
              "expected a value, found a template: a trigger's parameters are compared as they "
              "stand");
        }
        continue;
      }
      auto show = parameter->secret ? ShowValues::No : ShowValues::Yes;
      // As the start does it. A trigger's parameters are compared as they stand.
      Value cast =
          templates == Templates::AreRendered ? cast_value(parameter->schema, value) : value;
      for (Problem& problem : validate_json(parameter->schema, cast, show)) {
        add(value_at + problem.path, std::move(problem.message));
      }
    }
  }

  static bool holds_template(const Value& value) {
    if (value.is_string()) {
      return expr::detect(value.as_string(), expr::Mode::Native) != expr::Language::None;
    }
    if (value.is_list()) return std::ranges::any_of(value.as_list(), holds_template);
    if (!value.is_map()) return false;
    return std::ranges::any_of(value.as_map(), [](auto& e) { return holds_template(e.value); });
  }

  const RuleSpec& spec_;
  const Catalog& known_;
};

}  // namespace

void Catalog::add(const Pack& pack) {
  for (const Action& action : pack.actions) actions[action.ref] = &action;
  for (const Trigger& trigger : pack.triggers) triggers[trigger.ref] = &trigger;
}

std::vector<Problem> check_rule(const RuleSpec& spec, const Catalog& known, expr::Engine& engine) {
  RuleChecker checker(spec, known);
  checker.check();
  auto compiled = compile(spec, RuleId(), 0, engine);
  if (!compiled) {
    for (const Problem& problem : compiled.error().problems()) checker.problems.push_back(problem);
  }
  return std::move(checker.problems);
}

}  // namespace millrace::rules
