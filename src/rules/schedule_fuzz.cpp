// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/fuzzing.h"
#include "base/json.h"
#include "rules/dates.h"
#include "rules/schedule.h"
#include "rules/zone.h"

namespace millrace::rules {
namespace {

constexpr std::string_view kTimers[] = {
    "core.intervaltimer", "core.crontimer",     "core.datetimetimer", "core.st2.IntervalTimer",
    "core.st2.CronTimer", "core.st2.DateTimer", "core.rruletimer"};
constexpr int64_t kNow = 1'800'000'000'000;
constexpr int64_t kFarthest = int64_t{1} << 54;

// The timer, when it was due, when it is looked at; then its parameters as JSON.
FUZZ(schedule) {
  fuzz::Reader in(input);
  auto timer = in.one_of(kTimers);
  int64_t due = kNow + in.number() % 1'000'000'000'000;
  int64_t now = due + std::abs(in.number() % 1'000'000'000'000);
  auto parameters = parse_json(in.rest());
  if (!parameters.ok()) return;
  auto schedule = parse_schedule(timer, *parameters);
  if (!schedule.ok()) {
    ASSERT(schedule.error().code() == "RUL-0006" || schedule.error().code() == "RUL-0007");
    return;
  }
  if (auto next = next_fire(*schedule, due)) {
    ASSERT(*next > due);
    ASSERT(*next < kFarthest);
  }
  constexpr size_t kMost = 10;
  auto firings = due_firings(*schedule, due, now, 60'000, kMost);
  const auto* interval = std::get_if<Interval>(&schedule->when);
  fuzz::plant(interval && interval->every_ms > 1000 && interval->every_ms < 100'000);
  ASSERT(firings.at_ms.size() <= kMost);
  ASSERT(std::ranges::is_sorted(firings.at_ms));
  for (int64_t at : firings.at_ms) ASSERT(at >= due && at <= now);
  if (firings.next_ms && !firings.at_ms.empty()) ASSERT(*firings.next_ms > firings.at_ms.back());
}

// A line with a zone, then a date.
FUZZ(dates) {
  constexpr std::string_view kDateZones[] = {"", "Europe/Berlin", "America/St_Johns", "Asia/Tokyo"};
  fuzz::Reader in(input);
  auto zone = in.one_of(kDateZones);
  auto text = in.rest();
  auto ms = parse_date(text, zone);
  if (!ms.ok()) return;
  fuzz::plant(!zone.empty() && text.contains("02-29") && text.contains(':'));
  ASSERT(std::abs(*ms) < kFarthest);
}

// A known zone, or from 250 on a name; then moments.
FUZZ(zone) {
  constexpr std::string_view kChanging[] = {
      "Europe/London",     "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
      "Africa/Casablanca", "Asia/Tehran",      "America/Caracas",     "Antarctica/Troll",
      "Etc/GMT+12",        "Africa/Monrovia",  "Europe/Dublin",       "UTC"};
  fuzz::Reader in(input);
  bool is_known = in.byte() < 250;  // another name is looked for among all files
  auto zone = Zone::find(is_known ? in.one_of(kChanging) : in.text());
  ASSERT(zone.ok() || !is_known);
  if (!zone.ok()) return;
  while (!in.empty()) {
    int64_t moment = in.number() % 13'570'000'000;  // to 2400
    auto stretch = zone->at(moment);
    ASSERT(stretch.begin <= moment && moment < stretch.end);
    ASSERT(std::abs(stretch.offset) <= 26 * 3600);
    ASSERT(zone->at(stretch.begin).offset == stretch.offset);
    ASSERT(zone->at(stretch.end - 1).offset == stretch.offset);
    // The first of the moments that a clock shows the same at.
    int64_t first = zone->to_unix(moment + stretch.offset);
    fuzz::plant(moment - stretch.begin < 3600);
    ASSERT(first <= moment);
    ASSERT(first + zone->at(first).offset == moment + stretch.offset);
    ASSERT(zone->to_unix(first + zone->at(first).offset) == first);
  }
}

}  // namespace
}  // namespace millrace::rules
