// SPDX-License-Identifier: Apache-2.0
// What people do to a workflow: answer, cancel, pause, resolve, run again.
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

class WorkflowOperators : public Workflows {};

TEST_P(WorkflowOperators, AnInquiryHoldsUpItsBranchOnlyAndIsAnsweredOnce) {
  begin();
  auto row = begun("ci.approval");
  run_steps({"beside"});
  EXPECT_EQ(ran(row.id)["after_beside"], 1);
  auto asking = steps(row.id)[0].task == "ask" ? steps(row.id)[0] : steps(row.id)[1];
  EXPECT_EQ(asking.status, ExecutionStatus::Pending);
  auto wrong = answer(asking.id, Value::map({{"ok", "maybe"}}));
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), "EXE-0020");
  ASSERT_TRUE(answer(asking.id, Value::map({{"ok", true}})).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"ok", true}}));
  auto again = answer(asking.id, Value::map({{"ok", false}}));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind(), ErrorKind::Conflict);
}

TEST_P(WorkflowOperators, InOrquestaAnInquiryPausesTheWorkflowUntilItIsAnswered) {
  begin();
  auto row = begun("ci.orquesta_ask");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused);
  ASSERT_TRUE(answer(steps(row.id)[0].id, Value::map({{"ok", true}})).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(WorkflowOperators, AChainPausesForAQuestionAndGoesOnWithItsAnswer) {
  begin();
  auto row = begun("ci.chain_ask");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused);
  ASSERT_TRUE(answer(steps(row.id)[0].id, Value::map({{"ok", true}})).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(ran(row.id), (std::map<std::string, int>{{"ask", 1}, {"after", 1}}));
}

TEST_P(WorkflowOperators, AChainThatAsksIsCanceledWithItsQuestion) {
  begin();
  auto row = begun("ci.chain_ask");
  auto asking = steps(row.id)[0].id;
  ASSERT_TRUE(cancel(row.id).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Canceled) << shown(row.id);
  EXPECT_EQ(stored(asking).status, ExecutionStatus::Canceled);
  EXPECT_FALSE(answer(asking, Value::map()).ok());
}

TEST_P(WorkflowOperators, AFailureUndoesWhatWasDoneInReverseOrder) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"});
  run_steps({"ship"}, 1);
  run_steps({"refund"});
  run_steps({"unbook"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(WorkflowOperators, ACancelUndoesWhatWasDone) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  auto pay = take();
  auto canceled = cancel(row.id);
  ASSERT_TRUE(canceled.ok()) << canceled.error().describe();
  EXPECT_EQ(canceled->status, ExecutionStatus::Canceling);
  EXPECT_EQ(worker_.next_cancel(), pay.key);
  end(pay, 143);
  run_steps({"unbook"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Canceled) << shown(row.id);
  EXPECT_EQ(ran(row.id).count("ship"), 0U);
}

TEST_P(WorkflowOperators, ACompensationThatFailsWaitsForADecision) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"}, 1);
  run_steps({"unbook"}, 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::NeedsDecision) << shown(row.id);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Retry}, reply));
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  run_steps({"unbook"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(WorkflowOperators, AHeldTaskIsResolvedByAnOperator) {
  begin();
  auto row = begun("ci.hold");
  run_steps({"risky"}, 1);
  auto held = stored(row.id);
  EXPECT_EQ(held.status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(held.held.find("'risky'"), std::string::npos) << held.held;
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(
        kTester, row.id, {.kind = Resolution::Kind::Succeed, .result = Value(5)}, reply));
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"r", 5}}));
}

