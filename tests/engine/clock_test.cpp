// SPDX-License-Identifier: Apache-2.0
// Schedules and deadlines: over edits, over steps of the clock both ways, and before their timers
// have run.
#include "base/time.h"
#include "harness.h"
#include "rules/zone.h"

#include <fmt/format.h>
#include <stdlib.h>

namespace millrace::engine {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

class Clock : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto core = std::make_shared<Pack>(*core_pack());
    for (const auto& [ref, names] : std::vector<std::pair<const char*, std::vector<const char*>>>{
             {"core.intervaltimer", {"unit", "interval", "catch_up"}},
             {"core.crontimer", {"expression", "timezone"}},
             {"core.datetimetimer", {"fire_at", "timezone"}}}) {
      Trigger timer;
      timer.ref = ref;
      for (const char* name : names) {
        Parameter parameter;
        parameter.name = name;
        parameter.schema = Value::map();
        timer.parameters.push_back(parameter);
      }
      core->triggers.push_back(timer);
    }
    return {core, test_pack()};
  }

  static RuleSpec rule(std::string ref, std::string trigger, Value parameters) {
    RuleSpec spec;
    spec.ref = std::move(ref);
    spec.trigger = std::move(trigger);
    spec.trigger_parameters = std::move(parameters);
    spec.criteria = Value::map();
    spec.action = "core.noop";
    spec.action_parameters = Value::map();
    return spec;
  }
  static RuleSpec hourly(std::string ref) {
    return rule(std::move(ref), "core.intervaltimer",
                Value::map({{"unit", "hours"}, {"interval", 1}}));
  }
  static RuleSpec cron(std::string ref, const char* expression) {
    return rule(std::move(ref), "core.crontimer", Value::map({{"expression", expression}}));
  }
  Result<RuleRow> write(const RuleSpec& spec, bool create = true) {
    auto written = await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, create}, std::move(reply)));
    });
    settle();
    return written;
  }
  void must(const Result<RuleRow>& written) {
    ASSERT_TRUE(written.ok()) << written.error().describe();
  }
  // Of all schedules, in their order.
  std::vector<int64_t> due() {
    auto reader = store_->open_reader();
    auto rows = store::named_timers(**reader, kDefaultTenant);
    std::vector<int64_t> times;
    for (const auto& row : *rows) times.push_back(row.due);
    std::ranges::sort(times);
    return times;
  }
  // Both clocks go on, and the engine hears of it.
  void pass(int64_t ms) {
    tick(ms);
    look();
  }
  // The wall clock alone is set.
  void set_clock(int64_t by_ms) {
    now_ms_ += by_ms;
    look();
  }
  void look() {
    engine_->look_at_clock();
    settle();
    settle();
  }
  int64_t fired() { return count("event"); }
};

TEST_F(Clock, AnEditThatLeavesTheScheduleLeavesItsDueTime) {
  must(write(hourly("ci.a")));
  int64_t first = now_ms_ + kHour;
  pass(30 * kMinute);
  auto edited = hourly("ci.a");
  edited.description = "other words";
  must(write(edited, false));
  EXPECT_EQ(due(), std::vector{first});
  pass(25 * kMinute);
  must(write(hourly("ci.b")));
  EXPECT_EQ(due(), std::vector{first}) << "a second rule joins";
  auto off = hourly("ci.b");
  off.enabled = false;
  must(write(off, false));
  must(write(hourly("ci.b"), false));
  EXPECT_EQ(due(), std::vector{first});
  off.ref = "ci.a";
  must(write(off, false));
  must(write(hourly("ci.a"), false));
  EXPECT_EQ(due(), std::vector{first});
  pass(5 * kMinute);
  EXPECT_EQ(fired(), 1);
  EXPECT_EQ(due(), std::vector{first + kHour});
}

