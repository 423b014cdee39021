// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/work_order.h"

#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/run_env.h"
#include "packs/config.h"
#include "packs/parameters.h"

namespace millrace::engine {

using namespace kernel;

Result<void> check_secrets_are_hidden(const Action& action) {
  std::string name = packs::secret_argument(action);
  if (name.empty()) return {};
  return Error(
      ErrorKind::Conflict, "EXE-0026",
      fmt::format("action '{}': its parameter '{}' is secret and becomes an argument, and every "
                  "user of the machine can read a command line: take 'position' from it, "
                  "and let the script read it from its parameters on stdin "
                  "(parameter_delivery)",
                  action.ref, name));
}

Value config_of_run(Context& ctx, const ExecutionRow& row, const Pack& pack, const Action& action) {
  if (!action.says_result()) return Value::map();
  return ctx.config_of(pack, {row.tenant, key_user(row.identity), pack.ref, action.ref});
}

Result<WorkOrder> make_order(Context& ctx, const ExecutionRow& row) {
  const TenantCatalog& catalog = ctx.catalog(row.tenant);
  auto found = catalog.find_action(row.action, row.release);
  if (!found) {
    return Error(ErrorKind::NotFound, "EXE-0003",
                 fmt::format("action '{}': release {} that this execution is pinned to is gone",
                             row.action, row.release.substr(0, 12)));
  }
  WorkOrder order;
  order.tenant = row.tenant;
  order.key = row.key();
  const Action& action = *found->action;
  order.action = action.ref;
  order.pack = found->pack->ref;
  order.release = found->pack->digest;
  order.entry_point = action.entry_point;
  order.runner = action.runner;
  order.runner_type = action.runner_type;
  order.sdk = action.sdk;
  order.reuse = action.reuse;
  order.identity = row.identity;
  order.delivery = action.delivery;
  order.parameter_format = action.parameter_format;
  order.output_format = action.output_format;
  order.arguments = packs::argument_names(action);
  order.steering = packs::steering_names(action);
  order.permissions = action.permissions;
  order.timeout_ms = row.timeout_ms;
  if (!action.runtime.empty()) {
    const auto* runtime = catalog.find_runtime(action.runtime, *found->pack);
    if (!runtime) {
      return Error(ErrorKind::NotFound, "EXE-0004",
                   fmt::format("action '{}': unknown runtime '{}'", row.action, action.runtime));
    }
    order.runtime = *runtime;
  }
  TRY(check_secrets_are_hidden(action));
  TRY(order.parameters, parse_json(row.parameters_json, kOwnJson));
  Value config = config_of_run(ctx, row, *found->pack, action);
  order.secrets = packs::secret_values(action, order.parameters,
                                       packs::secret_parts(found->pack->config_schema, config));
  if (action.says_result() && action.sdk != Sdk::Ssh) order.config = std::move(config);
  if (action.sdk == Sdk::Python) {
    // StackStorm calls run() with every parameter that is declared.
    for (const auto& parameter : action.parameters) {
      bool is_left_out = !parameter.of_runner && !order.parameters.find(parameter.name);
      if (is_left_out) order.parameters.set(parameter.name, Value());
    }
  }
  give_own_env(action, order);
  order.env = {{"MILLRACE_ACTION", row.action},
               {"MILLRACE_PACK", found->pack->ref},
               {"MILLRACE_EXEC_ID", row.id.str()},
               {"MILLRACE_ATTEMPT", std::to_string(row.attempt)},
               {"MILLRACE_IDEMPOTENCY_KEY", "execution-" + row.id.str()},
               {"MILLRACE_TRACE_PARENT", row.trace}};
  if (!row.env_json.empty()) {
    TRY(Value extra, parse_json(row.env_json, kOwnJson));
    order.env.emplace_back("MILLRACE_RULE", extra.string_or("rule", ""));
    order.env.emplace_back("MILLRACE_TRIGGER", extra.string_or("trigger", ""));
    if (const Value* own = extra.find("env")) {
      for (const auto& entry : own->as_map()) {
        order.env.emplace_back(entry.name(), entry.value.as_string());
      }
    }
  }
  return order;
}

}  // namespace millrace::engine
