// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/log.h"
#include "broken.h"
#include "shrink.h"

namespace millrace::sim {
namespace {

class Simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_TRUE(open_log({.level = LogLevel::Error, .capture = [](auto) {}}).ok());
    auto store = SimStore::open();
    ASSERT_TRUE(store.ok()) << store.error().describe();
    store_ = store->release();
  }
  static void TearDownTestSuite() { delete store_; }
  void TearDown() override { mutant_in_force = Mutant::None; }

  std::optional<Violation> run(uint64_t seed, uint64_t* hash = nullptr) {
    return run_plan(*store_, plan_of(seed), coverage_, {}, hash);
  }
  // Within how many seeds it is found; 0: not within `most`.
  uint64_t found_within(Mutant mutant, uint64_t most) {
    mutant_in_force = mutant;
    for (uint64_t seed = 1; seed <= most; ++seed) {
      if (run(seed)) return seed;
    }
    return 0;
  }

  static inline SimStore* store_ = nullptr;
  Coverage coverage_;
};

TEST_F(Simulation, TheSameSeedGivesTheSameTrace) {
  std::set<uint64_t> different;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    uint64_t first = 0;
    uint64_t second = 0;
    EXPECT_FALSE(run(seed, &first));
    EXPECT_FALSE(run(seed, &second));
    EXPECT_EQ(first, second) << seed;
    different.insert(first);
  }
  EXPECT_EQ(different.size(), 20U);
}

TEST_F(Simulation, AFailingPlanShrinksToWhatMatters) {
  uint64_t seed = found_within(Mutant::AckBeforeCommit, 200);
  ASSERT_NE(seed, 0U);
  auto violation = run(seed);
  ASSERT_TRUE(violation);
  Plan small = shrink(*store_, plan_of(seed), *violation);
  EXPECT_LE(small.ops.size(), 10U);
  auto again = run_plan(*store_, small, coverage_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->promise, violation->promise);
}

// What the engine did until the simulation met it: each world holds now, and fails again when the
// mend is taken out.
struct Found {
  Mutant without;
  uint64_t seed;
};
class FoundBefore : public Simulation, public ::testing::WithParamInterface<Found> {};

TEST_P(FoundBefore, HoldsNowAndFailsWithoutTheMend) {
  auto now = run(GetParam().seed);
  EXPECT_FALSE(now) << now->promise << ": " << now->what;
  mutant_in_force = GetParam().without;
  EXPECT_TRUE(run(GetParam().seed));
}

INSTANTIATE_TEST_SUITE_P(
    Seeds, FoundBefore,
    ::testing::Values(
        Found{Mutant::AnswerOnUndurable, 184}, Found{Mutant::HandedOverOwed, 168},
        Found{Mutant::UntakenEndAgain, 3}, Found{Mutant::PausedOnUndurable, 3069},
        Found{Mutant::BadHeadBlocksQueue, 1256}, Found{Mutant::OpenAmongOthers, 34},
        Found{Mutant::RoutineBuried, 12}, Found{Mutant::DispatchSpins, 1256},
        Found{Mutant::MissedNotTold, 14}, Found{Mutant::RerunOnUndurable, 31938},
        Found{Mutant::MendedTimerFires, 25169}, Found{Mutant::MissedPauseNotTold, 1000031404},
        Found{Mutant::NewestReleaseNotTold, 1000034948}, Found{Mutant::KeyOfTheStep, 1000032986},
        Found{Mutant::LeftWorkerJudged, 5000004374}, Found{Mutant::BelowNotHandedOver, 5000021752},
        Found{Mutant::NewHomeNotAsked, 5000027956},
        Found{Mutant::GaugeCountsByOne, 1001000000598}));

// A timer was done, for nothing, on the word of one of its batch. Without its mend
// (`handled-on-undurable`) no world is known to fail since the deciding thread commits.
TEST_F(Simulation, ATimerIsDoneOnWhatIsDurable) {
  auto now = run(8016);
  EXPECT_FALSE(now) << now->promise << ": " << now->what;
}

// A delay that was let go on by a resume while the end of its timer was not durable: the timer came
// again for a step that was under way.
TEST_F(Simulation, AFiredDelayIsDoneWithItsResume) {
  auto now = run(13580);
  EXPECT_FALSE(now) << now->promise << ": " << now->what;
}

// Several servers: packs that one had read before its own load came into force after it (the first
// three); and what was left by a crash for another server is none of the one that crashed.
TEST_F(Simulation, WorldsOfSeveralServersThatFailedBefore) {
  for (uint64_t seed : std::array<uint64_t, 4>{2000002901, 2000002413, 3000002899, 2000007058}) {
    auto now = run(seed);
    EXPECT_FALSE(now) << seed << ": " << now->promise << ": " << now->what;
  }
}

}  // namespace
}  // namespace millrace::sim
