// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/told_events.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"
#include "base/time.h"
#include "engine/transitions/enforce.h"
#include "kernel/event_source.h"
#include "packs/secrets.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr std::string_view kActionTrigger = "core.st2.generic.actiontrigger";
constexpr std::string_view kNotifyTrigger = "core.st2.generic.notifytrigger";

struct Told {
  TenantId tenant;
  std::string_view trigger;
  std::string source;
  int32_t chain = 0;
  std::string trace = {};
};

bool is_heard(const Context& ctx, TenantId tenant, std::string_view trigger) {
  const auto& catalog = ctx.catalog(tenant);
  return catalog.index().has_rules_on(trigger);
}

void tell(Context& ctx, Told told, const Value& payload) {
  EventRow event;
  // Whoever writes a key may own no shard: then it is another server's to enforce.
  event.id = ctx.shards().empty() ? ctx.new_id<EventId>() : ctx.new_root<EventId>(told.tenant);
  event.tenant = told.tenant;
  event.trigger = told.trigger;
  event.source = std::move(told.source);
  event.source_id = event.id.str();
  event.trace = std::move(told.trace);
  event.chain = told.chain;
  event.created = ctx.now();
  event.payload_json = to_json(payload);
  store_event_for_later(ctx, std::move(event));
}

std::string time_text(int64_t ms) { return ms > 0 ? to_rfc3339(ms) : std::string(); }

Value read(const std::string& json) {
  auto value = json.empty() ? Result<Value>(Value()) : parse_json(json, kOwnJson);
  return value.ok() ? std::move(*value) : Value();  // may fail: then the payload lacks it
}

Told told_of(const ExecutionRow& row, std::string_view trigger) {
  return {row.tenant, trigger, own_source(SourceKind::Execution, row.id.str()), chain_of(row),
          row.trace};
}

// What both triggers about an end tell, as StackStorm names it.
Value end_payload(const ExecutionRow& row, std::string_view runner) {
  return Value::map({{"execution_id", row.id.str()},
                     {"status", to_string(row.status)},
                     {"start_timestamp", time_text(row.created)},
                     {"end_timestamp", time_text(row.ended)},
                     {"action_name", row.action},
                     {"action_ref", row.action},
                     {"runner_ref", runner}});
}

// Without the values of secret parameters; a result that is no row's is named by its size.
void add_parameters_and_result(Value& payload, const ExecutionRow& row, const Action* action,
                               const Value& result) {
  const Value parameters = read(row.parameters_json);
  Value shown = row.result_size > kInlineResult.most ? Value() : result;
  if (action && packs::may_hold_secrets(*action, row.parameters_json)) {
    packs::SecretScalars secrets(*action, parameters);
    shown = secrets.hidden_in(shown);
  }
  payload.set("parameters", packs::mask_secrets(parameters, action));
  payload.set("result", std::move(shown));
  if (row.result_size > kInlineResult.most) payload.set("result_size", row.result_size);
}

// One event for each route of a section of `notify`.
void notify(Context& ctx, const ExecutionRow& row, const Value& section, Value payload) {
  if (!section.is_map()) return;
  payload.set("message", section.string_or("message", ""));
  payload.set("data", section["data"].is_null() ? Value::map() : section["data"]);
  const Value& routes = section["routes"].is_list() ? section["routes"] : section["channels"];
  constexpr size_t kMostRoutes = 20;
  for (size_t i = 0; routes.is_list() && i < std::min(routes.size(), kMostRoutes); ++i) {
    payload.set("route", routes.as_list()[i]);
    payload.set("channel", routes.as_list()[i]);
    tell(ctx, told_of(row, kNotifyTrigger), payload);
  }
}

// Of one that was started in a chat: to where its answer is to go.
void notify_chat(Context& ctx, const ExecutionRow& row, Value payload) {
  const Value context = read(row.env_json)["context"];
  std::string_view route = context.string_or("notification_route", "");
  if (route.empty()) return;
  Value section = Value::map({
      {"routes", Value(ValueList{Value(route)})},
      {"data", Value::map({{"user", context["api_user"]},
                           {"source_channel", context["source_channel"]},
                           {"source_context", context["source_context"]}})},
  });
  notify(ctx, row, section, std::move(payload));
}

void tell_notify(Context& ctx, const ExecutionRow& row, const Action* action) {
  Value payload = end_payload(row, action ? action->runner_type : "");
  if (!row.parent) notify_chat(ctx, row, payload);
  if (!action || !action->notify.is_map()) return;
  bool is_success = row.status == ExecutionStatus::Succeeded;
  notify(ctx, row, action->notify["on-complete"], payload);
  notify(ctx, row, action->notify[is_success ? "on-success" : "on-failure"], payload);
}

Value key_object(const KeyRow& row) {
  std::string_view scope = row.key.scope;
  bool is_user = scope.starts_with("user:");
  std::string st2_scope = is_user             ? "st2kv.user"
                          : scope == "system" ? "st2kv.system"
                                              : std::string(scope);
  Value object =
      Value::map({{"name", row.key.name},
                  {"scope", st2_scope},
                  {"secret", row.encrypted},
                  {"value", row.encrypted ? Value() : read(row.value_json)},
                  {"expire_timestamp", row.expires > 0 ? Value(time_text(row.expires)) : Value()},
                  {"version", row.version}});
  if (is_user) object.set("user", scope.substr(5));
  return object;
}

}  // namespace

