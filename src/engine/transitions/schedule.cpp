// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/schedule.h"

#include <fmt/format.h>

#include <map>

#include "base/json.h"
#include "base/log.h"
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

// What a schedule's row says beside trigger and parameters.
struct Course {
  int64_t reached = 0;  // up to where firings may be repeated, see mend_schedule
  int64_t last = 0;     // when it has last made events; 0: it has not
};

int64_t number_in(const Value& body, std::string_view name) {
  const Value& value = body[name];
  return value.is_int() ? value.as_int() : 0;
}

Course course_of(const Value& body) {
  return {.reached = number_in(body, "reached"), .last = number_in(body, "last")};
}

std::string with_course(const TimerRow& timer, const Course& course) {
  auto body = parse_json(timer.body_json, kOwnJson);
  if (!body.ok() || !body->is_map()) return timer.body_json;
  Value plain =
      Value::map({{"trigger", (*body)["trigger"]}, {"parameters", (*body)["parameters"]}});
  if (course.reached > 0) plain.set("reached", course.reached);
  if (course.last > 0) plain.set("last", course.last);
  return to_json(plain);
}

void add_next_firing(Context& ctx, const TimerRow& timer, std::optional<int64_t> at_ms,
                     Course course) {
  if (!at_ms) return;
  if (course.reached <= *at_ms) course.reached = 0;
  ctx.changes.timers.push_back(
      schedule_row(ctx, timer.tenant, timer.name, with_course(timer, course), *at_ms));
}

}  // namespace

std::string schedule_name(const RuleSpec& spec) {
  if (!rules::is_timer(spec.trigger)) return {};
  return "schedule:" + spec.trigger + ":" + to_json(spec.trigger_parameters);
}

void want_schedule(Wanted& wanted, TenantId tenant, const RuleSpec& spec) {
  if (auto name = schedule_name(spec); !name.empty()) {
    wanted.schedules.emplace_back(tenant, std::move(name));
  }
}

Result<void> set_schedule(Context& ctx, TenantId tenant, const RuleSpec& spec) {
  TRY(auto schedule, rules::parse_schedule(spec.trigger, spec.trigger_parameters));
  std::string name = schedule_name(spec);
  // A rule fires it already: it may be firing just now.
  if (ctx.catalog(tenant).users_of_schedule(name) > 0) return {};
  // What a rule has left that is gone or disabled: as long as it has not come due, it counts.
  const auto* left = ctx.rows().schedule(tenant, name);
  bool joins = left && left->due > ctx.now();
  auto due = joins ? rules::due_anew(schedule, left->due, ctx.now())
                   : rules::next_fire(schedule, ctx.now());
  if (!due) {
    log_warn("schedule.is_over", {{"rule", spec.ref}, {"trigger", spec.trigger}});
    return {};
  }
  Value body = Value::map({{"trigger", spec.trigger}, {"parameters", spec.trigger_parameters}});
  ctx.changes.timers.push_back(schedule_row(ctx, tenant, std::move(name), to_json(body), *due));
  return {};
}

Result<void> check_is_ahead(const RuleSpec& spec, int64_t now_ms) {
  if (!rules::is_timer(spec.trigger)) return {};
  TRY(auto schedule, rules::parse_schedule(spec.trigger, spec.trigger_parameters));
  if (rules::next_fire(schedule, now_ms)) return {};
  const auto* once = std::get_if<rules::Once>(&schedule.when);
  std::string why = fmt::format("never fires: {} over",
                                once ? to_rfc3339(once->at_ms) + " is" : "all its times are");
  return Error(ErrorKind::Invalid, "RUL-0105", fmt::format("rule '{}': {}", spec.ref, why))
      .with_problem("/trigger/parameters", std::move(why));
}

void end_schedules(Context& ctx, TenantId tenant, const std::set<std::string>& rules_that_go) {
  const auto& catalog = ctx.catalog(tenant);
  std::map<std::string_view, size_t> users_that_go;
  for (const auto& ref : rules_that_go) {
    const auto* entry = catalog.find_rule(ref);
    if (entry && entry->compiled && entry->spec.enabled) ++users_that_go[entry->schedule];
  }
  for (const auto& [key, timer] : ctx.rows().schedules()) {
    auto going = timer.tenant == tenant ? users_that_go.find(timer.name) : users_that_go.end();
    if (going == users_that_go.end()) continue;
    bool all_go = going->second == catalog.users_of_schedule(timer.name);
    if (all_go) ctx.changes.timers_done.push_back({tenant, timer.id});
  }
}

