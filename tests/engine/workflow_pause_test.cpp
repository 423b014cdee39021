// SPDX-License-Identifier: Apache-2.0
// A paused workflow starts nothing, on no way to a start: what waits is paused with it.
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

class WorkflowPause : public Workflows {
 protected:
  ExecutionStatus status(ExecutionId id) { return stored(id).status; }
  ExecutionRow step(ExecutionId workflow, std::string_view task) {
    for (const auto& row : steps(workflow)) {
      if (row.task == task) return row;
    }
    return {};
  }
  void must(Result<ExecutionRow> done, ExecutionStatus expected) {
    ASSERT_TRUE(done.ok()) << done.error().describe();
    EXPECT_EQ(done->status, expected) << to_string(done->status);
  }
};

TEST_P(WorkflowPause, ADelayedTaskStartsAfterTheResumeAtOnceWhenItsDelayIsOver) {
  begin();
  auto row = begun("ci.delayed");
  must(pause(row.id), Paused);
  EXPECT_EQ(status(step(row.id, "later").id), Paused);
  pass(60'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  must(resume(row.id), Running);
  run_steps({"later"});
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, TheRestOfItsDelayIsWaitedForAfterTheResume) {
  begin();
  auto row = begun("ci.delayed");
  must(pause(row.id), Paused);
  pass(10'000);
  must(resume(row.id), Running);
  EXPECT_EQ(status(step(row.id, "later").id), Delayed);
  pass(9'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(pause(row.id), Paused);
  must(resume(row.id), Running);
  pass(1'001);
  run_steps({"later"});
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, ARetryThatWaitsIsNotMade) {
  begin();
  auto row = begun("ci.retry");
  end(take(), 1);
  must(pause(row.id), Paused);
  pass(6'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused);
  must(resume(row.id), Running);
  end(take(), 0);
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, ARetryOfWhatFailsWhileItPausesIsMadeAfterTheResume) {
  begin();
  auto row = begun("ci.retry");
  auto first = take();
  must(pause(row.id), Pausing);
  end(first, 1);
  pass(6'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused);
  must(resume(row.id), Running);
  pass(5'001);
  end(take(), 0);
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, WhatWaitsForASlotLeavesTheQueue) {
  begin(1);
  auto row = begun("ci.fork");
  auto first = take();
  must(pause(row.id), Pausing);
  EXPECT_EQ(count("queue"), 0);
  end(first);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  must(resume(row.id), Running);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, WhatWaitsForASlotIsPausedAtOnceWhenAnotherHasTheSlot) {
  begin(1);
  auto other = run("ci.check");
  ASSERT_TRUE(other.ok());
  auto busy = take();
  auto row = begun("ci.fork");
  must(pause(row.id), Paused);
  end(busy);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(resume(row.id), Running);
  end(take());
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, ItemsBelowTheirConcurrencyDoNotStart) {
  begin(1);
  auto row = begun("ci.items", Value::map({{"xs", ValueList{1, 2, 3}}}));
  auto first = take();
  must(pause(row.id), Pausing);
  end(first, 0, "{\"n\": 1}");
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  EXPECT_EQ(steps(row.id).size(), 2U);
  must(resume(row.id), Running);
  end(take());
  end(take());
  EXPECT_EQ(output(row.id), Value::map({{"all", ValueList{1, 1, 1}}})) << shown(row.id);
}

TEST_P(WorkflowPause, DelayedItemsArePausedAndResumed) {
  begin();
  auto row = begun("ci.delayed_items");
  auto beside = take();
  must(pause(row.id), Pausing);
  end(beside);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  pass(21'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(resume(row.id), Running);
  end(take());
  end(take());
  pass(21'000);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, AnItemThatIsHeldBackWhenItsTaskFailsNeverStarts) {
  begin(1);
  auto row = begun("ci.some_items");
  auto first = take();
  must(pause(row.id), Pausing);
  end(first, 1);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), NeedsDecision) << shown(row.id);
  ASSERT_TRUE(cancel(row.id).ok());
  EXPECT_EQ(status(row.id), Canceled) << shown(row.id);
}

TEST_P(WorkflowPause, ItemsThatWereHeldBackRunWhenTheirTaskIsTriedAgain) {
  begin(1);
  auto row = begun("ci.some_items");
  auto first = take();
  must(pause(row.id), Pausing);
  end(first, 1);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Retry}, reply));
  });
  must(resolved, Paused);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(resume(row.id), Running);
  for (int i = 0; i < 3; ++i) end(take());
  EXPECT_EQ(output(row.id), Value::map({{"all", ValueList{1, 1, 1}}})) << shown(row.id);
}

TEST_P(WorkflowPause, WhatIsHeldForADecisionDoesNotKeepItPausing) {
  begin();
  auto row = begun("ci.hold");
  auto risky = take();
  must(pause(row.id), Pausing);
  end(risky, 1);
  EXPECT_EQ(status(row.id), NeedsDecision) << shown(row.id);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Retry}, reply));
  });
  must(resolved, Paused);
  must(resume(row.id), Running);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, AnItemIsNotStartedForATaskThatHasFailedWithoutIt) {
  begin();
  auto row = begun("ci.delayed_items");
  auto beside = take();
  pass(21'000);
  auto first = take();
  auto second = take();
  end(first);
  end(second, 1);
  must(pause(row.id), Pausing);
  pass(21'000);
  end(beside);
  must(resume(row.id), Succeeded);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(ran(row.id)["after"], 1);
}

TEST_P(WorkflowPause, ADelayedStepOfAWorkflowBelowIsPausedWithTheOneAbove) {
  begin();
  auto row = begun("ci.above_delayed");
  auto below = step(row.id, "below").id;
  must(pause(row.id), Paused);
  EXPECT_EQ(status(below), Paused);
  EXPECT_EQ(status(step(below, "later").id), Paused);
  pass(21'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(resume(row.id), Running);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, TheWorkflowBelowCanBeResumedAlone) {
  begin();
  auto row = begun("ci.above_delayed");
  auto below = step(row.id, "below").id;
  must(pause(row.id), Paused);
  pass(21'000);
  must(resume(below), Running);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, AWorkflowBelowThatHasNotBegunBeginsAfterTheResume) {
  begin();
  auto row = begun("ci.below_later");
  must(pause(row.id), Paused);
  pass(21'000);
  EXPECT_TRUE(steps(step(row.id, "below").id).empty());
  must(resume(row.id), Running);
  pass(21'000);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, ALostRunIsNotRunAgainBeforeTheResume) {
  begin();
  auto row = begun("ci.retry");
  auto order = take();
  held_.clear();
  must(pause(row.id), Pausing);
  worker_.forget();
  open_worker(4, "s2");  // the spawner has gone as well
  settle();
  between();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(order.key.execution), Paused);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  must(resume(row.id), Running);
  end(take());
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, WhatAnOperatorLetsRunAgainWaitsForTheResume) {
  begin();
  auto row = begun("ci.delayed_items");
  auto build = take();
  held_.clear();
  worker_.forget();
  open_worker(4, "s2");
  settle();
  ASSERT_EQ(status(build.key.execution), NeedsDecision);
  must(pause(row.id), Pausing);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(
        command::resolve(kTester, build.key.execution, {.kind = Resolution::Kind::Retry}, reply));
  });
  must(resolved, Paused);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  must(resume(row.id), Running);
  run_steps({"beside"});
  ASSERT_TRUE(cancel(row.id).ok());
}

TEST_P(WorkflowPause, AQuestionInOrquestaHoldsBackWhatWaits) {
  begin();
  auto row = begun("ci.orquesta_ask_beside");
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  pass(21'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  ASSERT_TRUE(answer(step(row.id, "ask").id, Value::map({{"ok", true}})).ok());
  settle();
  run_steps({"later"});
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, AnAnswerInOrquestaDoesNotResumeWhatAnOperatorHasPaused) {
  begin();
  auto row = begun("ci.orquesta_ask_beside");
  must(pause(row.id), Paused);
  ASSERT_TRUE(answer(step(row.id, "ask").id, Value::map({{"ok", true}})).ok());
  settle();
  pass(21'000);
  EXPECT_EQ(status(row.id), Paused) << shown(row.id);
  EXPECT_EQ(ran(row.id).count("after"), 0U);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  must(resume(row.id), Running);
  run_steps({"later"});
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
}

TEST_P(WorkflowPause, WhatIsHeldBackEndsWithACancel) {
  begin();
  auto row = begun("ci.above_delayed");
  must(pause(row.id), Paused);
  must(cancel(row.id), Canceled);
  auto below = step(row.id, "below").id;
  EXPECT_EQ(status(step(below, "later").id), Canceled);
  pass(21'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

INSTANTIATE_TEST_SUITE_P(, WorkflowPause, ::testing::Values(false, true), [](const auto& info) {
  return info.param ? "RestartedBetweenSteps" : "AsItIs";
});

}  // namespace
}  // namespace millrace::engine
