// SPDX-License-Identifier: Apache-2.0
#include "rules/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/text.h"
#include "rules/dates.h"

namespace millrace::rules {
namespace {

// By how much a clock is set back without anything being computed anew.
constexpr int64_t kLittleMs = 60'000;
constexpr int64_t kLikeSummerTimeMs = 3 * 3'600'000;
constexpr int64_t kLongestIntervalMs = 100 * 366 * int64_t{86'400'000};

enum class TimerForm : uint8_t { Interval, CronExpression, CronFields, Date, Rrule };
struct TimerTrigger {
  std::string_view ref;
  TimerForm form;
  std::string_view value_name;  // of the parameter that holds the interval, expression or date
};
constexpr TimerTrigger kTimers[] = {
    {"core.intervaltimer", TimerForm::Interval, "interval"},
    {"core.crontimer", TimerForm::CronExpression, "expression"},
    {"core.datetimetimer", TimerForm::Date, "fire_at"},
    {"core.rruletimer", TimerForm::Rrule, "rrule"},
    {"core.st2.IntervalTimer", TimerForm::Interval, "delta"},
    {"core.st2.CronTimer", TimerForm::CronFields, ""},
    {"core.st2.DateTimer", TimerForm::Date, "date"},
};

const TimerTrigger* find_timer(std::string_view ref) {
  auto found = std::ranges::find(kTimers, ref, &TimerTrigger::ref);
  return found == std::end(kTimers) ? nullptr : found;
}

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr Unit kUnits[] = {{"seconds", 1000},
                           {"minutes", 60'000},
                           {"hours", 3'600'000},
                           {"days", 86'400'000},
                           {"weeks", 604'800'000}};

// Reads the parameters of one timer and gathers what is wrong with them.
class ScheduleReader {
 public:
  ScheduleReader(const TimerTrigger& timer, const Value& parameters)
      : timer_(timer), parameters_(parameters) {}

  std::vector<Problem> problems;

  Schedule read() {
    Schedule schedule;
    schedule.catch_up = catch_up();
    check_names();
    auto zone = find_zone();
    if (!zone) add("timezone", zone.error().message());
    switch (timer_.form) {
      case TimerForm::Interval: schedule.when = interval(); break;
      case TimerForm::CronExpression: schedule.when = expression(zone ? *zone : Zone()); break;
      case TimerForm::CronFields: schedule.when = fields(zone ? *zone : Zone()); break;
      case TimerForm::Date: schedule.when = once(zone.ok()); break;
      case TimerForm::Rrule: schedule.when = recurrence(zone ? *zone : Zone()); break;
    }
    return schedule;
  }

 private:
  void add(std::string_view name, std::string message) {
    problems.push_back({json_pointer("", name), std::move(message)});
  }

  void check_names() {
    std::vector<std::string_view> known = {"timezone", "catch_up"};
    if (timer_.form == TimerForm::CronFields) {
      for (const char* name :
           {"year", "month", "day", "week", "day_of_week", "hour", "minute", "second"}) {
        known.push_back(name);
      }
    } else {
      known.push_back(timer_.value_name);
    }
    if (timer_.form == TimerForm::Interval) known.push_back("unit");
    if (!parameters_.is_map()) return;
    for (const auto& [key, value] : parameters_.as_map()) {
      std::string_view name = key.as_string();
      if (std::ranges::find(known, name) != known.end()) continue;
      add(name,
          fmt::format("{} has no parameter '{}'{}", timer_.ref, name, did_you_mean(name, known)));
    }
  }

  Result<Zone> find_zone() const {
    const Value& given = parameters_["timezone"];
    if (given.is_string() || given.is_null())
      return Zone::find(parameters_.string_or("timezone", "UTC"));
    return Error(ErrorKind::Invalid, "RUL-0006",
                 fmt::format("expected an IANA name such as Europe/Berlin, or UTC, found {}",
                             to_json(given)));
  }

  CatchUp catch_up() {
    constexpr std::array kNames = {std::string_view("none"), std::string_view("one"),
                                   std::string_view("all")};
    const Value& given = parameters_["catch_up"];
    if (given.is_null()) return CatchUp::One;
    std::string_view name = given.is_string() ? given.as_string() : std::string_view();
    auto found = std::ranges::find(kNames, name);
    if (found == kNames.end()) {
      add("catch_up", fmt::format("expected none, one or all, found {}{}", to_json(given),
                                  did_you_mean(name, kNames)));
      return CatchUp::One;
    }
    return static_cast<CatchUp>(found - kNames.begin());
  }

  Interval interval() {
    std::string_view name = timer_.value_name;
    const Value& count = parameters_[name];
    int64_t unit_ms = unit();
    if (!count.is_int() || count.as_int() < 1) {
      add(name, fmt::format("expected a whole number from 1, found {}", to_json(count)));
      return {unit_ms};
    }
    if (count.as_int() > kLongestIntervalMs / unit_ms) {
      add(name, fmt::format("expected at most 100 years, found {} {}", count.as_int(),
                            parameters_.string_or("unit", "")));
      return {unit_ms};
    }
    return {count.as_int() * unit_ms};
  }

  int64_t unit() {
    std::string_view name = parameters_.string_or("unit", "");
    for (const Unit& unit : kUnits) {
      if (unit.name == name) return unit.ms;
    }
    std::vector<std::string_view> names;
    for (const Unit& unit : kUnits) names.push_back(unit.name);
    add("unit", fmt::format("expected one of {}, found {}{}", fmt::join(names, ", "),
                            to_json(parameters_["unit"]), did_you_mean(name, names)));
    return 1000;
  }

  Cron expression(Zone zone) {
    const Value& text = parameters_["expression"];
    if (!text.is_string()) {
      add("expression", fmt::format("expected a cron expression such as '*/10 * * * *', found {}",
                                    to_json(text)));
      return {};
    }
    auto cron = Cron::parse(text.as_string(), zone);
    if (cron) return must_fire(*cron, "expression", to_json(text));
    if (cron.error().problems().empty()) add("expression", cron.error().message());
    for (const Problem& problem : cron.error().problems()) add("expression", problem.message);
    return {};
  }

  Cron must_fire(Cron cron, std::string_view name, const std::string& given) {
    if (cron.ever_fires()) return cron;
    std::string path = name.empty() ? "" : json_pointer("", name);
    problems.push_back({path, fmt::format("{} never fires: there is no such day", given)});
    return cron;
  }

  Cron fields(Zone zone) {
    auto cron = Cron::from_fields(parameters_, zone);
    if (cron) return must_fire(*cron, "", to_json(parameters_));
    for (const Problem& problem : cron.error().problems()) problems.push_back(problem);
    return {};
  }

  Rrule recurrence(Zone zone) {
    const Value& text = parameters_["rrule"];
    if (!text.is_string()) {
      add("rrule", fmt::format("expected a rule such as 'FREQ=WEEKLY;BYDAY=MO;BYHOUR=9', found {}",
                               to_json(text)));
      return {};
    }
    auto rule = Rrule::parse(text.as_string(), std::move(zone));
    if (!rule) {
      add("rrule", rule.error().message());
      return {};
    }
    if (!rule->ever_fires()) {
      add("rrule", fmt::format("{} never fires: its parts never meet", to_json(text)));
    }
    return *std::move(rule);
  }

  Once once(bool zone_is_known) {
    const Value& text = parameters_[timer_.value_name];
    if (!text.is_string()) {
      add(timer_.value_name,
          fmt::format("expected a date and time such as 2026-01-31T12:00:00Z, found {}",
                      to_json(text)));
      return {};
    }
    std::string_view zone = zone_is_known ? parameters_.string_or("timezone", "UTC") : "UTC";
    auto at = parse_date(text.as_string(), zone);
    if (!at) add(timer_.value_name, at.error().message());
    return {at ? *at : 0};
  }

  const TimerTrigger& timer_;
  const Value& parameters_;
};

int64_t floor_seconds(int64_t ms) { return ms >= 0 ? ms / 1000 : (ms - 999) / 1000; }

}  // namespace

bool is_timer(std::string_view trigger_ref) { return find_timer(trigger_ref) != nullptr; }

// See engine/transitions/told_events.h.
constexpr std::string_view kToldByServer[] = {
    "core.st2.generic.actiontrigger",
    "core.st2.generic.notifytrigger",
    "core.st2.generic.inquiry",
    "core.st2.key_value_pair.create",
    "core.st2.key_value_pair.update",
    "core.st2.key_value_pair.value_change",
    "core.st2.key_value_pair.delete",
    "core.st2.sensor.process_spawn",
    "core.st2.sensor.process_exit",
    "core.inquiry_created",
    "core.inquiry_answered",
    "core.pack_installed",
    "core.system_alert",
};

bool told_by_server(std::string_view trigger_ref) {
  return is_timer(trigger_ref) ||
         std::ranges::find(kToldByServer, trigger_ref) != std::end(kToldByServer);
}

std::string_view fired_by_server(std::string_view trigger_ref) {
  if (is_timer(trigger_ref)) return "a rule on it sets its timer";
  if (told_by_server(trigger_ref)) return "it tells what it has done itself";
  bool of_webhooks = trigger_ref == "core.webhook" || trigger_ref == "core.st2.webhook";
  return of_webhooks ? "deliver to a webhook endpoint" : std::string_view();
}

Result<Schedule> parse_schedule(std::string_view trigger_ref, const Value& parameters) {
  const TimerTrigger* timer = find_timer(trigger_ref);
  ASSERT(timer);
  ScheduleReader reader(*timer, parameters);
  Schedule schedule = reader.read();
  if (reader.problems.empty()) return schedule;
  return Error(ErrorKind::Invalid, "RUL-0006",
               fmt::format("the parameters of {} are not valid", trigger_ref))
      .with_problems(std::move(reader.problems));
}

std::optional<int64_t> next_fire(const Schedule& schedule, int64_t after_ms) {
  if (const auto* interval = std::get_if<Interval>(&schedule.when)) {
    return after_ms + interval->every_ms;
  }
  if (const auto* once = std::get_if<Once>(&schedule.when)) {
    return once->at_ms > after_ms ? std::optional(once->at_ms) : std::nullopt;
  }
  int64_t after_s = floor_seconds(after_ms);
  const auto* rule = std::get_if<Rrule>(&schedule.when);
  auto next_s = rule ? rule->next(after_s) : std::get<Cron>(schedule.when).next(after_s);
  return next_s ? std::optional(*next_s * 1000) : std::nullopt;
}

std::optional<int64_t> due_anew(const Schedule& schedule, int64_t due_ms, int64_t now_ms) {
  if (const auto* once = std::get_if<Once>(&schedule.when)) return once->at_ms;
  if (due_ms <= now_ms) return due_ms;
  if (const auto* interval = std::get_if<Interval>(&schedule.when)) {
    int64_t slack = std::min(interval->every_ms, kLittleMs);
    bool may_be = due_ms - now_ms <= interval->every_ms + slack;
    return may_be ? due_ms : now_ms + interval->every_ms;
  }
  const auto* rule = std::get_if<Rrule>(&schedule.when);
  bool any_hour = rule ? rule->any_hour() : std::get<Cron>(schedule.when).any_hour();
  bool is_own = next_fire(schedule, due_ms - 1) == due_ms;
  auto latest = next_fire(schedule, now_ms + (any_hour ? kLittleMs : kLikeSummerTimeMs));
  bool may_be = is_own && (!latest || due_ms <= *latest);
  return may_be ? due_ms : next_fire(schedule, now_ms);
}

std::vector<int64_t> next_fires(const Schedule& schedule, int64_t after_ms, size_t most) {
  std::vector<int64_t> times;
  for (auto at = next_fire(schedule, after_ms); at && times.size() < most;
       at = next_fire(schedule, *at)) {
    times.push_back(*at);
  }
  return times;
}

int64_t last_due(const NextFire& next, int64_t due_ms, int64_t now_ms) {
  int64_t last = due_ms;
  int64_t none_after = now_ms;  // until now
  auto first = next(due_ms);
  if (!first || *first > now_ms) return last;
  last = *first;
  while (last < none_after) {
    int64_t middle = last + (none_after - last) / 2;
    auto later = next(middle);
    if (later && *later <= now_ms) {
      last = *later;
    } else {
      none_after = middle;
    }
  }
  return last;
}

DueFirings due_firings(const Schedule& schedule, int64_t due_ms, int64_t now_ms, int64_t late_ms,
                       size_t most) {
  DueFirings out;
  std::optional<int64_t> due = due_ms;
  if (schedule.catch_up == CatchUp::All) {
    while (due && *due <= now_ms && out.at_ms.size() < most) {
      out.at_ms.push_back(*due);
      due = next_fire(schedule, *due);
    }
    out.next_ms = due;
    return out;
  }
  // Only the last due time counts. An interval gets there by arithmetic, however long it was away.
  int64_t last = due_ms;
  if (const auto* interval = std::get_if<Interval>(&schedule.when)) {
    last += (now_ms - due_ms) / interval->every_ms * interval->every_ms;
  } else {
    last =
        last_due([&](int64_t after_ms) { return next_fire(schedule, after_ms); }, due_ms, now_ms);
  }
  bool is_late = now_ms - last > late_ms;
  if (schedule.catch_up == CatchUp::One || !is_late) out.at_ms.push_back(last);
  out.next_ms = next_fire(schedule, last);
  return out;
}

}  // namespace millrace::rules
