// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/zone.h"

namespace millrace::rules {

// A recurrence rule of iCalendar (RFC 5545, 3.3.10) in one time zone.
//
// From FREQ=DAILY up it names times of the wall clock: one in a gap fires at the end of the gap,
// one that occurs twice fires in the first pass. HOURLY, MINUTELY and SECONDLY count time that goes
// by, so that they fire in both passes of an hour that is repeated; their other parts are held
// against the wall clock.
class Rrule {
 public:
  // `FREQ=WEEKLY;BYDAY=MO`, or lines of iCalendar: RRULE, and DTSTART and EXDATE if given. Without
  // DTSTART it counts from Monday, 1 January 2001, 00:00, and has no COUNT. `zone` is of local
  // times without a TZID.
  //
  // Errors: Invalid, RUL-0008: what RFC 5545 forbids, and RDATE, more than one RRULE, BYSETPOS
  // below DAILY, a COUNT over 10,000 or from before 1970, an INTERVAL of over 100 years, over
  // 1,440 times a day by BYHOUR, BYMINUTE and BYSECOND, and what is not found in `kMostTries`.
  static Result<Rrule> parse(std::string_view text, Zone zone);

  // The days and times that one search for the next firing tries.
  static constexpr int64_t kMostTries = 100'000;

  // The first firing after `after_s` (Unix seconds); nothing when there is none in 100 years.
  std::optional<int64_t> next(int64_t after_s) const;

  // Whether there is any time, past or future, that it names.
  bool ever_fires() const { return next(start_s_ - 1).has_value(); }
  // Whether it fires in both passes of an hour that is repeated.
  bool any_hour() const { return is_below_daily(); }

 private:
  enum class Freq : uint8_t { Secondly, Minutely, Hourly, Daily, Weekly, Monthly, Yearly };
  friend class RruleReader;
  struct Search;

  bool is_below_daily() const { return freq_ < Freq::Daily; }
  bool takes_day(int64_t day) const;
  bool takes_ordinal(int64_t day, int weekday) const;
  bool takes_week(int64_t day) const;
  // Whether the first time, and one of a hundred years later that is counted, is found in
  // `kMostTries`.
  bool is_found_soon() const;
  int64_t period_of(int64_t day) const;
  std::pair<int64_t, int64_t> days_of(int64_t period) const;
  std::vector<int64_t> times_of_day() const;
  std::vector<int64_t> picked_times(int64_t period, const std::vector<int64_t>& of_day) const;
  Search search(int64_t after_s) const;
  void search_days(Search& search) const;
  void search_steps(Search& search) const;
  bool take(Search& search, int64_t unix_s) const;
  bool take_local(Search& search, int64_t local) const;

  Zone zone_;
  Freq freq_ = Freq::Daily;
  int64_t interval_ = 1;
  int64_t count_ = 0;  // 0: without end
  int64_t until_s_ = INT64_MAX;
  int64_t start_ = 0;    // local seconds of DTSTART
  int64_t start_s_ = 0;  // Unix seconds of the same
  int week_start_ = 0;   // 0 is Monday, as in all that follows
  std::set<int> seconds_, minutes_, hours_;
  std::set<int> months_, month_days_, year_days_, weeks_, positions_;
  std::bitset<7> weekdays_;                 // of BYDAY without a number
  std::set<std::pair<int, int>> ordinals_;  // of BYDAY with one: number, weekday
  bool has_weekdays_ = false;               // BYDAY is given
  std::set<int64_t> excluded_s_;
};

}  // namespace millrace::rules