TEST_P(WorkflowOperators, APausedWorkflowStartsNothingUntilItIsResumed) {
  begin();
  auto row = begun("ci.parent");
  auto checkout = take();
  auto pausing = pause(row.id);
  ASSERT_TRUE(pausing.ok()) << pausing.error().describe();
  EXPECT_EQ(pausing->status, ExecutionStatus::Pausing);
  end(checkout);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  EXPECT_EQ(steps(row.id)[0].status, ExecutionStatus::Paused);
  auto resumed = resume(row.id);
  ASSERT_TRUE(resumed.ok()) << resumed.error().describe();
  run_steps({"build"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(WorkflowOperators, AWorkflowThatIsResumedWhileItsStepStillRunsGoesOnAtItsEnd) {
  begin();
  auto row = begun("ci.parent");
  auto checkout = take();
  ASSERT_TRUE(pause(row.id).ok());
  auto resumed = resume(row.id);
  ASSERT_TRUE(resumed.ok()) << resumed.error().describe();
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Running);
  end(checkout);
  run_steps({"build"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(WorkflowOperators, AnAnswerDoesNotResumeWhatAnOperatorHasPaused) {
  begin();
  auto row = begun("ci.approval");
  run_steps({"beside"});
  ASSERT_TRUE(pause(row.id).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  auto asking = steps(row.id)[0].task == "ask" ? steps(row.id)[0] : steps(row.id)[1];
  ASSERT_TRUE(answer(asking.id, Value::map({{"ok", true}})).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  EXPECT_EQ(ran(row.id).count("after"), 0U);
  ASSERT_TRUE(resume(row.id).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(ran(row.id)["after"], 1);
}

TEST_P(WorkflowOperators, AWorkflowBelowThatHasNothingLeftWhenItIsResumedTellsTheOneAbove) {
  begin();
  auto row = begun("ci.above_one");
  auto only = take();
  ASSERT_TRUE(pause(row.id).ok());
  end(only);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  ASSERT_TRUE(resume(row.id).ok());
  run_steps({"after"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(WorkflowOperators, AListOfWorkflowsIsPausedAndResumed) {
  begin();
  auto row = begun("ci.parents", Value::map({{"xs", ValueList{1, 2, 3}}}));
  auto first = take();
  auto second = take();
  ASSERT_TRUE(pause(row.id).ok());
  end(first);
  ASSERT_TRUE(resume(row.id).ok());
  end(second);
  for (int left = 4; left > 0; --left) end(take());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

// Found by the simulation, seed 11141.
TEST_P(WorkflowOperators, OneOfAListIsPausedAndThenCanceled) {
  begin();
  auto row = begun("ci.parents", Value::map({{"xs", ValueList{1, 2, 3}}}));
  auto first = take();
  auto second = take();
  ExecutionId paused = stored(first.key.execution).parent;
  end(first);
  first = take();
  ASSERT_TRUE(pause(paused).ok());
  end(second);
  end(take());
  auto third = take();
  end(first);
  end(third);
  third = take();
  end(third);
  EXPECT_EQ(stored(paused).status, ExecutionStatus::Paused) << shown(row.id);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  ASSERT_TRUE(cancel(paused).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Canceled) << shown(row.id);
}

TEST_P(WorkflowOperators, ARerunGoesOnFromWhereItFailed) {
  begin();
  auto row = begun("ci.sequence");
  end(take(), 0, "{\"n\": 9}");
  run_steps({"build"}, 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed);
  auto again = rerun(row.id);
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(again->original, row.id);
  run_steps({"build"});
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Succeeded) << shown(again->id);
  EXPECT_EQ(output(again->id), Value::map({{"n", 9}, {"first", 9}}));
  EXPECT_EQ(ran(again->id), (std::map<std::string, int>{{"build", 1}, {"report", 1}}));
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed);
}

TEST_P(WorkflowOperators, ARerunCanNameItsTasks) {
  begin();
  auto row = begun("ci.sequence");
  run_steps({"checkout"});
  run_steps({"build"});
  auto wrong = rerun(row.id, {.tasks = {"biuld"}});
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message().find("did you mean 'build'"), std::string::npos);
  auto again = rerun(row.id, {.tasks = {"build"}});
  ASSERT_TRUE(again.ok()) << again.error().describe();
  run_steps({"build"});
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Succeeded) << shown(again->id);
}

TEST_P(WorkflowOperators, ACancelWinsOnlyIfItWasCommittedFirst) {
  begin();
  auto row = begun("ci.sequence");
  run_steps({"checkout"});
  auto build = take();
  // Both in one batch: whoever comes first decides.
  Completion completion;
  completion.tenant = build.tenant;
  completion.key = build.key;
  held_.erase(build.key.execution);
  std::promise<void> done;
  auto canceled = await<ExecutionRow>([&](auto reply) {
    engine_->finished(session_, completion, [&] { done.set_value(); });
    engine_->submit(command::cancel(kTester, row.id, reply));
  });
  done.get_future().wait();
  settle();
  between();
  auto status = stored(row.id).status;
  if (canceled.ok()) {
    EXPECT_EQ(status, ExecutionStatus::Canceled) << shown(row.id);
  } else {
    EXPECT_EQ(canceled.error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(status, ExecutionStatus::Succeeded) << shown(row.id);
  }
  for (const auto& step : steps(row.id)) EXPECT_TRUE(is_final(step.status)) << step.task;
}

TEST_P(WorkflowOperators, AnInquiryIsAnsweredByThoseItIsPutToOnly) {
  begin();
  auto say = [&](ExecutionId id, std::string who, Answer said) {
    said.response = Value::map();
    return command<InquiryRow>([&](auto reply) {
      engine_->submit(command::answer({.tenant = kDefaultTenant, .identity = who},
                                      InquiryId{id.value}, said, reply));
    });
  };
  std::vector<std::pair<std::string, Answer>> allowed = {
      {"ada", {}}, {"bob", {.roles = {"dev", "sre"}}}, {"root", {.is_admin = true}}};
  for (const auto& [who, said] : allowed) {
    auto asking = steps(begun("ci.assigned").id)[0];
    auto refused = say(asking.id, "eve", {.roles = {"dev"}});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), "EXE-0021");
    EXPECT_TRUE(say(asking.id, who, said).ok()) << who;
  }
}

TEST_P(WorkflowOperators, ARerunReadsTheResultsOfBefore) {
  begin();
  auto row = begun("ci.reads");
  end(take(), 0, "{\"n\": 4}");
  run_steps({"second"}, 1);
  auto again = rerun(row.id);
  ASSERT_TRUE(again.ok()) << again.error().describe();
  auto second = take();
  EXPECT_EQ(second.parameters["branch"], Value("4"));
  end(second);
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Succeeded) << shown(again->id);
}

// The step that reads the result begins in the same decision as the rerun.
TEST_P(WorkflowOperators, ARerunReadsTheResultsOfBeforeInItsFirstDecision) {
  begin();
  auto row = begun("ci.reads_later");
  end(take(), 0, "{\"n\": 4}");
  run_steps({"third"}, 1);
  auto again = rerun(row.id, {.tasks = {"second"}});
  ASSERT_TRUE(again.ok()) << again.error().describe();
  auto third = take();
  EXPECT_EQ(third.parameters["branch"], Value("4"));
  end(third);
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Succeeded) << shown(again->id);
}

TEST_P(WorkflowOperators, ARerunOfWhatWasCanceledHasToNameItsTasks) {
  begin();
  auto row = begun("ci.sequence");
  auto checkout = take();
  ASSERT_TRUE(cancel(row.id).ok());
  worker_.next_cancel();
  end(checkout, 143);
  ASSERT_EQ(stored(row.id).status, ExecutionStatus::Canceled);
  auto again = rerun(row.id);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), "EXE-0022");
  auto named = rerun(row.id, {.tasks = {"checkout"}});
  ASSERT_TRUE(named.ok()) << named.error().describe();
  run_steps({"checkout"});
  run_steps({"build"});
  EXPECT_EQ(stored(named->id).status, ExecutionStatus::Succeeded) << shown(named->id);
}

TEST_P(WorkflowOperators, ASecondCancelLeavesTheCompensationAlone) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  auto pay = take();
  ASSERT_TRUE(cancel(row.id).ok());
  worker_.next_cancel();
  end(pay, 143);
  auto unbook = take();
  ASSERT_TRUE(cancel(row.id).ok());
  EXPECT_EQ(stored(unbook.key.execution).status, ExecutionStatus::Running);
  end(unbook);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Canceled) << shown(row.id);
  EXPECT_EQ(ran(row.id)["unbook"], 1);
}

TEST_P(WorkflowOperators, ACompensationThatAnOperatorGivesUpIsNotTriedAgain) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"}, 1);
  run_steps({"unbook"}, 1);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Fail}, reply));
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(WorkflowOperators, APausedWorkflowSaysByWhom) {
  begin();
  auto row = begun("ci.sequence");
  auto checkout = take();
  ASSERT_TRUE(pause(row.id).ok());
  end(checkout);
  auto paused = stored(row.id);
  EXPECT_EQ(paused.status, ExecutionStatus::Paused);
  EXPECT_NE(paused.held.find("paused by tester"), std::string::npos) << paused.held;
  ASSERT_TRUE(resume(row.id).ok());
  EXPECT_EQ(stored(row.id).held, "");
  run_steps({"build"});
}