std::set<std::string, std::less<>> paused_timers(std::string_view json) {
  std::set<std::string, std::less<>> names;
  auto list = parse_json(json, kOwnJson);
  if (!list.ok() || !list->is_list()) return names;
  for (const Value& name : list->as_list()) {
    if (name.is_string()) names.emplace(name.as_string());
  }
  return names;
}

std::string paused_to_json(const std::set<std::string, std::less<>>& schedules) {
  if (schedules.empty()) return {};
  Value list = Value::list();
  for (const auto& name : schedules) list.push_back(Value(name));
  return to_json(list);
}

EventRow firing_event(Context& ctx, TenantId tenant, const std::string& trigger,
                      const Value& parameters, int64_t at_ms, std::string source_id) {
  EventRow event;
  event.id = ctx.new_root<EventId>(tenant);
  event.tenant = tenant;
  event.trigger = trigger;
  event.source = own_source(SourceKind::Timer, trigger);
  event.source_id = std::move(source_id);
  event.created = ctx.now();
  event.trigger_parameters_json = to_json(parameters);
  event.payload_json =
      to_json(Value::map({{"executed_at", to_rfc3339(at_ms)}, {"schedule", parameters}}));
  return event;
}

int64_t last_firing(const TimerRow& timer) {
  auto body = parse_json(timer.body_json, kOwnJson);
  return body.ok() && body->is_map() ? course_of(*body).last : 0;
}

Result<void> fire_schedule(Context& ctx, const TimerRow& timer) {
  const auto& catalog = ctx.catalog(timer.tenant);
  if (catalog.users_of_schedule(timer.name) == 0) return {};  // the last rule has gone
  if (catalog.is_paused(timer.name)) return skip_firing(ctx, timer);
  TRY(Value body, parse_json(timer.body_json, kOwnJson));
  std::string trigger(body.string_or("trigger", ""));
  const Value& parameters = body["parameters"];
  TRY(auto schedule, rules::parse_schedule(trigger, parameters));
  auto firings = rules::due_firings(schedule, timer.due, ctx.now());
  Course course = course_of(body);
  // Up to there it may have fired before the clock was set back: the same time is another firing.
  int64_t reached = course.reached;
  if (!firings.at_ms.empty()) course.last = firings.at_ms.back();
  add_next_firing(ctx, timer, firings.next_ms, course);
  for (int64_t at : firings.at_ms) {
    auto source_id = fmt::format("{}@{}", timer.name, at);
    if (at < reached) source_id += fmt::format("/{}", timer.id.value);
    store_event_for_later(
        ctx, firing_event(ctx, timer.tenant, trigger, parameters, at, std::move(source_id)));
  }
  return {};
}

Result<void> skip_firing(Context& ctx, const TimerRow& timer) {
  if (ctx.catalog(timer.tenant).users_of_schedule(timer.name) == 0) return {};
  TRY(Value body, parse_json(timer.body_json, kOwnJson));
  TRY(auto schedule, rules::parse_schedule(body.string_or("trigger", ""), body["parameters"]));
  add_next_firing(ctx, timer, rules::due_firings(schedule, timer.due, ctx.now()).next_ms,
                  course_of(body));
  return {};
}

Result<void> mend_schedule(Context& ctx, const TimerRow& timer) {
  TRY(Value body, parse_json(timer.body_json, kOwnJson));
  TRY(auto schedule, rules::parse_schedule(body.string_or("trigger", ""), body["parameters"]));
  auto due = rules::due_anew(schedule, timer.due, ctx.now());
  if (due == timer.due) return {};
  log_warn("schedule.mended", {{"schedule", timer.name},
                               {"was_due", to_rfc3339(timer.due)},
                               {"due", due ? to_rfc3339(*due) : "never"}});
  ctx.changes.timers_done.push_back({timer.tenant, timer.id});
  Course course = course_of(body);
  course.reached = std::max(course.reached, timer.due);
  add_next_firing(ctx, timer, due, course);
  return {};
}

}  // namespace millrace::engine
