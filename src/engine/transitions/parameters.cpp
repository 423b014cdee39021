// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/parameters.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/run_env.h"
#include "engine/transitions/work_order.h"
#include "packs/parameters.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// An event of megabytes that is handed to a thousand actions is a thousand times as dear to store.
Result<void> pay_for(const Action& action, const Value& parameters, expr::Allowance* allowance) {
  // What ends at once gives them back, as text and as value.
  if (is_deeper(parameters, static_cast<size_t>(kDeepestKept.most))) {
    return Error(ErrorKind::TooLarge, "EXE-0028",
                 fmt::format("'{}' cannot start: expected parameters of at most {} levels of lists "
                             "and maps",
                             action.ref, kDeepestKept.most));
  }
  uint64_t times = action.runner == Runner::Builtin ? 3 : 1;
  if (!allowance || allowance->take_writing(parameters, times)) return {};
  return Error(ErrorKind::TooLarge, "EXE-0027",
               fmt::format("'{}' cannot start with parameters that large: what one decision starts "
                           "may take {} steps together",
                           action.ref, allowance->of));
}

// The runner's own `timeout`, in seconds; who starts it may say another time for the run.
Result<int64_t> timeout_of(const Action& action, const Value& parameters,
                           const StartRequest& request) {
  constexpr int64_t kLongestS = 366 * 86'400;
  if (request.timeout_ms != 0) return request.timeout_ms;
  auto own = std::ranges::find_if(
      action.parameters, [](const Parameter& p) { return p.of_runner && p.name == "timeout"; });
  const Value* seconds = own == action.parameters.end() ? nullptr : parameters.find("timeout");
  // What runs inside the server ends by itself.
  bool ends_by_itself = action.runner == Runner::Builtin;
  if (!seconds || seconds->is_null()) return ends_by_itself ? 0 : action.timeout_ms;
  int64_t s = seconds->is_int() ? seconds->as_int() : 0;
  if (s >= 1 && s <= kLongestS) return s * 1000;
  return Error(ErrorKind::Invalid, "EXE-0006",
               fmt::format("action '{}': the parameter 'timeout': expected 1 to {} seconds, found "
                           "{}",
                           action.ref, kLongestS, to_json(*seconds)));
}

// The names have no commas: packs/parameters_reader.cpp.
std::string names_of_defaults(const Action& action, const Value& given, const Value& resolved) {
  std::string names;
  for (const auto& parameter : action.parameters) {
    if (packs::is_given(parameter, given) || !resolved.find(parameter.name)) continue;
    if (!names.empty()) names += ',';
    names += parameter.name;
  }
  return names;
}

}  // namespace

Value action_context(const Context& ctx, const StartRequest& request, const Pack& pack) {
  std::string user = key_user(request.identity);
  Value context = Value::map({{"user", user}, {"api_user", user}, {"pack", pack.ref}});
  if (!request.rule_ref.empty()) {
    context.set("rule", Value::map({{"name", request.rule_ref}, {"ref", request.rule_ref}}));
  }
  if (request.context.is_map()) {
    for (const auto& entry : request.context.as_map()) context.set(entry.name(), entry.value);
  }
  const ExecutionRow* parent = request.parent ? ctx.execution(request.parent) : nullptr;
  if (!parent) return context;
  context.set(
      "parent",
      Value::map({{"execution_id", parent->id.str()},
                  {"user", key_user(parent->identity)},
                  {"pack", std::string_view(parent->action).substr(0, parent->action.find('.'))}}));
  return context;
}

Result<Resolved> resolve(Context& ctx, const StartRequest& request,
                         const TenantCatalog::ActionRef& found) {
  const Action& action = *found.action;
  KeyLookup keys =
      ctx.keys({request.tenant, key_user(request.identity), found.pack->ref, action.ref});
  auto has_template = [](const Parameter& p) {
    return p.default_value && packs::is_template(*p.default_value);
  };
  bool is_read = std::ranges::any_of(action.parameters, has_template);
  packs::CallScope scope{
      .pack_config = is_read ? ctx.config_of(*found.pack, keys.reader()) : found.pack->config,
      .action_context = action_context(ctx, request, *found.pack),
      .lookup = &keys,
      .allowance = request.allowance};
  Resolved out;
  TRY(out.parameters,
      packs::check_parameters(action, request.parameters, scope, ctx.expressions()));
  TRY(check_env_parameter(action, out.parameters, ctx.env_allowed()));
  TRY(pay_for(action, out.parameters, request.allowance));
  TRY(out.timeout_ms, timeout_of(action, out.parameters, request));
  out.defaults = names_of_defaults(action, request.parameters, out.parameters);
  return out;
}

Result<Value> given_parameters(const ExecutionRow& row) {
  TRY(Value given, parse_json(row.parameters_json, kOwnJson));
  if (!given.is_map()) return given;
  for (std::string_view name : split(row.defaults, ',')) given.mutable_map().erase(name);
  return given;
}

}  // namespace millrace::engine
