// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "rules/zone.h"

namespace millrace::rules {

// A calendar pattern in one time zone: which seconds of the wall clock fire.
//
// A pattern whose hour is `*` follows the wall clock: it fires in both passes of an hour that is
// repeated, and what a gap swallows does not fire. Any other fires once: in the first pass, and at
// the end of a gap that swallowed it. So "every 10 minutes" stays every 10 minutes and "at 02:30"
// stays once a day. These are the rules of Vixie cron.
class Cron {
 public:
  // "MIN HOUR DAY MONTH WEEKDAY" or with SECONDS in front: lists, ranges, steps, names (jan, mon),
  // 0 and 7 are Sunday, `?` is `*`; also @hourly, @daily, @weekly, @monthly, @yearly. When both
  // day and weekday are restricted, either makes a day (as cron has always had it).
  static Result<Cron> parse(std::string_view expression, Zone zone);

  // The fields of StackStorm's CronTimer (APScheduler): year, month, day, week, day_of_week (0 is
  // Monday), hour, minute, second; numbers or expressions. Fields finer than the finest one given
  // are at their minimum, all others `*`; all must hold. Problems are JSON pointers into `fields`.
  static Result<Cron> from_fields(const Value& fields, Zone zone);

  // The first firing after `after_s` (Unix seconds); nothing when there is none in 40 years.
  std::optional<int64_t> next(int64_t after_s) const;

  // Whether there is any time, past or future, that it names: 30 February is none.
  bool ever_fires() const;
  // Whether its hour is `*`.
  bool any_hour() const { return hours_.all(); }

 private:
  struct Local;
  bool day_matches(const Local& day) const;
  std::optional<int64_t> next_local(int64_t from, int64_t end) const;

  Zone zone_;
  std::bitset<60> seconds_, minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // 1 to 31
  std::bitset<13> months_;   // 1 to 12
  std::bitset<7> weekdays_;  // 0 is Sunday
  std::bitset<54> weeks_;    // ISO, 1 to 53
  std::vector<int> years_;   // empty: all
  bool last_day_ = false;    // also the last day of the month
  bool either_day_ = false;  // day or weekday is enough
};

}  // namespace millrace::rules
