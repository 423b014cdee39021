// SPDX-License-Identifier: Apache-2.0
#include "rules/schedule.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/time.h"
#include "rules/dates.h"

namespace millrace::rules {
namespace {

int64_t at(std::string_view text) { return parse_date(text, "UTC").value(); }

Schedule schedule(std::string_view trigger, std::string_view parameters) {
  auto parsed = parse_schedule(trigger, parse_json(parameters).value());
  EXPECT_TRUE(parsed) << parsed.error().describe();
  return parsed ? *parsed : Schedule{};
}

std::string problems(std::string_view trigger, std::string_view parameters) {
  auto parsed = parse_schedule(trigger, parse_json(parameters).value());
  std::string out;
  if (parsed) return out;
  for (const Problem& p : parsed.error().problems()) out += p.path + ": " + p.message + "\n";
  return out;
}

// The next `count` firings after `after`, as "MM-DD HH:MM:SS" in UTC.
std::string firings(const Schedule& schedule, std::string_view after, int count) {
  std::string out;
  std::optional<int64_t> time = at(after);
  for (int i = 0; i < count; ++i) {
    time = next_fire(schedule, *time);
    if (!time) return out + "end";
    std::string text = to_rfc3339(*time);
    out += text.substr(5, 5) + " " + text.substr(11, 8) + "; ";
  }
  return out;
}

std::string cron(std::string_view expression, std::string_view after, int count,
                 std::string_view zone = "UTC") {
  Value parameters = Value::map({{"expression", expression}, {"timezone", zone}});
  auto parsed = parse_schedule("core.crontimer", parameters);
  if (!parsed) return parsed.error().describe();
  return firings(*parsed, after, count);
}

TEST(Cron, FiresAtTheTimesItNames) {
  struct Case {
    const char* expression;
    const char* after;
    const char* next;  // two firings
  };
  const Case cases[] = {
      {"*/10 * * * *", "2026-01-01T00:05:00Z", "01-01 00:10:00; 01-01 00:20:00; "},
      {"0 9 * * MON", "2026-01-01", "01-05 09:00:00; 01-12 09:00:00; "},
      {"0 9 * * 1-5", "2026-01-02T09:00:00Z", "01-05 09:00:00; 01-06 09:00:00; "},
      {"0 0 * * 7", "2026-01-01", "01-04 00:00:00; 01-11 00:00:00; "},
      {"0 0 * * sat-sun", "2026-01-01", "01-03 00:00:00; 01-04 00:00:00; "},
      {"30 4 1,15 * *", "2026-01-01T04:30:00Z", "01-15 04:30:00; 02-01 04:30:00; "},
      {"0 0 13 * FRI", "2026-01-01", "01-02 00:00:00; 01-09 00:00:00; "},
      {"0 0 L * ?", "2026-02-01", "02-28 00:00:00; 03-31 00:00:00; "},
      {"5/20 * * * *", "2026-01-01", "01-01 00:05:00; 01-01 00:25:00; "},
      {"15,45 30 8 * jan *", "2026-01-01T08:30:15Z", "01-01 08:30:45; 01-02 08:30:15; "},
      {"@daily", "2026-12-31T12:00:00Z", "01-01 00:00:00; 01-02 00:00:00; "},
      {"0 0 29 2 *", "2026-01-01", "02-29 00:00:00; 02-29 00:00:00; "},
      {"59 59 23 31 12 *", "2026-12-31T23:59:58Z", "12-31 23:59:59; 12-31 23:59:59; "},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(cron(c.expression, c.after, 2), c.next) << c.expression;
  }
}

TEST(Cron, FiresOnceAtTheEndOfAGap) {
  // Berlin: 2026-03-29 02:00 becomes 03:00 at 01:00 UTC.
  EXPECT_EQ(cron("30 2 * * *", "2026-03-28T00:00:00Z", 3, "Europe/Berlin"),
            "03-28 01:30:00; 03-29 01:00:00; 03-30 00:30:00; ");
  EXPECT_EQ(cron("*/20 2 * * *", "2026-03-28T12:00:00Z", 2, "Europe/Berlin"),
            "03-29 01:00:00; 03-30 00:00:00; ");
  EXPECT_EQ(cron("*/30 * * * *", "2026-03-29T00:30:00Z", 3, "Europe/Berlin"),
            "03-29 01:00:00; 03-29 01:30:00; 03-29 02:00:00; ");
  // Also when the second before the gap is the last one that was looked at (found by cron_fuzz).
  EXPECT_EQ(cron("30 2 * * *", "2026-03-29T00:59:59Z", 2, "Europe/Berlin"),
            "03-29 01:00:00; 03-30 00:30:00; ");
  EXPECT_EQ(cron("0 3 * * *", "2026-03-29T00:00:00Z", 2, "Europe/Berlin"),
            "03-29 01:00:00; 03-30 01:00:00; ");
  // An hour that is `*` follows the wall clock: there is no 02:45, so that nothing is missed.
  EXPECT_EQ(cron("45 * * * *", "2026-03-29T00:30:00Z", 2, "Europe/Berlin"),
            "03-29 00:45:00; 03-29 01:45:00; ");
  EXPECT_EQ(cron("45 */2 * * *", "2026-03-28T23:30:00Z", 2, "Europe/Berlin"),
            "03-28 23:45:00; 03-29 01:00:00; ");
}

TEST(Cron, FiresOnceOrEveryTimeInARepeatedHour) {
  // Berlin: 2026-10-25 03:00 becomes 02:00 at 01:00 UTC, so 02:00 to 03:00 happens twice.
  EXPECT_EQ(cron("30 2 * * *", "2026-10-24T12:00:00Z", 2, "Europe/Berlin"),
            "10-25 00:30:00; 10-26 01:30:00; ");
  EXPECT_EQ(cron("30 * * * *", "2026-10-25T00:00:00Z", 3, "Europe/Berlin"),
            "10-25 00:30:00; 10-25 01:30:00; 10-25 02:30:00; ");
  EXPECT_EQ(cron("0 3 * * *", "2026-10-25T00:00:00Z", 1, "Europe/Berlin"), "10-25 02:00:00; ");
}

TEST(Cron, HandlesZonesOfOtherShapes) {
  // Lord Howe moves by half an hour: on 2026-10-04 02:00 becomes 02:30 (15:30 UTC the day before).
  EXPECT_EQ(cron("15 2 * * *", "2026-10-02T20:00:00Z", 2, "Australia/Lord_Howe"),
            "10-03 15:30:00; 10-04 15:15:00; ");
  EXPECT_EQ(cron("0 12 * * *", "2026-01-01", 1, "Asia/Kathmandu"), "01-01 06:15:00; ");
}

TEST(Cron, SaysWhatIsWrongWithEveryField) {
  EXPECT_EQ(problems("core.crontimer", R"({"expression":"61 25 * zzzz fir"})"),
            "/expression: minute '61': expected 0 to 59\n"
            "/expression: hour '25': expected 0 to 23\n"
            "/expression: month 'zzzz': expected 1 to 12 or a name\n"
            "/expression: weekday 'fir': expected 0 to 7 or a name (did you mean 'fri'?)\n");
  EXPECT_EQ(problems("core.crontimer", R"({"expression":"* * *"})"),
            "/expression: expected 5 fields (minute hour day month weekday) or 6 (seconds first), "
            "found 3 in '* * *'\n");
  EXPECT_NE(problems("core.crontimer", R"({"expression":"*/0 * * * *"})"), "");
  EXPECT_NE(problems("core.crontimer", R"({"expression":"5-1 * * * *"})"), "");
  EXPECT_NE(problems("core.crontimer", R"({"expression":"1,, * * * *"})"), "");
}

TEST(Cron, OneThatNeverFiresIsAMistake) {
  EXPECT_EQ(problems("core.crontimer", R"({"expression":"0 0 30 2 *"})"),
            "/expression: \"0 0 30 2 *\" never fires: there is no such day\n");
  for (auto expression : {"0 0 31 2,4 *", "0 0 0 30,31 feb ?", "0 0 31 2,4,6,9,11 *"}) {
    EXPECT_NE(problems("core.crontimer", R"({"expression":")" + std::string(expression) + "\"}"),
              "")
        << expression;
  }
  EXPECT_NE(problems("core.st2.CronTimer", R"({"month":2,"day":30})"), "");
  EXPECT_NE(problems("core.st2.CronTimer", R"({"week":1,"month":6})"), "");
  for (auto expression : {"0 0 29 2 *", "0 0 30 2 MON", "0 0 31 * *", "0 0 L 2 *"}) {
    EXPECT_EQ(problems("core.crontimer", R"({"expression":")" + std::string(expression) + "\"}"),
              "")
        << expression;
  }
  EXPECT_EQ(problems("core.st2.CronTimer", R"({"month":2,"day":29,"day_of_week":0})"), "");
  EXPECT_EQ(problems("core.st2.CronTimer", R"({"year":2196,"month":2,"day":29})"), "");
}