TEST_F(Clock, TheOnlyRuleOfAScheduleKeepsItsDueTimeOverOffAndOn) {
  must(write(hourly("ci.a")));
  int64_t first = now_ms_ + kHour;
  auto off = hourly("ci.a");
  off.enabled = false;
  pass(10 * kMinute);
  must(write(off, false));
  pass(10 * kMinute);
  must(write(hourly("ci.a"), false));
  EXPECT_EQ(due(), std::vector{first});
  must(write(off, false));
  pass(2 * kHour);
  EXPECT_EQ(fired(), 0);
  EXPECT_TRUE(due().empty());
  must(write(hourly("ci.a"), false));
  EXPECT_EQ(due(), std::vector{now_ms_ + kHour});
}

TEST_F(Clock, AnotherIntervalIsAnotherSchedule) {
  must(write(hourly("ci.a")));
  pass(30 * kMinute);
  auto other = hourly("ci.a");
  other.trigger_parameters = Value::map({{"unit", "hours"}, {"interval", 2}});
  must(write(other, false));
  EXPECT_EQ(due().back(), now_ms_ + 2 * kHour);
}

TEST_F(Clock, AReloadWhileItIsLateCatchesUpAsBefore) {
  auto spec = hourly("ci.a");
  spec.trigger_parameters.set("catch_up", "all");
  must(write(spec));
  engine_.reset();
  tick(3 * kHour);
  start();
  spec.description = "other words";
  must(write(spec, false));
  look();
  EXPECT_EQ(fired(), 3);
}

TEST_F(Clock, WhatNeverFiresIsRefused) {
  for (const char* expression : {"0 0 30 2 *", "0 0 31 2,4 *", "0 0 31 feb ?"}) {
    auto written = write(cron("ci.never", expression));
    ASSERT_FALSE(written.ok()) << expression;
    EXPECT_EQ(written.error().code(), "RUL-0105");
    EXPECT_NE(written.error().describe().find("never fires"), std::string::npos)
        << written.error().describe();
  }
  auto past = write(
      rule("ci.past", "core.datetimetimer", Value::map({{"fire_at", to_rfc3339(now_ms_ - 1000)}})));
  ASSERT_FALSE(past.ok());
  EXPECT_EQ(past.error().code(), "RUL-0105");
  EXPECT_NE(past.error().describe().find("is over"), std::string::npos);
  must(write(cron("ci.leap", "0 0 29 2 *")));
  must(write(cron("ci.either", "0 0 30 2 MON")));  // each Monday in February
}

TEST_F(Clock, ADateThatHasFiredMayBeEdited) {
  auto spec =
      rule("ci.once", "core.datetimetimer", Value::map({{"fire_at", to_rfc3339(now_ms_ + kHour)}}));
  must(write(spec));
  pass(kHour);
  EXPECT_EQ(fired(), 1);
  spec.description = "has fired";
  must(write(spec, false));
  pass(kDay);
  EXPECT_EQ(fired(), 1);
}

TEST_F(Clock, AStepForwardFiresWhatIsDueAtOnce) {
  must(write(hourly("ci.a")));
  set_clock(kHour);
  EXPECT_EQ(fired(), 1);
  EXPECT_EQ(due(), std::vector{now_ms_ + kHour});
}

TEST_F(Clock, AClockThatWasAheadAndIsSetRightSilencesNobody) {
  set_clock(5 * kDay);
  must(write(hourly("ci.a")));
  must(write(cron("ci.b", "30 * * * *")));
  pass(2 * kHour);
  int64_t before = fired();
  EXPECT_EQ(before, 2) << "each once: the last time counts";
  set_clock(-5 * kDay);
  for (int64_t at : due()) EXPECT_LE(at, now_ms_ + kHour);
  pass(kHour);
  EXPECT_EQ(fired(), before + 2);
  pass(kHour);
  EXPECT_EQ(fired(), before + 4);
}

TEST_F(Clock, AClockThatIsSetRightWhileTheServerIsDownSilencesNobody) {
  set_clock(5 * kDay);
  must(write(hourly("ci.a")));
  must(write(cron("ci.b", "0 9 * * *")));
  engine_.reset();
  now_ms_ -= 5 * kDay;
  start();
  settle();
  look();
  for (int64_t at : due()) EXPECT_LE(at, now_ms_ + kDay);
  EXPECT_EQ(due().front(), now_ms_ + kHour);
}

