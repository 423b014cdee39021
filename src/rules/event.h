// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/value.h"

namespace millrace::expr {
struct Allowance;
class Lookup;
struct Scope;
}  // namespace millrace::expr

namespace millrace::rules {

class CompiledRule;

// An event as criteria and templates see it: a map with `id` (a string), `trigger` (the ref),
// `created` (RFC 3339), `payload`, `parameters` (what the trigger instance was set up with).
Value event_value(EventId id, std::string_view trigger_ref, int64_t created_ms, Value payload,
                  Value trigger_parameters);

// Of whom the expressions are: {{ pack.ref }}, {{ system.rule.ref }}.
struct RuleName {
  std::string_view pack;
  std::string_view ref = {};
  RuleId id = {};
  int64_t revision = 0;
};

// Everything that a decision about one event may read.
struct EventScope {
  Value event;  // made by event_value()
  // The configuration of each pack, by its ref: {{ pack.config.x }} of a rule is that of its pack.
  const std::map<std::string, Value, std::less<>>* pack_configs = nullptr;
  const expr::Lookup* lookup = nullptr;  // {{ st2kv.system.x }}
  int64_t now_ms = 0;                    // Unix; of timediff_* and {{ system.timestamp }}
  // What all rules together may do about the event: criteria and templates. Null: no limit but that
  // of each template.
  expr::Allowance* allowance = nullptr;
  // Asked before each rule is judged; an error sets it aside for this event. Null: none is.
  const std::function<Result<void>(const CompiledRule&)>* may_judge = nullptr;
};

// {{ system }}: timestamp, and of a rule `rule` and, where it has matched, `enforcement`.
Value system_value(int64_t now_ms, const RuleName& rule,
                   std::optional<EnforcementId> enforcement = {});

// The scope of the expressions of a rule: trigger.*, event.*, pack.config.*, system.*, st2kv.*.
expr::Scope expression_scope(const EventScope& scope, const RuleName& rule,
                             std::optional<EnforcementId> enforcement = {});

}  // namespace millrace::rules
