// SPDX-License-Identifier: Apache-2.0
#include "rules/rrule.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace millrace::rules {
namespace {

constexpr int64_t kDayS = 86'400;
constexpr int64_t kFarDays = 100 * 366;  // no further ahead

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }
int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

std::chrono::year_month_day date_of_day(int64_t day) {
  return std::chrono::sys_days(std::chrono::days(day));
}

int64_t day_of(int year, unsigned month, unsigned day) {
  std::chrono::sys_days days =
      std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  return days.time_since_epoch().count();
}

// 1970-01-01 was a Thursday.
int weekday_of(int64_t day) { return static_cast<int>(floor_mod(day + 3, 7)); }

int64_t year_begin(int year) { return day_of(year, 1, 1); }

int64_t month_begin(int64_t month) {  // counted from January of year 0
  return day_of(static_cast<int>(floor_div(month, 12)),
                static_cast<unsigned>(floor_mod(month, 12)) + 1, 1);
}

int64_t month_of(const std::chrono::year_month_day& date) {
  return int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month()) - 1;
}

// The first day of week 1: the first week with at least four days in the year.
int64_t first_week(int year, int week_start) {
  int64_t begin = year_begin(year);
  int64_t ahead = floor_mod(weekday_of(begin) - week_start, 7);
  return ahead <= 3 ? begin - ahead : begin + 7 - ahead;
}

// Whether `number`, or counted from behind, is one of these: -1 is the last of `size`.
bool names(const std::set<int>& numbers, int64_t number, int64_t size) {
  return numbers.contains(static_cast<int>(number)) ||
         numbers.contains(static_cast<int>(number - size - 1));
}

}  // namespace

// What a search has come to. `found` counts from DTSTART, where there is a COUNT.
struct Rrule::Search {
  int64_t after_s = 0;
  int64_t last_s = INT64_MIN;
  int64_t found = 0;
  std::optional<int64_t> next_s;
  bool is_over = false;
  int64_t left = kMostTries;
};

// Takes the next time of the rule; true: the search is over.
bool Rrule::take(Search& search, int64_t unix_s) const {
  if (--search.left < 0) return true;
  if (unix_s <= search.last_s || unix_s < start_s_) return false;  // the end of a gap, again
  search.last_s = unix_s;
  ++search.found;
  search.is_over = unix_s > until_s_ || (count_ > 0 && search.found > count_);
  if (search.is_over) return true;
  if (unix_s <= search.after_s || excluded_s_.contains(unix_s)) return false;
  search.next_s = unix_s;
  return search.is_over = true;
}

// The n-th of its weekday in the month, or in the year when no month is named.
bool Rrule::takes_ordinal(int64_t day, int weekday) const {
  auto date = date_of_day(day);
  bool by_month = freq_ == Freq::Monthly || !months_.empty();
  int year = static_cast<int>(date.year());
  int64_t month = month_of(date);
  int64_t begin = by_month ? month_begin(month) : year_begin(year);
  int64_t end = by_month ? month_begin(month + 1) : year_begin(year + 1);
  int64_t from_front = (day - begin) / 7 + 1;
  int64_t from_behind = -((end - 1 - day) / 7 + 1);
  return ordinals_.contains({static_cast<int>(from_front), weekday}) ||
         ordinals_.contains({static_cast<int>(from_behind), weekday});
}

// Of the weeks of the year that it is in: the days of another year in them are in that one's weeks.
bool Rrule::takes_week(int64_t day) const {
  int year = static_cast<int>(date_of_day(day).year());
  int64_t begin = first_week(year, week_start_);
  if (day < begin) {
    begin = first_week(--year, week_start_);
  } else if (int64_t after = first_week(year + 1, week_start_); day >= after) {
    begin = after;
    ++year;
  }
  int64_t weeks = (first_week(year + 1, week_start_) - begin) / 7;
  return names(weeks_, (day - begin) / 7 + 1, weeks);
}

bool Rrule::takes_day(int64_t day) const {
  auto date = date_of_day(day);
  int weekday = weekday_of(day);
  if (!months_.empty() &&
      !months_.contains(static_cast<int>(static_cast<unsigned>(date.month())))) {
    return false;
  }
  if (has_weekdays_ && !weekdays_[static_cast<size_t>(weekday)] && !takes_ordinal(day, weekday)) {
    return false;
  }
  if (!month_days_.empty()) {
    int64_t month = month_of(date);
    int64_t size = month_begin(month + 1) - month_begin(month);
    if (!names(month_days_, static_cast<unsigned>(date.day()), size)) return false;
  }
  if (!year_days_.empty()) {
    int year = static_cast<int>(date.year());
    int64_t begin = year_begin(year);
    if (!names(year_days_, day - begin + 1, year_begin(year + 1) - begin)) return false;
  }
  return weeks_.empty() || takes_week(day);
}

// Which of its periods a day is in, counted from that of DTSTART, skipped ones included.
int64_t Rrule::period_of(int64_t day) const {
  int64_t start_day = floor_div(start_, kDayS);
  auto date = date_of_day(day);
  auto start = date_of_day(start_day);
  auto week = [&](int64_t each) { return floor_div(each + 3 - week_start_, 7); };
  switch (freq_) {
    case Freq::Yearly: return static_cast<int>(date.year()) - static_cast<int>(start.year());
    case Freq::Monthly: return month_of(date) - month_of(start);
    case Freq::Weekly: return week(day) - week(start_day);
    default: return day - start_day;
  }
}