TEST_F(Clock, WhatWaitsByAClockThatWasAheadWaitsAsLongAsItWasTo) {
  set_clock(5 * kDay);
  auto sleeps = run("core.sleep", Value::map({{"seconds", 600}}));
  auto asks = run("core.ask", Value::map({{"ttl", 10}}));
  ASSERT_TRUE(sleeps.ok() && asks.ok());
  settle();
  for (bool restarts : {false, true}) {
    if (restarts) {
      engine_.reset();
      start();
      settle();
    } else {
      set_clock(-5 * kDay);
    }
    EXPECT_LE(count(fmt::format("timer WHERE due > {}", now_ms_ + 600'000)), 0);
  }
  pass(599'000);
  EXPECT_EQ(stored(sleeps->id).status, ExecutionStatus::Running);
  pass(1001);
  EXPECT_EQ(stored(sleeps->id).status, ExecutionStatus::Succeeded);
  EXPECT_EQ(stored(asks->id).status, ExecutionStatus::Timeout);
}

TEST_F(Clock, ALittleStepBackFiresNothingTwice) {
  must(write(cron("ci.a", "0 * * * *")));
  set_clock(due().front() + 200 - now_ms_);
  int64_t before = fired();
  auto then = due();
  EXPECT_EQ(before, 1);
  set_clock(-30'000);
  EXPECT_EQ(due(), then);
  pass(29'000);
  EXPECT_EQ(fired(), before);
}

TEST_F(Clock, AJobOfAFixedHourIsNotRepeatedWhenTheClockGoesBackByAnHour) {
  must(write(cron("ci.a", "0 9 * * *")));
  set_clock(due().front() + 1000 - now_ms_);
  EXPECT_EQ(fired(), 1);
  set_clock(-kHour);
  pass(kHour + kMinute);
  EXPECT_EQ(fired(), 1);
  set_clock(-5 * kHour);
  pass(5 * kHour);
  EXPECT_EQ(fired(), 2) << "the clock was wrong by more than summer time";
}

TEST_F(Clock, ASchedulesDueTimeFollowsTheRulesOfItsZone) {
  namespace fs = std::filesystem;
  const fs::path all = "/usr/share/zoneinfo";
  fs::path own = fs::path(folder_) / "zones";
  fs::create_directories(own / "Europe");
  fs::copy_file(all / "Europe/Berlin", own / "Europe/Monaco");
  setenv("TZDIR", own.c_str(), 1);
  auto spec = cron("ci.noon", "0 12 * * *");
  spec.trigger_parameters.set("timezone", "Europe/Monaco");
  must(write(spec));
  EXPECT_EQ(due().front() % kDay, 11 * kHour);
  fs::copy_file(all / "Asia/Tokyo", own / "new");
  fs::rename(own / "new", own / "Europe/Monaco");
  pass(61'000);  // the next sweep looks
  EXPECT_EQ(due().front() % kDay, 3 * kHour);
  EXPECT_EQ(fired(), 0);
  unsetenv("TZDIR");
  rules::Zone::forget_changed();
}

TEST_F(Clock, AnAnswerAfterTheEndOfItsTimeIsRefusedThoughItsTimerHasNotRun) {
  auto asked = run("core.ask", Value::map({{"ttl", 1}}));
  ASSERT_TRUE(asked.ok()) << asked.error().describe();
  settle();
  tick(20 * kMinute);  // nobody has woken the engine
  auto answered = await<InquiryRow>([&](Reply<InquiryRow> reply) {
    engine_->submit(command::answer(kTester, InquiryId{asked->id.value}, {Value(1)}, reply));
  });
  ASSERT_FALSE(answered.ok());
  EXPECT_EQ(answered.error().code(), "EXE-0015");
  look();
  EXPECT_EQ(stored(asked->id).status, ExecutionStatus::Timeout);
}

}  // namespace
}  // namespace millrace::engine
