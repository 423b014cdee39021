// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "expr/expr.h"
#include "model/pack.h"
#include "rules/access.h"
#include "rules/criteria.h"
#include "rules/event.h"
#include "rules/template_tree.h"

namespace millrace::rules {

// One revision of a rule, made ready: paths parsed, patterns and templates compiled. Immutable,
// shared by all indexes and decisions that use it.
class CompiledRule {
 public:
  const RuleSpec& spec() const { return spec_; }
  RuleId id() const { return id_; }
  int64_t revision() const { return revision_; }
  // The pack part of the ref.
  std::string_view pack() const;
  RuleName name() const { return {pack(), spec_.ref, id_, revision_}; }

  // Of the trigger's parameters: each that the rule gives equals what fired.
  const Criterion& trigger_criteria() const { return trigger_criteria_; }
  const Criterion& criteria() const { return criteria_; }
  // The distinct places of the event that both look at; the slots of the criteria count these.
  std::span<const Path> paths() const { return paths_; }
  // What an event must have for both to hold; its slots count paths() too.
  const AccessPlan& access() const { return access_; }

 private:
  friend Result<std::shared_ptr<const CompiledRule>> compile(RuleSpec, RuleId, int64_t,
                                                             expr::Engine&);
  friend Result<Value> render_parameters(const CompiledRule&, const EventScope&, expr::Engine&,
                                         EnforcementId);
  friend Result<std::string> render_trace_tag(const CompiledRule&, const EventScope&,
                                              expr::Engine&);

  RuleSpec spec_;
  RuleId id_;
  int64_t revision_ = 0;
  Criterion trigger_criteria_;
  Criterion criteria_;
  std::vector<Path> paths_;
  AccessPlan access_;
  TemplateTree parameters_;
  TemplateTree trace_tag_;
};
using RulePtr = std::shared_ptr<const CompiledRule>;

// Error RUL-0010 with one problem per mistake, at JSON pointers into the rule as a file has it
// (/criteria/..., /action/parameters/..., /trigger/parameters/...).
Result<RulePtr> compile(RuleSpec spec, RuleId id, int64_t revision, expr::Engine& engine);

// The action's parameters for one event; values that are one expression keep their type. Error
// RUL-0011 with one problem per template that failed; EXP-0004 (expr::needed_key) when a value
// must be loaded first. `enforcement`: {{ system.enforcement.id }}; 0 in a trial.
Result<Value> render_parameters(const CompiledRule& rule, const EventScope& scope,
                                expr::Engine& engine, EnforcementId enforcement = {});
// Empty when the rule has none.
Result<std::string> render_trace_tag(const CompiledRule& rule, const EventScope& scope,
                                     expr::Engine& engine);

struct Explanation {
  bool matches = false;
  std::vector<Verdict> verdicts;  // enabled, trigger, its parameters, the criteria
};

// Why a rule matches an event, or does not: for `rule test` and `rule why`. Error EXP-0004 as
// above. A backstop rule is judged as if no other rule had matched.
Result<Explanation> explain(const CompiledRule& rule, const EventScope& scope,
                            expr::Engine& engine);

}  // namespace millrace::rules