// The days of a period: from the first to before the second.
std::pair<int64_t, int64_t> Rrule::days_of(int64_t period) const {
  int64_t start_day = floor_div(start_, kDayS);
  auto start = date_of_day(start_day);
  switch (freq_) {
    case Freq::Yearly: {
      int year = static_cast<int>(start.year()) + static_cast<int>(period);
      return {year_begin(year), year_begin(year + 1)};
    }
    case Freq::Monthly: {
      int64_t month = month_of(start) + period;
      return {month_begin(month), month_begin(month + 1)};
    }
    case Freq::Weekly: {
      int64_t begin = start_day - floor_mod(weekday_of(start_day) - week_start_, 7) + period * 7;
      return {begin, begin + 7};
    }
    default: return {start_day + period, start_day + period + 1};
  }
}

bool Rrule::take_local(Search& search, int64_t local) const {
  return local >= start_ && take(search, zone_.to_unix(local));
}

std::vector<int64_t> Rrule::times_of_day() const {
  std::vector<int64_t> times;
  for (int hour : hours_) {
    for (int minute : minutes_) {
      for (int second : seconds_) times.push_back(hour * 3600 + minute * 60 + second);
    }
  }
  return times;
}

// The local times of a period that BYSETPOS names, in order.
std::vector<int64_t> Rrule::picked_times(int64_t period, const std::vector<int64_t>& of_day) const {
  std::vector<int64_t> days;
  auto [begin, end] = days_of(period);
  for (int64_t day = begin; day < end; ++day) {
    if (takes_day(day)) days.push_back(day);
  }
  auto size = static_cast<int64_t>(days.size() * of_day.size());
  std::set<int64_t> places;
  for (int position : positions_) {
    int64_t place = position > 0 ? position - 1 : size + position;
    if (place >= 0 && place < size) places.insert(place);
  }
  std::vector<int64_t> times;
  for (int64_t place : places) {
    auto [day, time] = std::ldiv(place, static_cast<int64_t>(of_day.size()));
    times.push_back(days[static_cast<size_t>(day)] * kDayS + of_day[static_cast<size_t>(time)]);
  }
  return times;
}

void Rrule::search_days(Search& search) const {
  auto of_day = times_of_day();
  int64_t local = search.after_s + zone_.at(search.after_s).offset;
  int64_t near_day = std::max(floor_div(local, kDayS) - 1, floor_div(start_, kDayS));
  int64_t period = count_ > 0 ? 0 : period_of(near_day) / interval_ * interval_;
  for (; search.left > 0; period += interval_) {
    auto [begin, end] = days_of(period);
    if (begin > near_day + kFarDays) return;
    if (!positions_.empty()) {
      search.left -= end - begin;
      for (int64_t time : picked_times(period, of_day)) {
        if (take_local(search, time)) return;
      }
      continue;
    }
    for (int64_t day = count_ > 0 ? begin : std::max(begin, near_day); day < end; ++day) {
      --search.left;
      if (!takes_day(day)) continue;
      for (int64_t time : of_day) {
        if (take_local(search, day * kDayS + time)) return;
      }
    }
  }
}

// Steps of seconds, minutes or hours from DTSTART; what the other parts leave out is jumped over.
void Rrule::search_steps(Search& search) const {
  int64_t after_s = search.after_s;
  int64_t unit = freq_ == Freq::Hourly ? 3600 : freq_ == Freq::Minutely ? 60 : 1;
  int64_t length = interval_ * unit;
  int64_t at = start_s_;
  auto go_to = [&](int64_t unix_s) {  // the first step that is not before
    at = start_s_ + std::max<int64_t>(ceil_div(unix_s - start_s_, length), 0) * length;
  };
  // A step before: its minutes and seconds may be after.
  if (count_ == 0) go_to(std::max(after_s - length, start_s_));
  int64_t far_s = std::max(after_s, start_s_) + kFarDays * kDayS;
  for (; search.left > 0 && at <= far_s; --search.left) {
    int64_t local = at + zone_.at(at).offset;
    int64_t of_day = floor_mod(local, kDayS);
    if (!takes_day(floor_div(local, kDayS))) {
      go_to(std::max(zone_.to_unix(local - of_day + kDayS), at + 1));
      continue;
    }
    auto leaves_out = [&](const std::set<int>& names, int64_t value) {
      return !names.empty() && !names.contains(static_cast<int>(value));
    };
    if (leaves_out(hours_, of_day / 3600)) {
      go_to(at + 3600 - of_day % 3600);
      continue;
    }
    bool expands_minutes = freq_ == Freq::Hourly;
    bool expands_seconds = freq_ != Freq::Secondly;
    if (!expands_minutes && leaves_out(minutes_, of_day / 60 % 60)) {
      go_to(at + 60 - of_day % 60);
      continue;
    }
    if (!expands_seconds && leaves_out(seconds_, of_day % 60)) {
      go_to(at + 1);
      continue;
    }
    int64_t base = expands_minutes ? at - of_day % 3600 : expands_seconds ? at - of_day % 60 : at;
    for (int minute : expands_minutes ? minutes_ : std::set<int>{0}) {
      for (int second : expands_seconds ? seconds_ : std::set<int>{0}) {
        if (take(search, base + minute * 60 + second)) return;
      }
    }
    at += length;
  }
}

Rrule::Search Rrule::search(int64_t after_s) const {
  Search search{.after_s = after_s};
  if (is_below_daily()) {
    search_steps(search);
  } else {
    search_days(search);
  }
  return search;
}

std::optional<int64_t> Rrule::next(int64_t after_s) const { return search(after_s).next_s; }

bool Rrule::is_found_soon() const {
  return search(start_s_ - 1).left > 0 &&
         (count_ == 0 || search(start_s_ + kFarDays * kDayS).left > 0);
}

}  // namespace millrace::rules
