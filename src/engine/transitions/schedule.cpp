// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/schedule.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/time.h"
#include "engine/transitions/enforce.h"
#include "kernel/event_source.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

TimerRow schedule_row(Context& ctx, TenantId tenant, std::string name, std::string body,
                      int64_t due) {
  TimerRow timer;
  timer.id = ctx.new_root<TimerId>(tenant);
  timer.tenant = tenant;
  timer.shard = shard_of(tenant, timer.id.value);
  timer.due = due;
  timer.kind = TimerKind::Schedule;
  timer.name = std::move(name);
  timer.body_json = std::move(body);
  return timer;
}

void add_next_firing(Context& ctx, const TimerRow& timer, std::optional<int64_t> at_ms) {
  if (!at_ms) return;
  ctx.changes.timers.push_back(
      schedule_row(ctx, timer.tenant, timer.name, timer.body_json, *at_ms));
}

bool any_rule_uses(const TenantCatalog& catalog, const std::string& name,
                   const std::set<std::string>& without = {}) {
  for (const auto& [ref, entry] : catalog.rules()) {
    if (!without.contains(ref) && entry->spec.enabled && rules::is_timer(entry->spec.trigger) &&
        schedule_name(entry->spec) == name) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string schedule_name(const RuleSpec& spec) {
  return "schedule:" + spec.trigger + ":" + to_json(spec.trigger_parameters);
}

Result<void> set_schedule(Context& ctx, TenantId tenant, const RuleSpec& spec) {
  TRY(auto schedule, rules::parse_schedule(spec.trigger, spec.trigger_parameters));
  auto due = rules::next_fire(schedule, ctx.now());
  if (!due) return {};  // a date that is over
  Value body = Value::map({{"trigger", spec.trigger}, {"parameters", spec.trigger_parameters}});
  ctx.changes.timers.push_back(schedule_row(ctx, tenant, schedule_name(spec), to_json(body), *due));
  return {};
}

void end_schedules(Context& ctx, TenantId tenant, const std::set<std::string>& rules_that_go) {
  const auto& catalog = ctx.catalog(tenant);
  for (const auto& timer : ctx.rows().schedules()) {
    if (timer.tenant != tenant) continue;
    bool is_used = any_rule_uses(catalog, timer.name);
    if (is_used && !any_rule_uses(catalog, timer.name, rules_that_go)) {
      ctx.changes.timers_done.push_back({tenant, timer.id});
    }
  }
}

Result<void> fire_schedule(Context& ctx, const TimerRow& timer) {
  if (!any_rule_uses(ctx.catalog(timer.tenant), timer.name)) return {};  // the last rule has gone
  TRY(Value body, parse_json(timer.body_json));
  std::string trigger(body.string_or("trigger", ""));
  const Value& parameters = body["parameters"];
  TRY(auto schedule, rules::parse_schedule(trigger, parameters));
  auto firings = rules::due_firings(schedule, timer.due, ctx.now());
  add_next_firing(ctx, timer, firings.next_ms);
  for (int64_t at : firings.at_ms) {
    EventRow event;
    event.id = ctx.new_root<EventId>(timer.tenant);
    event.tenant = timer.tenant;
    event.trigger = trigger;
    event.source = own_source(SourceKind::Timer, trigger);
    event.source_id = fmt::format("{}@{}", timer.name, at);
    event.created = ctx.now();
    event.trigger_parameters_json = to_json(parameters);
    event.payload_json =
        to_json(Value::map({{"executed_at", to_rfc3339(at)}, {"schedule", parameters}}));
    store_event_for_later(ctx, std::move(event));
  }
  return {};
}

Result<void> skip_firing(Context& ctx, const TimerRow& timer) {
  if (!any_rule_uses(ctx.catalog(timer.tenant), timer.name)) return {};
  TRY(Value body, parse_json(timer.body_json));
  TRY(auto schedule, rules::parse_schedule(body.string_or("trigger", ""), body["parameters"]));
  add_next_firing(ctx, timer, rules::due_firings(schedule, timer.due, ctx.now()).next_ms);
  return {};
}

}  // namespace millrace::engine
