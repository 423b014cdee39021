// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/value.h"
#include "rules/cron.h"
#include "rules/rrule.h"

// When a rule on a timer trigger fires. Pure: the clock is an argument, the next firing is a row
// of whoever keeps it. All times are Unix milliseconds.
namespace millrace::rules {

// What happens to firings that came due while nobody was there to fire them.
enum class CatchUp : uint8_t { None, One, All };

struct Interval {
  int64_t every_ms = 0;
};
struct Once {
  int64_t at_ms = 0;
};

struct Schedule {
  std::variant<Interval, Cron, Once, Rrule> when;
  CatchUp catch_up = CatchUp::One;
};

// core.intervaltimer, core.crontimer, core.datetimetimer, core.rruletimer and StackStorm's
// core.st2.IntervalTimer, core.st2.CronTimer, core.st2.DateTimer.
bool is_timer(std::string_view trigger_ref);
// Rules trust what only the server fires: that a signature was valid, that it is time. How such a
// trigger is fired instead; empty: it is none of them.
std::string_view fired_by_server(std::string_view trigger_ref);
// Those of them that no sender's delivery fires either: timers, and what it has done itself.
bool told_by_server(std::string_view trigger_ref);

// The schedule that a rule's trigger parameters ask for:
//   core.intervaltimer     {unit: seconds..weeks, interval}
//   core.crontimer         {expression, timezone}
//   core.datetimetimer     {fire_at, timezone}
//   core.rruletimer        {rrule, timezone}
//   core.st2.IntervalTimer {unit, delta}
//   core.st2.CronTimer     {year, month, day, week, day_of_week, hour, minute, second, timezone}
//   core.st2.DateTimer     {date, timezone}
// each with an optional catch_up: none | one (default) | all.
// `trigger_ref` is a timer. Error RUL-0006 with one problem per mistake, as JSON pointers into
// `parameters`.
Result<Schedule> parse_schedule(std::string_view trigger_ref, const Value& parameters);

// The first firing after `after_ms`. An interval counts from `after_ms`: give it the last due
// time, not the time at which it was handled, and it does not drift.
std::optional<int64_t> next_fire(const Schedule& schedule, int64_t after_ms);

// The next `most` of them.
std::vector<int64_t> next_fires(const Schedule& schedule, int64_t after_ms, size_t most);

// The due time that the row of a schedule should have at `now_ms` when it says `due_ms`: that one,
// as long as the schedule can come to it. Otherwise the clock was ahead when it was computed, or
// the zone's rules have changed since: then it is computed anew. A cron pattern with fixed hours
// does not fire again because the clock was set back by less than three hours, any other schedule
// not for less than a minute.
std::optional<int64_t> due_anew(const Schedule& schedule, int64_t due_ms, int64_t now_ms);

struct DueFirings {
  std::vector<int64_t> at_ms;      // fire now, one event for each of these times
  std::optional<int64_t> next_ms;  // the row's next due time; nothing: the timer is done
};
// The last firing until `now_ms` of what fires at `due_ms` <= `now_ms` and then when `next` says:
// the first after a time. Asks it some forty times at most, however many have been missed.
using NextFire = std::function<std::optional<int64_t>(int64_t after_ms)>;
int64_t last_due(const NextFire& next, int64_t due_ms, int64_t now_ms);

// What to do at `now_ms` with a timer whose row says `due_ms` <= `now_ms`. A firing is missed when
// a later one is due as well, or when it is over `late_ms` ago. At most `most` firings at once: of
// the rest the next is already due, so that the next call goes on.
DueFirings due_firings(const Schedule& schedule, int64_t due_ms, int64_t now_ms,
                       int64_t late_ms = 60'000, size_t most = 100);

}  // namespace millrace::rules
