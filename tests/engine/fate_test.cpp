// SPDX-License-Identifier: Apache-2.0
#include "engine/fate.h"

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

using What = Fate::What;

// A trouble that goes on for ever.
Fate last(Trouble trouble, Whose whose) { return fate_of(trouble, whose, 1000); }

TEST(Fate, WhoeverAsksHearsOfItAndNothingOfTheMachineIsLost) {
  struct Row {
    Trouble trouble;
    What asker;
    What machine;
  };
  constexpr Row kRows[] = {
      {Trouble::Load, What::Answer, What::Bury},    {Trouble::Refused, What::Answer, What::Bury},
      {Trouble::Undecided, What::Bury, What::Bury}, {Trouble::Stale, What::Bury, What::Bury},
      {Trouble::Write, What::Bury, What::Bury},     {Trouble::Away, What::Answer, What::Later},
      {Trouble::Deadly, What::Answer, What::Bury},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(last(row.trouble, Whose::Asker).what, row.asker) << static_cast<int>(row.trouble);
    EXPECT_EQ(last(row.trouble, Whose::Machine).what, row.machine) << static_cast<int>(row.trouble);
  }
}

TEST(Fate, ARowThatCannotBeReadIsTriedWithGrowingPauses) {
  int64_t before = 0;
  int64_t all = 0;
  int tries = 1;
  for (;; ++tries) {
    Fate fate = fate_of(Trouble::Load, Whose::Machine, tries);
    if (fate.what != What::Later) break;
    EXPECT_GE(fate.after_ms, before);
    before = fate.after_ms;
    all += fate.after_ms;
  }
  EXPECT_GT(all, 60'000);
  EXPECT_LT(all, 300'000);
}

TEST(Fate, ABurialIsNeverGivenUp) {
  for (auto trouble : {Trouble::Stale, Trouble::Write, Trouble::Away}) {
    EXPECT_EQ(last(trouble, Whose::Burial).what, What::Later) << static_cast<int>(trouble);
  }
}

TEST(Fate, WhatThePartitionDoesByItselfIsPutOffButNeverGivenUp) {
  for (auto trouble : {Trouble::Load, Trouble::Refused, Trouble::Undecided, Trouble::Stale,
                       Trouble::Write, Trouble::Away, Trouble::Deadly}) {
    EXPECT_EQ(last(trouble, Whose::Routine).what, What::Later) << static_cast<int>(trouble);
    EXPECT_GT(last(trouble, Whose::Routine).after_ms, 0);
  }
}

TEST(Fate, ADecisionOnStaleRowsIsMadeAgainAtOnce) {
  EXPECT_EQ(fate_of(Trouble::Stale, Whose::Asker, 1).what, What::Again);
  EXPECT_EQ(fate_of(Trouble::Stale, Whose::Machine, 1).after_ms, 0);
}

}  // namespace
}  // namespace millrace::engine