TEST(DueAnew, KeepsWhatTheScheduleCanComeTo) {
  auto hourly = schedule("core.intervaltimer", R"({"unit":"hours","interval":1})");
  int64_t now = at("2026-01-01T12:00:00Z"), hour = 3'600'000;
  EXPECT_EQ(due_anew(hourly, now + hour, now), now + hour);
  EXPECT_EQ(due_anew(hourly, now + 1, now), now + 1);
  EXPECT_EQ(due_anew(hourly, now - hour, now), now - hour) << "it is due: it fires";
  EXPECT_EQ(due_anew(hourly, now + hour + 30'000, now), now + hour + 30'000) << "set by a little";
  EXPECT_EQ(due_anew(hourly, now + 48 * hour, now), now + hour);
  auto noon = schedule("core.crontimer", R"({"expression":"0 12 * * *"})");
  EXPECT_EQ(due_anew(noon, now + 24 * hour, now), now + 24 * hour);
  EXPECT_EQ(due_anew(noon, now + 24 * hour, now - hour), now + 24 * hour) << "as by summer time";
  EXPECT_EQ(due_anew(noon, now + 24 * hour, now - 5 * hour), now);
  EXPECT_EQ(due_anew(noon, now + 23 * hour, now), now + 24 * hour) << "no time of its own";
  auto once = schedule("core.datetimetimer", R"({"fire_at":"2026-03-01T00:00:00Z"})");
  EXPECT_EQ(due_anew(once, now, now), at("2026-03-01"));
}

TEST(Schedule, ReadsStackStormsCronFields) {
  auto fields = [](std::string_view parameters, std::string_view after) {
    return firings(schedule("core.st2.CronTimer", parameters), after, 2);
  };
  EXPECT_EQ(fields(R"({"hour":9})", "2026-01-01"), "01-01 09:00:00; 01-02 09:00:00; ");
  EXPECT_EQ(fields(R"({"second":"*/30"})", "2026-01-01"), "01-01 00:00:30; 01-01 00:01:00; ");
  EXPECT_EQ(fields(R"({"day_of_week":0,"hour":"8-9"})", "2026-01-01"),
            "01-05 08:00:00; 01-05 09:00:00; ");
  EXPECT_EQ(fields(R"({"month":6})", "2026-01-01"), "06-01 00:00:00; 06-01 00:00:00; ");
  EXPECT_EQ(fields(R"({"week":53,"day_of_week":"fri"})", "2026-01-01"),
            "01-01 00:00:00; 12-31 00:00:00; ");
  EXPECT_EQ(fields(R"({"year":2027,"day":"last","month":2})", "2026-01-01"), "02-28 00:00:00; end");
  EXPECT_EQ(problems("core.st2.CronTimer", R"({"hour":24,"minute":[1]})"),
            "/hour: hour '24': expected 0 to 23\n"
            "/minute: expected a whole number or a text, found [1]\n");
}

TEST(Schedule, ReadsIntervalsAndDates) {
  EXPECT_EQ(firings(schedule("core.intervaltimer", R"({"unit":"minutes","interval":5})"),
                    "2026-01-01T00:00:01Z", 2),
            "01-01 00:05:01; 01-01 00:10:01; ");
  EXPECT_EQ(
      firings(schedule("core.st2.IntervalTimer", R"({"unit":"weeks","delta":1})"), "2026-01-01", 1),
      "01-08 00:00:00; ");
  EXPECT_EQ(firings(schedule("core.datetimetimer",
                             R"({"fire_at":"2026-07-01 12:00:00","timezone":"Europe/Berlin"})"),
                    "2026-01-01", 2),
            "07-01 10:00:00; end");
  EXPECT_EQ(firings(schedule("core.st2.DateTimer", R"({"date":"2026-07-01T12:00:00Z"})"),
                    "2026-07-01T12:00:00Z", 1),
            "end");
}

TEST(Schedule, ReportsEveryMistake) {
  EXPECT_EQ(
      problems("core.intervaltimer",
               R"({"unit":"secnds","intervall":5,"catch_up":"on","timezone":"Europe/Berlim"})"),
      "/catch_up: expected none, one or all, found \"on\" (did you mean 'one'?)\n"
      "/intervall: core.intervaltimer has no parameter 'intervall' (did you mean "
      "'interval'?)\n"
      "/timezone: unknown time zone 'Europe/Berlim' (did you mean 'Europe/Berlin'?): "
      "expected an IANA name such as Europe/Berlin, or UTC\n"
      "/unit: expected one of seconds, minutes, hours, days, weeks, found \"secnds\" (did "
      "you mean 'seconds'?)\n"
      "/interval: expected a whole number from 1, found null\n");
  EXPECT_NE(problems("core.intervaltimer", R"({"unit":"weeks","interval":9223372036854775807})"),
            "");
  EXPECT_NE(problems("core.datetimetimer", R"({"fire_at":"tomorrow"})"), "");
  EXPECT_EQ(problems("core.datetimetimer", R"({"fire_at":1893456000})"),
            "/fire_at: expected a date and time such as 2026-01-31T12:00:00Z, found 1893456000\n");
  EXPECT_EQ(problems("core.st2.CronTimer", R"({"hour":1.5,"minute":-1})"),
            "/hour: expected a whole number or a text, found 1.5\n"
            "/minute: minute '-1': expected 0 to 59\n");
}

TEST(Schedule, AZoneThatIsNoTextIsNotUtc) {
  for (auto [zone, is_one] : {std::pair("5", false),
                              {"true", false},
                              {"[\"Europe/Berlin\"]", false},
                              {"{}", false},
                              {"null", true},
                              {"\"UTC\"", true}}) {
    for (auto [trigger, own] : {std::pair("core.crontimer", "\"expression\":\"0 0 * * *\""),
                                {"core.st2.CronTimer", "\"hour\":0"},
                                {"core.intervaltimer", "\"unit\":\"hours\",\"interval\":1"},
                                {"core.datetimetimer", "\"fire_at\":\"2030-01-01 00:00:00\""}}) {
      auto told = problems(trigger, fmt::format("{{{},\"timezone\":{}}}", own, zone));
      EXPECT_EQ(told.empty(), is_one) << trigger << ' ' << zone << ' ' << told;
    }
  }
  EXPECT_EQ(problems("core.crontimer", R"({"expression":"0 0 * * *","timezone":5})"),
            "/timezone: expected an IANA name such as Europe/Berlin, or UTC, found 5\n");
}

TEST(DueFirings, CatchUpAsTheScheduleSays) {
  auto minutes = [](std::string_view catch_up) {
    return schedule("core.intervaltimer", R"({"unit":"minutes","interval":10,"catch_up":")" +
                                              std::string(catch_up) + "\"}");
  };
  int64_t due = at("2026-01-01T00:00:00Z"), later = at("2026-01-01T00:35:00Z");
  auto one = due_firings(minutes("one"), due, later);
  EXPECT_EQ(one.at_ms, std::vector{at("2026-01-01T00:30:00Z")});
  EXPECT_EQ(one.next_ms, at("2026-01-01T00:40:00Z"));
  auto none = due_firings(minutes("none"), due, later);
  EXPECT_TRUE(none.at_ms.empty());
  EXPECT_EQ(none.next_ms, at("2026-01-01T00:40:00Z"));
  auto all = due_firings(minutes("all"), due, later);
  EXPECT_EQ(all.at_ms.size(), 4u);
  EXPECT_EQ(all.next_ms, at("2026-01-01T00:40:00Z"));
  EXPECT_EQ(due_firings(minutes("none"), due, due + 500).at_ms, std::vector{due});
}