int32_t breadth_of(size_t rules) {
  if (rules <= 1) return 0;
  return static_cast<int32_t>(std::ceil(25 * std::log10(static_cast<double>(rules))));
}

int32_t chain_of(const ExecutionRow& row) {
  if (row.env_json.find("\"chain\"") == std::string::npos) return 0;
  Value chain = read(row.env_json)["chain"];
  return chain.is_int() ? static_cast<int32_t>(chain.as_int()) : 0;
}

void want_run(Wanted& wanted, const Caller& caller) {
  if (caller.run) wanted.executions.push_back({caller.tenant, caller.run});
}

int32_t chain_of(const Context& ctx, const Caller& caller) {
  if (!caller.run) return 0;
  const auto* row = ctx.rows().execution(Of{caller.tenant, caller.run});
  return row ? chain_of(*row) : 0;
}

std::string env_of_chain(std::string env_json, int32_t chain) {
  Value env = read(env_json);
  if (chain <= env.int_or("chain", 0)) return env_json;
  env.set("chain", chain);
  return to_json(env);
}

void tell_ended(Context& ctx, const ExecutionRow& row, const Value& result) {
  bool of_end = is_heard(ctx, row.tenant, kActionTrigger);
  bool of_notify = is_heard(ctx, row.tenant, kNotifyTrigger);
  if (!of_end && !of_notify) return;
  auto found = ctx.catalog(row.tenant).find_action(row.action, row.release);
  const Action* action = found ? found->action.get() : nullptr;
  if (of_notify) tell_notify(ctx, row, action);
  if (!of_end) return;
  Value payload = end_payload(row, action ? action->runner_type : "");
  add_parameters_and_result(payload, row, action, result);
  Told told = told_of(row, kActionTrigger);
  if (row.parent) told.chain += kStepDepth;
  tell(ctx, std::move(told), payload);
}

void tell_asked(Context& ctx, const ExecutionRow& row, const InquiryRow& inquiry) {
  for (std::string_view trigger : {"core.st2.generic.inquiry", "core.inquiry_created"}) {
    if (!is_heard(ctx, row.tenant, trigger)) continue;
    tell(ctx, told_of(row, trigger),
         Value::map({{"id", inquiry.id.str()},
                     {"execution", row.id.str()},
                     {"route", inquiry.route},
                     {"prompt", inquiry.prompt},
                     {"users", read(inquiry.users_json)},
                     {"roles", read(inquiry.roles_json)},
                     {"expires", time_text(inquiry.expires)}}));
  }
}

void tell_answered(Context& ctx, const ExecutionRow& row, const InquiryRow& inquiry) {
  constexpr std::string_view kTrigger = "core.inquiry_answered";
  if (!is_heard(ctx, row.tenant, kTrigger)) return;
  tell(ctx, told_of(row, kTrigger),
       Value::map({{"id", inquiry.id.str()},
                   {"execution", row.id.str()},
                   {"route", inquiry.route},
                   {"responder", inquiry.responder},
                   {"response", read(inquiry.response_json)}}));
}

void tell_key(Context& ctx, const Caller& caller, const KeyRow* before, const KeyRow* after) {
  const KeyName& name = (before ? before : after)->key;
  auto told = [&](std::string_view what, const Value& payload) {
    auto trigger = fmt::format("core.st2.key_value_pair.{}", what);
    if (!is_heard(ctx, name.tenant, trigger)) return;
    tell(ctx,
         {name.tenant, trigger,
          own_source(SourceKind::Server, fmt::format("key/{}/{}", name.scope, name.name)),
          chain_of(ctx, caller)},
         payload);
  };
  if (!after) return told("delete", Value::map({{"object", key_object(*before)}}));
  Value object = Value::map({{"object", key_object(*after)}});
  if (!before) return told("create", object);
  told("update", object);
  bool same = before->encrypted == after->encrypted && before->value_json == after->value_json;
  if (same) return;
  told("value_change",
       Value::map({{"old_object", key_object(*before)}, {"new_object", key_object(*after)}}));
}

void tell_installed(Context& ctx, const Caller& caller, const Pack& pack) {
  constexpr std::string_view kTrigger = "core.pack_installed";
  if (!is_heard(ctx, caller.tenant, kTrigger)) return;
  tell(ctx,
       {caller.tenant, kTrigger, own_source(SourceKind::Server, "pack/" + pack.ref),
        chain_of(ctx, caller)},
       Value::map({{"ref", pack.ref},
                   {"version", pack.version},
                   {"digest", pack.digest},
                   {"source", pack.origin.is_installed() ? pack.origin.from : pack.source},
                   {"installer", pack.origin.installer}}));
}

void tell_alert(Context& ctx, TenantId tenant, std::string_view kind, int64_t subject,
                std::string_view reason) {
  constexpr std::string_view kTrigger = "core.system_alert";
  if (!is_heard(ctx, tenant, kTrigger)) return;
  tell(ctx, {tenant, kTrigger, own_source(SourceKind::Server, "quarantine")},
       Value::map({{"kind", kind}, {"subject", std::to_string(subject)}, {"reason", reason}}));
}

}  // namespace millrace::engine
