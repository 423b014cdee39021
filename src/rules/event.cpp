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

expr::Scope expression_scope(const EventScope& scope, std::string_view pack) {
  Value config = Value::map();
  if (scope.pack_configs) {
    auto found = scope.pack_configs->find(pack);
    if (found != scope.pack_configs->end()) config = found->second;
  }
  expr::Scope out;
  out.names = Value::map({{"trigger", scope.event["payload"]},
                          {"event", scope.event},
                          {"pack", Value::map({{"ref", pack}, {"config", std::move(config)}})},
                          {"system", scope.system}});
  out.lookup = scope.lookup;
  out.allowance = scope.allowance;
  out.mode = expr::Mode::Native;
  return out;
}

}  // namespace millrace::rules