TEST(DueFirings, RecurrenceRulesAreCaughtUpAsOthers) {
  auto missed = [](std::string_view catch_up) {
    auto daily =
        schedule("core.rruletimer",
                 fmt::format(R"({{"rrule":"FREQ=DAILY;BYHOUR=9","catch_up":"{}"}})", catch_up));
    return due_firings(daily, at("2026-05-01T09:00:00Z"), at("2026-05-04T12:00:00Z"));
  };
  EXPECT_TRUE(missed("none").at_ms.empty());
  EXPECT_EQ(missed("one").at_ms, std::vector{at("2026-05-04T09:00:00Z")});
  EXPECT_EQ(missed("all").at_ms.size(), 4u);
  for (auto catch_up : {"none", "one", "all"}) {
    EXPECT_EQ(missed(catch_up).next_ms, at("2026-05-05T09:00:00Z")) << catch_up;
  }
  auto ended = schedule("core.rruletimer", R"({"rrule":"FREQ=DAILY;UNTIL=20260502T000000Z"})");
  EXPECT_EQ(due_firings(ended, at("2026-05-02T00:00:00Z"), at("2026-05-02T00:00:01Z")).next_ms,
            std::nullopt);
}

TEST(DueFirings, BoundWhatIsCaughtUpAtOnce) {
  auto every_second =
      schedule("core.crontimer", R"({"expression":"* * * * * *","catch_up":"all"})");
  int64_t due = at("2026-01-01T00:00:00Z");
  auto first = due_firings(every_second, due, due + 3'600'000);
  EXPECT_EQ(first.at_ms.size(), 100u);
  EXPECT_EQ(first.next_ms, due + 100'000);
}

TEST(DueFirings, FindTheLastOfAYearOfSeconds) {
  auto every_second = schedule("core.crontimer", R"({"expression":"* * * * * *"})");
  int64_t due = at("2025-01-01"), now = at("2026-01-01T00:00:00Z") + 250;
  auto out = due_firings(every_second, due, now);
  EXPECT_EQ(out.at_ms, std::vector{now - 250});
  auto yearly = schedule("core.crontimer", R"({"expression":"@yearly"})");
  EXPECT_EQ(due_firings(yearly, at("2020-01-01"), at("2026-05-05")).at_ms,
            std::vector{at("2026-01-01")});
}

// A burst that lies long ago is not walked through.
TEST(DueFirings, FindTheLastOfABurst) {
  auto burst =
      schedule("core.st2.CronTimer", R"({"year":2025,"second":"*","timezone":"Europe/Berlin"})");
  // Its last second there is one before 23:00:00 in UTC.
  auto out = due_firings(burst, at("2025-01-01"), at("2026-07-02"));
  EXPECT_EQ(out.at_ms, std::vector{at("2025-12-31T22:59:59Z")});
  EXPECT_FALSE(out.next_ms);
  auto january = schedule("core.crontimer", R"({"expression":"* * * * 1 *"})");
  out = due_firings(january, at("2026-01-01"), at("2026-03-18"));
  EXPECT_EQ(out.at_ms, std::vector{at("2026-01-31T23:59:59Z")});
  EXPECT_EQ(out.next_ms, at("2027-01-01"));
}

TEST(DueFirings, AskForFewHoweverManyWereMissed) {
  // Every second of the ranges [begin, end).
  auto every_second = [](std::vector<std::pair<int64_t, int64_t>> ranges, size_t& asked) {
    return [ranges = std::move(ranges), &asked](int64_t after_ms) -> std::optional<int64_t> {
      ++asked;
      int64_t next_s = after_ms / 1000 + 1;
      for (auto [begin, end] : ranges) {
        if (next_s < end) return std::max(next_s, begin) * 1000;
      }
      return std::nullopt;
    };
  };
  constexpr int64_t kDaySeconds = 86'400;
  struct Case {
    std::vector<std::pair<int64_t, int64_t>> ranges;
    int64_t now_s;
    int64_t last_s;
  };
  const Case cases[] = {
      {{{0, 365 * kDaySeconds}}, 548 * kDaySeconds, 365 * kDaySeconds - 1},
      {{{0, 10}, {kDaySeconds, kDaySeconds + 5}, {400 * kDaySeconds, 401 * kDaySeconds}},
       400 * kDaySeconds - 1,
       kDaySeconds + 4},
      {{{0, 10}, {kDaySeconds, kDaySeconds + 5}, {400 * kDaySeconds, 401 * kDaySeconds}},
       400 * kDaySeconds,
       400 * kDaySeconds},
      {{{0, 1}, {kDaySeconds, kDaySeconds + 5}}, kDaySeconds - 1, 0},
      {{{0, 100'000 * kDaySeconds}}, 36'600 * kDaySeconds, 36'600 * kDaySeconds},
      {{{0, 1}}, 36'600 * kDaySeconds, 0},
  };
  for (const Case& c : cases) {
    size_t asked = 0;
    EXPECT_EQ(last_due(every_second(c.ranges, asked), 0, c.now_s * 1000), c.last_s * 1000);
    EXPECT_LE(asked, 50U) << c.now_s;
  }
  size_t asked = 0;  // on time: once
  EXPECT_EQ(last_due(every_second({{0, 100}}, asked), 5000, 5300), 5000);
  EXPECT_EQ(asked, 1U);
}

TEST(DueFirings, EndAfterADate) {
  auto once = schedule("core.datetimetimer", R"({"fire_at":"2026-01-01"})");
  auto out = due_firings(once, at("2026-01-01"), at("2026-02-01"));
  EXPECT_EQ(out.at_ms, std::vector{at("2026-01-01")});
  EXPECT_FALSE(out.next_ms);
}

}  // namespace
}  // namespace millrace::rules
