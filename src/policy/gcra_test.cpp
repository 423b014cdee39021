// SPDX-License-Identifier: Apache-2.0
#include "policy/gcra.h"

#include <gtest/gtest.h>

namespace millrace::policy {
namespace {

constexpr Rate kTenPerSecond{.limit = 10, .per_ms = 1000, .burst = 3};

TEST(Gcra, ABurstIsTakenAndTheNextOneIsToldHowLongToWait) {
  Gcra bucket;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.take(kTenPerSecond, 5000), 0) << i;
  EXPECT_EQ(bucket.take(kTenPerSecond, 5000), 100);
  EXPECT_EQ(bucket.take(kTenPerSecond, 5040), 60);
  EXPECT_EQ(bucket.take(kTenPerSecond, 5100), 0);
}

TEST(Gcra, InAWindowThereAreNeverMoreThanBurstAndRate) {
  Gcra bucket;
  int taken = 0;
  for (int64_t now = 0; now < 10'000; ++now) taken += bucket.take(kTenPerSecond, now) == 0;
  EXPECT_EQ(taken, 3 + 10 * 10 - 1);
}

TEST(Gcra, WhatIsRefusedCostsNothing) {
  Gcra bucket;
  for (int i = 0; i < 100; ++i) bucket.take(kTenPerSecond, 0);
  EXPECT_FALSE(bucket.is_full(299));
  EXPECT_TRUE(bucket.is_full(300));
}

TEST(Gcra, AClockThatGoesBackGivesNothingAway) {
  Gcra bucket;
  for (int i = 0; i < 3; ++i) bucket.take(kTenPerSecond, 10'000);
  EXPECT_GT(bucket.take(kTenPerSecond, 1'000), 0);
}

TEST(Gcra, AGreatBurstOfASlowRateIsNoOverflow) {
  constexpr Rate kVast{.limit = 1, .per_ms = 365LL * 86'400'000, .burst = 1'000'000};
  Gcra bucket;
  EXPECT_EQ(bucket.take(kVast, 1'800'000'000'000), 0);
  EXPECT_EQ(bucket.take(kVast, 1'800'000'000'000), 0);
}

TEST(Gcra, NobodyWaitsLongerThanFromAFullOne) {
  Gcra bucket(1'000'000'000'000);
  EXPECT_EQ(bucket.take(kTenPerSecond, 5000), 100);
}

}  // namespace
}  // namespace millrace::policy
