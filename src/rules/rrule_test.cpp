// SPDX-License-Identifier: Apache-2.0
#include "rules/rrule.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>

#include "base/text.h"
#include "base/time.h"

namespace millrace::rules {
namespace {

Rrule rrule(std::string_view text, std::string_view zone = "UTC") {
  auto rule = Rrule::parse(text, Zone::find(zone).value());
  EXPECT_TRUE(rule.ok()) << text << ": " << rule.error().message();
  return rule.ok() ? *rule : Rrule();
}

std::string fires(const Rrule& rule, std::string_view after, size_t count) {
  std::string text;
  auto at = parse_rfc3339(after).value() / 1000;
  for (size_t i = 0; i < count; ++i) {
    auto next = rule.next(at);
    if (!next) return text + "end";
    at = *next;
    text += to_rfc3339(at * 1000).substr(0, 16) + ' ';
  }
  return text;
}

std::string refusal(std::string_view text) {
  auto rule = Rrule::parse(text, Zone());
  return rule.ok() ? "taken" : std::string(rule.error().message());
}

int64_t number(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// tools/rrules.py: the examples of RFC 5545 and rules by chance, as python-dateutil has them.
TEST(Rrule, FiresWhenDateutilSays) {
  std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/src/rules/testdata/rrules.txt");
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) {
    auto words = split(line, ' ');
    ASSERT_GE(words.size(), 3u);
    ++lines;
    auto rule = rrule(fmt::format("DTSTART:{}\nRRULE:{}", words[1], words[2]), words[0]);
    int64_t at = INT64_MIN / 4;
    std::string found, expected;
    for (size_t i = 3; i < words.size(); ++i) {
      auto next = i == 3 ? rule.next(number(words[3]) - 1) : rule.next(at);
      at = next.value_or(-1);
      found += fmt::format(" {}", at);
      expected += fmt::format(" {}", words[i]);
      if (!next) break;
    }
    EXPECT_EQ(found, expected) << line;
    // From anywhere between two of them it is the second.
    for (size_t i = 4; i < words.size(); ++i) {
      int64_t from = number(words[i - 1]), to = number(words[i]);
      EXPECT_EQ(rule.next(from + (to - from) / 2), to) << line;
    }
  }
  EXPECT_GT(lines, 400);
}

TEST(Rrule, WithoutDtstartItCountsFromAMonday) {
  EXPECT_EQ(fires(rrule("FREQ=WEEKLY"), "2026-01-01T00:00:00Z", 2),
            "2026-01-05T00:00 2026-01-12T00:00 ");
  EXPECT_EQ(fires(rrule("RRULE:freq=monthly;byday=-1fr;byhour=17"), "2026-01-01T00:00:00Z", 2),
            "2026-01-30T17:00 2026-02-27T17:00 ");
  EXPECT_EQ(fires(rrule("FREQ=HOURLY;INTERVAL=6;BYMINUTE=15,45"), "2026-01-01T00:20:00Z", 3),
            "2026-01-01T00:45 2026-01-01T06:15 2026-01-01T06:45 ");
}

TEST(Rrule, TheClocksChangesAreThoseOfTheZone) {
  auto daily = rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin");
  // 2026-03-29 02:00 is 03:00; 2026-10-25 03:00 is 02:00 again.
  EXPECT_EQ(fires(daily, "2026-03-28T00:00:00Z", 3),
            "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30 ");
  EXPECT_EQ(fires(daily, "2026-10-24T00:00:00Z", 3),
            "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30 ");
  // What counts time that goes by fires in both passes, and skips nothing.
  auto halves = rrule("FREQ=MINUTELY;INTERVAL=30;BYHOUR=2", "Europe/Berlin");
  EXPECT_EQ(fires(halves, "2026-10-24T23:00:00Z", 5),
            "2026-10-25T00:00 2026-10-25T00:30 2026-10-25T01:00 2026-10-25T01:30 "
            "2026-10-26T01:00 ");
  EXPECT_EQ(fires(halves, "2026-03-28T12:00:00Z", 1), "2026-03-30T00:00 ");
}

TEST(Rrule, ReadsLinesOfICalendar) {
  auto rule = rrule(
      "DTSTART;TZID=Europe/Berlin:20260105T090000\r\n"
      "RRULE:FREQ=DAILY;UNTIL=20260109\r\n"
      "EXDATE;TZID=Europe/Berlin:20260106T090000,20260107T090000\r\n"
      "EXDATE;VALUE=DATE:20260108\r\n");
  EXPECT_EQ(fires(rule, "2026-01-01T00:00:00Z", 3), "2026-01-05T08:00 2026-01-09T08:00 end");
  // The zone of DTSTART is that of a rule that stands before it.
  auto first = rrule("RRULE:FREQ=DAILY\nDTSTART;TZID=Asia/Tokyo:20260105T090000");
  EXPECT_EQ(fires(first, "2026-01-01T00:00:00Z", 1), "2026-01-05T00:00 ");
  auto utc = rrule("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=2", "Asia/Tokyo");
  EXPECT_EQ(fires(utc, "2026-01-05T08:00:00Z", 3), "2026-01-05T09:00 2026-01-06T09:00 end");
}

TEST(Rrule, SaysWhatItDoesNotTake) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"", "expected FREQ"},
      {"BYDAY=MO", "expected FREQ"},
      {"FREQ=WEEKLI", "did you mean 'WEEKLY'"},
      {"FREQ=DAILY;BYDAYS=MO", "unknown part 'BYDAYS' (did you mean 'BYDAY'?)"},
      {"FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"},
      {"FREQ=DAILY;INTERVAL=0", "INTERVAL: expected a whole number from 1"},
      {"FREQ=DAILY;COUNT=3", "COUNT needs DTSTART"},
      {"FREQ=DAILY;COUNT=3;UNTIL=20260101", "found both"},
      {"DTSTART:00010101T000000Z\nRRULE:FREQ=YEARLY;COUNT=3", "expected one from 1970 on"},
      {"FREQ=YEARLY;INTERVAL=65561", "at most 100 with FREQ=YEARLY, which is 100 years"},
      {"FREQ=MONTHLY;INTERVAL=1201", "at most 1200 with FREQ=MONTHLY"},
      {"FREQ=SECONDLY;INTERVAL=2;BYSECOND=1", "not found within 100000 days and times"},
      {"DTSTART:20260101T000000Z\nRRULE:FREQ=MINUTELY;INTERVAL=59;BYMINUTE=1;COUNT=10000",
       "COUNT counts too many"},
      {"FREQ=DAILY;UNTIL=soon", "expected a time such as"},
      {"FREQ=DAILY;UNTIL=20260230", "expected a time such as"},
      {"FREQ=DAILY;BYHOUR=24", "BYHOUR: expected numbers from 0 to 23"},
      {"FREQ=MONTHLY;BYMONTHDAY=0", "but 0"},
      {"FREQ=WEEKLY;BYDAY=2MO", "BYDAY with numbers does not go with FREQ=WEEKLY"},
      {"FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY does not go with"},
      {"FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO does not go with"},
      {"FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY does not go with"},
      {"FREQ=HOURLY;BYMINUTE=1;BYSETPOS=1", "BYSETPOS does not go with"},
      {"FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another part"},
      {"FREQ=DAILY;BYMINUTE=0,1,2,3,4,5,6,7,8,9;BYSECOND=0,1,2,3,4,5,6,7,8,9;"
       "BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14",
       "at most 1440 times a day, found 1500"},
      {"FREQ=DAILY;BYDAY=XX", "BYDAY: expected days"},
      {"RRULE:FREQ=DAILY\nRRULE:FREQ=DAILY", "expected one RRULE"},
      {"RRULE:FREQ=DAILY\nRDATE:20260101", "expected DTSTART, RRULE and EXDATE, found 'RDATE'"},
      {"DTSTART;TZID=Europe/Berln:20260101T000000\nRRULE:FREQ=DAILY", "Europe/Berlin"},
  };
  for (const auto& [text, why] : kCases) {
    EXPECT_NE(refusal(text).find(why), std::string::npos) << text << ": " << refusal(text);
  }
  EXPECT_NE(refusal(std::string(20'000, 'x')), "taken");
}

TEST(Rrule, OfAHundredYearsFiresAfterThem) {
  EXPECT_EQ(fires(rrule("FREQ=YEARLY;INTERVAL=100"), "2026-01-01T00:00:00Z", 2),
            "2101-01-01T00:00 2201-01-01T00:00 ");
}

TEST(Rrule, WhoseTimesNeverMeetNeverFires) {
  for (auto text : {"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=HOURLY;INTERVAL=24;BYHOUR=1",
                    "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=9"}) {
    EXPECT_FALSE(rrule(text).ever_fires()) << text;
  }
  EXPECT_TRUE(rrule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=FR").ever_fires());
}

}  // namespace
}  // namespace millrace::rules
