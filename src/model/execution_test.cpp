// SPDX-License-Identifier: Apache-2.0
#include "model/execution.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

// As they stand in stores: a number that changes its meaning changes what has been written.
TEST(StoredNumbers, OfStatusesStayWhatTheyAre) {
  const std::pair<int, std::string_view> kStored[] = {
      {0, "requested"},  {1, "delayed"}, {2, "scheduled"}, {3, "running"},   {4, "pending"},
      {5, "pausing"},    {6, "paused"},  {7, "resuming"},  {8, "canceling"}, {9, "needs_decision"},
      {16, "succeeded"}, {17, "failed"}, {18, "timeout"},  {19, "canceled"}, {20, "abandoned"}};
  for (const auto& [number, name] : kStored) {
    auto status = static_cast<ExecutionStatus>(number);
    EXPECT_EQ(to_string(status), name);
    EXPECT_EQ(parse_execution_status(name), status);
    EXPECT_EQ(is_final(status), number >= 16) << name;
  }
  EXPECT_EQ(to_string(static_cast<ExecutionStatus>(10)), "unknown");
  EXPECT_FALSE(parse_execution_status("Running"));
}

TEST(StoredNumbers, OfFailureClassesStayWhatTheyAre) {
  const std::string_view kStored[] = {"",    "user_error", "timeout", "canceled",  "infra_lost",
                                      "oom", "policy",     "spawn",   "no_release"};
  for (size_t i = 0; i < std::size(kStored); ++i) {
    EXPECT_EQ(to_string(static_cast<FailureClass>(i)), kStored[i]);
  }
}

TEST(StoredNumbers, OfEffectClassesStayWhatTheyAre) {
  const std::string_view kStored[] = {"at_most_once", "idempotent", "keyed", "pure"};
  for (size_t i = 0; i < std::size(kStored); ++i) {
    auto effect = static_cast<EffectClass>(i);
    EXPECT_EQ(to_string(effect), kStored[i]);
    EXPECT_EQ(parse_effect_class(kStored[i]), effect);
    EXPECT_EQ(may_rerun_when_lost(effect), effect != EffectClass::AtMostOnce);
  }
  EXPECT_FALSE(parse_effect_class(""));
}

TEST(StoredNumbers, OfPrioritiesStayWhatTheyAreAndHigherOnesGoFirst) {
  const std::string_view kStored[] = {"critical", "high", "normal", "low"};
  for (size_t i = 0; i < std::size(kStored); ++i) {
    auto priority = static_cast<Priority>(i);
    EXPECT_EQ(to_string(priority), kStored[i]);
    EXPECT_EQ(parse_priority(kStored[i]), priority);
    if (i > 0) EXPECT_LT(rank_offset_ms(static_cast<Priority>(i - 1)), rank_offset_ms(priority));
  }
  EXPECT_FALSE(parse_priority("urgent"));
}

}  // namespace
}  // namespace millrace
