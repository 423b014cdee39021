// SPDX-License-Identifier: Apache-2.0
#include "rules/event.h"

#include "base/time.h"
#include "expr/expr.h"

namespace millrace::rules {

Value event_value(EventId id, std::string_view trigger_ref, int64_t created_ms, Value payload,
                  Value trigger_parameters) {
  return Value::map({{"id", id.str()},
                     {"trigger", trigger_ref},
                     {"created", to_rfc3339(created_ms)},
                     {"payload", std::move(payload)},
                     {"parameters", std::move(trigger_parameters)}});
}

Value system_value(int64_t now_ms, const RuleName& rule, std::optional<EnforcementId> enforcement) {
  Value system = Value::map({{"timestamp", to_rfc3339(now_ms)}});
  if (!rule.ref.empty()) {
    system.set("rule",
               Value::map({{"id", rule.id.str()}, {"ref", rule.ref}, {"revision", rule.revision}}));
  }
  if (enforcement) system.set("enforcement", Value::map({{"id", enforcement->str()}}));
  return system;
}

expr::Scope expression_scope(const EventScope& scope, const RuleName& rule,
                             std::optional<EnforcementId> enforcement) {
  Value config = Value::map();
  if (scope.pack_configs) {
    auto found = scope.pack_configs->find(rule.pack);
    if (found != scope.pack_configs->end()) config = found->second;
  }
  expr::Scope out;
  out.names = Value::map({{"trigger", scope.event["payload"]},
                          {"event", scope.event},
                          {"pack", Value::map({{"ref", rule.pack}, {"config", std::move(config)}})},
                          {"system", system_value(scope.now_ms, rule, enforcement)}});
  out.lookup = scope.lookup;
  out.allowance = scope.allowance;
  out.mode = expr::Mode::Native;
  return out;
}

}  // namespace millrace::rules
