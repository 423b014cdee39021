// SPDX-License-Identifier: Apache-2.0
// Rules as the API takes and shows them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "engine/machine/catalog.h"
#include "engine/verdict.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::api {

// A trigger or an action with what it is given.
struct RuleUse {
  std::string ref;
  Value parameters = Value::map();

  static const Fields& fields();
};

enum class RuleType : uint8_t { Standard, Backstop };
std::string_view to_string(RuleType type);
enum class RuleState : uint8_t { InForce, Disabled, Paused, Unresolved, OutOfForce };
std::string_view to_string(RuleState state);

struct RuleInput {
  std::string ref;
  std::string description;
  bool enabled = true;
  RuleType type = RuleType::Standard;
  RuleUse trigger;
  Value criteria;
  RuleUse action;
  std::string trace_tag;

  static const Fields& fields();
};
// A rule as people have it: in this API's form, as `rule show` gives it, or in StackStorm's (`pack`
// and `name`, `trigger.type`, `type` as a map, tags). Errors as those of a body, below `at`.
Result<RuleInput> read_rule(const Value& rule, std::string_view at = {});
RuleSpec spec_of(const RuleInput& input);

struct RuleView {
  RuleId id;
  std::string ref;
  int64_t revision = 0;
  bool enabled = true;
  RuleType type = RuleType::Standard;
  std::optional<std::string> pack;
  std::string description;
  RuleUse trigger;
  Value criteria;
  RuleUse action;
  std::string trace_tag;
  RuleState state = RuleState::InForce;
  std::optional<std::string> fault;
  std::optional<Value> override;
  std::optional<std::vector<std::string>> warnings;
  std::optional<std::vector<std::string>> next_fires;
  std::string changed_by;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields();
};
RuleView rule_view(const kernel::RuleRow& row, const RuleSpec& spec,
                   const engine::TenantCatalog& catalog);
RuleView rule_view(const engine::RuleEntry& entry, const engine::TenantCatalog& catalog);
// What a rule gives its action, with ******** for each value, no template, that is secret there.
Value shown_parameters(const Value& given, const Action* action);
// What was shown so and comes back is the value that the rule has.
void keep_secrets(RuleInput& input, const RuleSpec& stored, const engine::TenantCatalog& catalog);
// Of a rule that is sound, but perhaps not meant so.
std::vector<std::string> warnings_of(const RuleSpec& spec, const engine::TenantCatalog& catalog);
// The ref of a rule, which people choose. Errors: Invalid, API-0040.
Result<void> check_rule_ref(std::string_view ref);

struct VerdictView {
  std::string rule;
  int64_t revision = 0;
  EventId event;
  std::optional<Timestamp> event_created;
  bool matched = false;
  std::optional<std::string> reason;
  Value criteria;
  std::optional<Value> parameters;
  std::optional<std::string> error;
  ExecutionId execution;

  static const Fields& fields();
};
VerdictView verdict_view(const engine::TenantCatalog& catalog, const engine::RuleVerdict& verdict);

// All rules on the trigger of an event.
struct EventVerdictsView {
  EventId event;
  std::string trigger;
  int64_t rules = 0;
  int64_t judged = 0;
  int64_t matched = 0;
  std::vector<VerdictView> verdicts;

  static const Fields& fields();
};
EventVerdictsView event_verdicts_view(const engine::TenantCatalog& catalog,
                                      const kernel::EventRow& event,
                                      const engine::EventVerdicts& verdicts);

}  // namespace millrace::api
