// SPDX-License-Identifier: Apache-2.0
#include "kernel/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace millrace::kernel {
namespace {

using Entry = TimerWheel::Entry;
constexpr TenantId kTenant{7};

std::vector<Of<TimerId>> ids(std::initializer_list<int64_t> values) {
  std::vector<Of<TimerId>> out;
  for (int64_t v : values) out.push_back({kTenant, TimerId{v}});
  return out;
}

// What a store answers: due < until, in due order, at most kMaxEntries.
struct FakeStore {
  std::set<Entry> timers;
  std::vector<Entry> read(int64_t until) const {
    std::vector<Entry> out;
    for (const auto& entry : timers) {
      if (entry.due >= until || out.size() == TimerWheel::kMaxEntries) break;
      out.push_back(entry);
    }
    return out;
  }
  void refill(TimerWheel& wheel, int64_t until) const {
    auto entries = read(until);
    wheel.refill(entries, until, entries.size() < TimerWheel::kMaxEntries);
  }
};

TEST(TimerWheel, GivesOutDueTimersInDueOrderAndOnce) {
  TimerWheel wheel;
  wheel.refill({}, 1000, true);
  EXPECT_TRUE(wheel.add({30, kTenant, TimerId{3}}));
  EXPECT_TRUE(wheel.add({10, kTenant, TimerId{1}}));
  EXPECT_TRUE(wheel.add({20, kTenant, TimerId{2}}));
  EXPECT_TRUE(wheel.add({20, kTenant, TimerId{2}}));
  EXPECT_EQ(wheel.take_due(20), ids({1, 2}));
  EXPECT_EQ(wheel.take_due(20), ids({}));
  EXPECT_EQ(wheel.take_due(99), ids({3}));
}

TEST(TimerWheel, NeverFiresEarly) {
  TimerWheel wheel;
  wheel.refill({}, 1000, true);
  wheel.add({30, kTenant, TimerId{3}});
  EXPECT_EQ(wheel.take_due(29), ids({}));
}

TEST(TimerWheel, WakesForTheNextTimerOrTheNextRefill) {
  TimerWheel wheel;
  EXPECT_TRUE(wheel.needs_refill(0));
  wheel.refill({}, 1000, true);
  EXPECT_EQ(wheel.next_wake(), 1000);
  wheel.add({400, kTenant, TimerId{1}});
  EXPECT_EQ(wheel.next_wake(), 400);
  EXPECT_FALSE(wheel.needs_refill(999));
  EXPECT_TRUE(wheel.needs_refill(1000));
}

TEST(TimerWheel, LeavesTimersBeyondTheHorizonToTheStore) {
  TimerWheel wheel;
  wheel.refill({}, 1000, true);
  EXPECT_FALSE(wheel.add({1000, kTenant, TimerId{1}}));
  EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, KeepsATimerThatWasMadeWhileTheStoreWasRead) {
  TimerWheel wheel;
  wheel.refill({}, 1000, true);
  wheel.add({500, kTenant, TimerId{5}});
  wheel.refill({}, 2000, true);
  EXPECT_EQ(wheel.take_due(500), ids({5}));
}

TEST(TimerWheel, ACutRefillCoversOnlyWhatItRead) {
  TimerWheel wheel;
  wheel.refill({{10, kTenant, TimerId{1}}, {20, kTenant, TimerId{2}}}, 1000, false);
  EXPECT_EQ(wheel.covered_until(), 20);
  EXPECT_EQ(wheel.next_wake(), 10);
  EXPECT_TRUE(wheel.needs_refill(20));
}

TEST(TimerWheel, AFullWheelStillTakesAnEarlierTimerAndDropsItsLatest) {
  TimerWheel wheel;
  wheel.refill({}, 1'000'000, true);
  auto count = static_cast<int64_t>(TimerWheel::kMaxEntries);
  for (int64_t i = 1; i <= count; ++i) EXPECT_TRUE(wheel.add({1000 + i, kTenant, TimerId{i}}));
  EXPECT_TRUE(wheel.add({5, kTenant, TimerId{999'999}}));
  EXPECT_EQ(wheel.size(), TimerWheel::kMaxEntries);
  EXPECT_EQ(wheel.covered_until(), 1000 + count);
  EXPECT_EQ(wheel.take_due(5), ids({999'999}));
  EXPECT_FALSE(wheel.add({1000 + count, kTenant, TimerId{count}}));
}

// 25,000 timers through a wheel of 10,000, some of them due at the same moment across the cut;
// new ones come in between, earlier and later than the cut.
TEST(TimerWheel, LosesNoTimerOverCutRefills) {
  TimerWheel wheel;
  FakeStore store;
  std::set<TimerId> expected;
  for (int64_t i = 1; i <= 25'000; ++i) store.timers.insert({i / 700 * 10, kTenant, TimerId{i}});
  for (const auto& entry : store.timers) expected.insert(entry.id);

  std::set<TimerId> fired;
  int64_t next_id = 100'000;
  for (int64_t now = 0; now <= 600; now += 5) {
    if (wheel.needs_refill(now)) store.refill(wheel, now + 300);
    auto due = wheel.take_due(now);
    for (auto [tenant, id] : due) {
      EXPECT_TRUE(fired.insert(id).second) << id.value;
      auto row = std::find_if(store.timers.begin(), store.timers.end(),
                              [&](const Entry& e) { return e.id == id; });
      ASSERT_NE(row, store.timers.end());
      EXPECT_LE(row->due, now);
      store.timers.erase(row);
    }
    for (int64_t ahead : {1, 40, 290}) {
      if (now + ahead > 550) continue;
      Entry made{now + ahead, kTenant, TimerId{++next_id}};
      store.timers.insert(made);
      expected.insert(made.id);
      wheel.add(made);
    }
    // Nothing that is due waits while the wheel says that it sleeps on.
    while (wheel.next_wake() <= now) {
      store.refill(wheel, now + 300);
      for (auto [tenant, id] : wheel.take_due(now)) {
        EXPECT_TRUE(fired.insert(id).second) << id.value;
        std::erase_if(store.timers, [&](const Entry& e) { return e.id == id; });
      }
    }
  }
  EXPECT_EQ(fired.size(), expected.size());
  EXPECT_TRUE(store.timers.empty());
}

TEST(TimerWheel, TakesMoreThanItHoldsAtOneMoment) {
  TimerWheel wheel;
  FakeStore store;
  for (int64_t i = 1; i <= 25'000; ++i) store.timers.insert({50, kTenant, TimerId{i}});
  size_t fired = 0;
  for (int round = 0; round < 10 && !store.timers.empty(); ++round) {
    if (wheel.needs_refill(50)) store.refill(wheel, 350);
    for (auto [tenant, id] : wheel.take_due(50)) {
      ++fired;
      store.timers.erase({50, tenant, id});
    }
  }
  EXPECT_EQ(fired, 25'000U);
}

}  // namespace
}  // namespace millrace::kernel
