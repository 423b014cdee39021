// SPDX-License-Identifier: Apache-2.0
// Each change of each zone's clock from 2020 to 2040: a job of a fixed hour runs once a day, one
// whose hour is `*` each time that the wall clock shows its minute. Held against a wall clock that
// is read minute by minute.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "rules/cron.h"

namespace millrace::rules {
namespace {

constexpr int64_t kBegin = 1577836800;  // 2020-01-01
constexpr int64_t kEnd = 2240611200;    // 2041-01-01
constexpr int64_t kDay = 86'400;

struct Change {
  int64_t at, before, after;  // offsets
  auto operator<=>(const Change&) const = default;
};

// The time that the wall clock shows, and when, around a change.
class WallClock {
 public:
  explicit WallClock(const Change& change) : change_(change) {
    for (int64_t at = change.at - 30 * 3600; at < change.at + 30 * 3600; at += 60) {
      shown_.emplace_back(at, at + (at < change.at ? change.before : change.after));
    }
  }
  int64_t begin() const { return shown_.front().first; }
  int64_t end() const { return shown_.back().first; }

  // When a job runs that is to run at `second` of the day, each day.
  std::vector<int64_t> once_a_day(int64_t second) const {
    std::vector<int64_t> times;
    std::set<int64_t> seen;
    for (const auto& [at, local] : shown_) {
      bool skipped = at == change_.at && gap_has(second);
      if (local % kDay == second && seen.insert(local / kDay).second) {
        times.push_back(at);
      } else if (skipped) {
        times.push_back(at);
      }
    }
    return times;
  }
  std::vector<int64_t> each_hour(int64_t minute) const {
    std::vector<int64_t> times;
    for (const auto& [at, local] : shown_) {
      if (local / 60 % 60 == minute) times.push_back(at);
    }
    return times;
  }

 private:
  bool gap_has(int64_t second) const {
    for (int64_t local = change_.at + change_.before; local < change_.at + change_.after;
         local += 60) {
      if (local % kDay == second) return true;
    }
    return false;
  }
  Change change_;
  std::vector<std::pair<int64_t, int64_t>> shown_;  // Unix, local
};

std::vector<int64_t> firings(const std::string& expression, const Zone& zone,
                             const WallClock& clock) {
  auto cron = Cron::parse(expression, zone);
  EXPECT_TRUE(cron.ok()) << cron.error().describe();
  std::vector<int64_t> times;
  for (auto at = cron->next(clock.begin() - 1); at && *at <= clock.end(); at = cron->next(*at)) {
    times.push_back(*at);
  }
  return times;
}

void hold_against(const Change& change, const Zone& zone, const std::string& name) {
  WallClock clock(change);
  int64_t around = (change.at + std::min(change.before, change.after)) / 3600;
  for (int64_t minute : {0, 15, 30}) {
    auto each = fmt::format("{} * * * *", minute);
    ASSERT_EQ(firings(each, zone, clock), clock.each_hour(minute)) << each << " in " << name;
    for (int64_t hour = around - 1; hour <= around + 2; ++hour) {
      int64_t of_day = (hour % 24 + 24) % 24;
      auto fixed = fmt::format("{} {} * * *", minute, of_day);
      ASSERT_EQ(firings(fixed, zone, clock), clock.once_a_day(of_day * 3600 + minute * 60))
          << fixed << " in " << name << " at " << change.at;
    }
  }
}

TEST(CronZones, NoChangeOfAnyClockAddsOrSwallowsAFiring) {
  namespace fs = std::filesystem;
  const fs::path folder = "/usr/share/zoneinfo";
  std::set<Change> seen;  // many zones share their changes
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    auto name = file.path().lexically_relative(folder).string();
    if (!file.is_regular_file() || name[0] < 'A' || name[0] > 'Z') continue;
    auto zone = Zone::find(name);
    ASSERT_TRUE(zone.ok()) << name;
    for (auto stretch = zone->at(kBegin); stretch.end < kEnd;) {
      auto next = zone->at(stretch.end);
      Change change{stretch.end, stretch.offset, next.offset};
      bool alone = stretch.end - stretch.begin > 3 * kDay && next.end - next.begin > 3 * kDay;
      if (alone && seen.insert(change).second) hold_against(change, *zone, name);
      if (HasFatalFailure()) return;
      stretch = next;
    }
  }
  EXPECT_GT(seen.size(), 300u);
}

}  // namespace
}  // namespace millrace::rules
