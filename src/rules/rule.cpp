// SPDX-License-Identifier: Apache-2.0
#include "rules/rule.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/problems.h"
#include "rules/schedule.h"
#include "rules/webhook.h"

namespace millrace::rules {
namespace {

// Judges both criteria of a rule on its own, outside of an index.
class LoneJudge {
 public:
  LoneJudge(const CompiledRule& rule, const EventScope& scope, expr::Engine& engine)
      : values_(scope.event, rule.paths()), judge_(scope, rule.name(), values_, {}, engine) {}
  Judge* operator->() { return &judge_; }

 private:
  PathValues values_;
  Judge judge_;
};

Criterion compile_trigger(const RuleSpec& spec, std::vector<Path>& paths,
                          std::vector<Problem>& problems) {
  Criterion all{.label = "all"};
  const Value& parameters = spec.trigger_parameters;
  if (parameters.is_null()) return all;
  if (!parameters.is_map()) {
    problems.push_back(
        {"/trigger/parameters", fmt::format("expected a map, found {}", parameters.type_name())});
    return all;
  }
  bool names_webhook = !webhook_of_rule(spec).empty();
  for (const auto& [name, value] : parameters.as_map()) {
    if (names_webhook && name.as_string() == "url") {  // as deliveries name it
      Value webhook(webhook_of_rule(spec));
      all.parts.push_back(parameter_criterion("url", webhook, paths));
      continue;
    }
    if (!value.is_null()) all.parts.push_back(parameter_criterion(name.as_string(), value, paths));
  }
  // Two timers are the same only if all their parameters are.
  if (is_timer(spec.trigger)) all.parts.push_back(parameter_criterion({}, parameters, paths));
  return all;
}

}  // namespace

std::string_view CompiledRule::pack() const {
  return std::string_view(spec_.ref).substr(0, spec_.ref.find('.'));
}

Result<RulePtr> compile(RuleSpec spec, RuleId id, int64_t revision, expr::Engine& engine) {
  auto rule = std::make_shared<CompiledRule>();
  std::vector<Problem> problems;
  rule->trigger_criteria_ = compile_trigger(spec, rule->paths_, problems);
  rule->criteria_ = compile_criteria(spec.criteria, "/criteria", engine, rule->paths_, problems);
  if (!spec.action_parameters.is_null() && !spec.action_parameters.is_map()) {
    problems.push_back({"/action/parameters", fmt::format("expected a map, found {}",
                                                          spec.action_parameters.type_name())});
  }
  rule->parameters_ = TemplateTree(spec.action_parameters, "/action/parameters", engine, problems);
  rule->trace_tag_ = TemplateTree(Value(spec.trace_tag), "/trace_tag", engine, problems);
  if (!problems.empty()) {
    return Error(ErrorKind::Invalid, "RUL-0010", fmt::format("rule '{}' is not valid", spec.ref))
        .with_problems(std::move(problems));
  }
  const Criterion* both[] = {&rule->trigger_criteria_, &rule->criteria_};
  rule->access_ = access_plan(both);
  rule->spec_ = std::move(spec);
  rule->id_ = id;
  rule->revision_ = revision;
  return RulePtr(std::move(rule));
}

Result<Value> render_parameters(const CompiledRule& rule, const EventScope& scope,
                                expr::Engine& engine, EnforcementId enforcement) {
  Problems problems;
  TRY(Value parameters, rule.parameters_.render(expression_scope(scope, rule.name(), enforcement),
                                                "", engine, problems));
  if (problems.empty()) return parameters.is_null() ? Value::map() : parameters;
  return Error(ErrorKind::Invalid, "RUL-0011",
               fmt::format("rule '{}': the parameters cannot be rendered", rule.spec().ref))
      .with_problems(std::move(problems).take());
}

Result<std::string> render_trace_tag(const CompiledRule& rule, const EventScope& scope,
                                     expr::Engine& engine) {
  Problems problems;
  TRY(Value tag,
      rule.trace_tag_.render(expression_scope(scope, rule.name()), "", engine, problems));
  if (problems.empty()) return expr::to_text(tag);
  return Error(ErrorKind::Invalid, "RUL-0011",
               fmt::format("rule '{}': the trace tag cannot be rendered: {}", rule.spec().ref,
                           std::move(problems).take().front().message));
}

Result<Explanation> explain(const CompiledRule& rule, const EventScope& scope,
                            expr::Engine& engine) {
  const RuleSpec& spec = rule.spec();
  Explanation out;
  auto add = [&](std::string criterion, Value expected, Value found) {
    bool holds = expected == found;
    out.verdicts.push_back({.criterion = std::move(criterion),
                            .op = "equals",
                            .holds = holds,
                            .expected = std::move(expected),
                            .found = std::move(found)});
  };
  add("enabled", Value(true), Value(spec.enabled));
  add("event.trigger", Value(spec.trigger), scope.event["trigger"]);
  LoneJudge judge(rule, scope, engine);
  judge->explain_each(rule.trigger_criteria(), out.verdicts);
  judge->explain_each(rule.criteria(), out.verdicts);
  if (judge->need()) return *judge->need();
  if (judge->spent()) return *judge->spent();
  out.matches = std::ranges::all_of(out.verdicts, &Verdict::holds);
  return out;
}

}  // namespace millrace::rules
