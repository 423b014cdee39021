// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;

TEST(IdSource, RisesWithinOneMillisecond) {
  IdSource ids(3);
  int64_t last = 0;
  for (int i = 0; i < 10'000; ++i) {  // more than the sequence holds
    int64_t id = ids.next(kNow);
    ASSERT_GT(id, last);
    last = id;
  }
}

TEST(IdSource, RisesWhenTheClockGoesBack) {
  IdSource ids(0);
  int64_t before = ids.next(kNow);
  EXPECT_GT(ids.next(kNow - 3'600'000), before);
  EXPECT_GT(ids.next(0), before);
}

TEST(IdSource, ContinuesAfterTheLastIdOfAnEarlierRunOrAnotherNode) {
  IdSource earlier(1000);
  int64_t last = earlier.next(kNow);
  IdSource later(0, last);
  EXPECT_GT(later.next(kNow - 10), last);
}

TEST(IdSource, OfTwoNodesNeverAgree) {
  IdSource a(1);
  IdSource b(2);
  for (int i = 0; i < 5000; ++i) ASSERT_NE(a.next(kNow), b.next(kNow));
}

TEST(Ids, CarryTheirTime) {
  IdSource ids(5);
  EXPECT_EQ(id_time_ms(ids.next(kNow)), kNow);
  EXPECT_LE(first_id_at(kNow), ids.next(kNow));
  EXPECT_LT(ids.next(kNow), first_id_at(kNow + 1));
}

TEST(ParseId, TakesOnlyPositiveDecimals) {
  EXPECT_EQ(*parse_id("9223372036854775807", "id"), INT64_MAX);
  for (const char* bad : {"", "0", "-1", "+1", " 1", "1 ", "0x1", "9223372036854775808"}) {
    EXPECT_FALSE(parse_id(bad, "id").ok()) << bad;
  }
  EXPECT_EQ(parse_id("x", "event").error().message(), "event: expected a decimal id, found 'x'");
}

}  // namespace
}  // namespace millrace