TEST_P(WorkflowOperators, AStepThatIsHeldHidesNotWhoHasPaused) {
  begin();
  auto row = begun("ci.hold_beside");
  std::map<std::string, WorkOrder> orders;
  for (int i = 0; i < 2; ++i) {
    auto order = take();
    orders[task_of(order)] = order;
  }
  ASSERT_TRUE(pause(row.id).ok());
  end(orders["risky"], 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Pausing);
  EXPECT_NE(stored(row.id).held.find("paused by tester"), std::string::npos) << shown(row.id);
  end(orders["beside"]);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(stored(row.id).held.find("'risky'"), std::string::npos) << shown(row.id);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Succeed}, reply));
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  auto paused = stored(row.id);
  EXPECT_EQ(paused.status, ExecutionStatus::Paused);
  EXPECT_EQ(paused.held, fmt::format("paused: millrace execution resume {}", row.id.value));
  ASSERT_TRUE(resume(row.id).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(WorkflowOperators, ALoopOfPureStepsHoldsNobodyUpAndCanBeCanceled) {
  begin();
  auto row = run("ci.endless");
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->status, ExecutionStatus::Running);
  auto pure = run("ci.pure", Value::map({{"n", 1}}));
  ASSERT_TRUE(pure.ok());
  EXPECT_EQ(pure->status, ExecutionStatus::Succeeded);
  auto canceled = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::cancel(kTester, row->id, reply)); });
  ASSERT_TRUE(canceled.ok()) << canceled.error().describe();
  settle();
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Canceled);
}

INSTANTIATE_TEST_SUITE_P(, WorkflowOperators, ::testing::Values(false, true), [](const auto& info) {
  return info.param ? "RestartedBetweenSteps" : "AsItIs";
});

}  // namespace
}  // namespace millrace::engine
