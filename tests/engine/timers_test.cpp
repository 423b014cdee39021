// SPDX-License-Identifier: Apache-2.0
// Timers that people operate: fired by hand, paused, over restarts, reloads and servers.
#include "engine/transitions/schedule.h"
#include "several_servers.h"

namespace millrace::engine {
namespace {

// Shorter than a server may be silent before others take what it owns.
constexpr int64_t kPeriodMs = 5000;

RuleWrite every_five_seconds(std::string ref) {
  RuleWrite write;
  write.spec.ref = std::move(ref);
  write.spec.trigger = "core.intervaltimer";
  write.spec.trigger_parameters = Value::map({{"unit", "seconds"}, {"interval", 5}});
  write.spec.action = "core.noop";
  write.create = true;
  return write;
}

class Timers : public SeveralServers {
 protected:
  static std::string schedule() { return schedule_name(every_five_seconds("ci.a").spec); }

  Result<EventId> operate(Server& server, TimerWish wish) {
    auto promise = std::make_shared<std::promise<Result<EventId>>>();
    server.engine->submit(command::operate_timer(
        kTester, {schedule(), wish},
        [promise](Result<EventId> event) { promise->set_value(std::move(event)); }));
    return promise->get_future().get();
  }
  void write(Server& server, RuleWrite wish) {
    auto promise = std::make_shared<std::promise<Result<RuleRow>>>();
    server.engine->submit(command::write_rule(
        kTester, std::move(wish),
        [promise](Result<RuleRow> row) { promise->set_value(std::move(row)); }));
    auto written = promise->get_future().get();
    ASSERT_TRUE(written.ok()) << written.error().describe();
  }
  bool is_paused(Server& server, bool wanted = true) {
    return soon(
        [&] { return server.engine->catalog(kDefaultTenant)->is_paused(schedule()) == wanted; });
  }
  bool have_fired(int64_t n) {
    return soon([&] { return *store::query_int(*reader_, "SELECT count(*) FROM event") == n; });
  }
  TimerRow row() {
    auto rows = store::named_timer(*reader_, kDefaultTenant, schedule());
    return rows.ok() && !rows->empty() ? rows->front() : TimerRow{};
  }
};

TEST_F(Timers, FiredByHandRunAllTheirRulesAndKeepTheirTimes) {
  auto& a = start("a");
  ASSERT_TRUE(spread_over({&a}));
  write(a, every_five_seconds("ci.a"));
  write(a, every_five_seconds("ci.b"));
  auto due = row().due;
  auto event = operate(a, TimerWish::Fire);
  ASSERT_TRUE(event.ok()) << event.error().describe();
  ASSERT_TRUE(operate(a, TimerWish::Fire).ok());
  EXPECT_TRUE(have_fired(2));
  EXPECT_TRUE(
      soon([&] { return *store::query_int(*reader_, "SELECT count(*) FROM enforcement") == 4; }));
  EXPECT_EQ(row().due, due);
  EXPECT_EQ(last_firing(row()), 0) << "by itself it has not fired";
}

TEST_F(Timers, PausedOnOneServerMakeNoEventsOnAny) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  write(a, every_five_seconds("ci.a"));
  tick(kPeriodMs);
  EXPECT_TRUE(have_fired(1));
  auto first = row();
  EXPECT_EQ(last_firing(first) + kPeriodMs, first.due);
  for (auto* server : {&a, &b}) {
    auto paused = operate(*server, TimerWish::Pause);
    ASSERT_TRUE(paused.ok()) << paused.error().describe();
    EXPECT_TRUE(is_paused(a));
    EXPECT_TRUE(is_paused(b));
    auto before = row().due;
    tick(kPeriodMs);
    EXPECT_TRUE(soon([&] { return row().due == before + kPeriodMs; })) << "it goes on unheard";
    EXPECT_TRUE(have_fired(1));
    EXPECT_EQ(last_firing(row()), last_firing(first));
  }
  ASSERT_TRUE(operate(b, TimerWish::Resume).ok());
  EXPECT_TRUE(is_paused(a, false));
  EXPECT_TRUE(is_paused(b, false));
  EXPECT_TRUE(have_fired(1)) << "what it missed is not made up for";
  tick(kPeriodMs);
  EXPECT_TRUE(have_fired(2));
}

TEST_F(Timers, StayPausedWhateverBecomesOfTheirRulesAndServers) {
  auto& a = start("a");
  ASSERT_TRUE(spread_over({&a}));
  write(a, every_five_seconds("ci.a"));
  ASSERT_TRUE(operate(a, TimerWish::Pause).ok());
  auto edited = every_five_seconds("ci.a");
  edited.create = false;
  edited.spec.enabled = false;
  write(a, edited);
  edited.spec.enabled = true;
  write(a, edited);
  write(a, every_five_seconds("ci.b"));
  EXPECT_TRUE(is_paused(a));
  auto& late = start("late");
  EXPECT_TRUE(is_paused(late));
  ASSERT_TRUE(spread_over({&a, &late}));
  tick(kPeriodMs);
  tick(kPeriodMs);
  EXPECT_TRUE(have_fired(0));
}

TEST_F(Timers, WithoutARuleThereIsNone) {
  auto& a = start("a");
  ASSERT_TRUE(spread_over({&a}));
  for (auto wish : {TimerWish::Fire, TimerWish::Pause, TimerWish::Resume}) {
    auto refused = operate(a, wish);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), "RUL-0110");
  }
}

}  // namespace
}  // namespace millrace::engine
