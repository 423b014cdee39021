// SPDX-License-Identifier: Apache-2.0
// How the steps of a workflow follow each other.
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

TEST_P(Workflows, PureStepsEndInTheCommitThatStartsThem) {
  begin();
  int64_t before = engine_->stats().commits;
  auto row = run("ci.pure", Value::map({{"n", 41}}));
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(engine_->stats().commits, before + 1);
  EXPECT_EQ(row->status, ExecutionStatus::Succeeded) << shown(row->id);
  EXPECT_EQ(output(row->id), Value::map({{"b", 42}}));
  EXPECT_EQ(ran(row->id), (std::map<std::string, int>{{"one", 1}, {"two", 1}, {"three", 1}}));
}

TEST_P(Workflows, TheOutputIsHeldAgainstWhatItsActionDeclares) {
  begin();
  EXPECT_EQ(begun("ci.declares", Value::map({{"n", 41}})).status, ExecutionStatus::Succeeded);
  auto row = stored(begun("ci.declares", Value::map({{"n", 0.5}})).id);
  EXPECT_EQ(row.status, ExecutionStatus::Failed) << shown(row.id);
  EXPECT_EQ(row.failure, FailureClass::UserError);
  EXPECT_EQ(output(row.id), Value::map({{"b", 1.5}}));
  auto fault =
      "the output is not what the output_schema of 'ci.declares' says: /b: expected "
      "integer, found number";
  EXPECT_TRUE(row.result_json.contains(fault)) << row.result_json;
}

TEST_P(Workflows, EachRunCostsOneCommitAndTheNextIsGrantedInIt) {
  begin();
  auto row = begun("ci.sequence");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Running);
  auto checkout = take();
  EXPECT_EQ(task_of(checkout), "checkout");
  int64_t before = engine_->stats().commits;
  held_.erase(checkout.key.execution);
  finish(checkout, 0, "{\"n\": 7}");
  EXPECT_EQ(engine_->stats().commits, before + 1);
  auto build = take();
  EXPECT_EQ(task_of(build), "build");
  between();
  end(build);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"n", 7}, {"first", 7}}));
  EXPECT_EQ(ran(row.id),
            (std::map<std::string, int>{{"checkout", 1}, {"build", 1}, {"report", 1}}));
}

TEST_P(Workflows, BranchesRunBesideEachOtherAndJoin) {
  begin();
  auto row = begun("ci.fork");
  run_steps({"left", "right"});
  EXPECT_EQ(output(row.id), Value::map({{"sum", 3}})) << shown(row.id);
}

TEST_P(Workflows, ItemsRunAsManyAtOnceAsAllowed) {
  begin();
  auto row = begun("ci.items", Value::map({{"xs", ValueList{1, 2, 3, 4, 5}}}));
  auto first = take();
  auto second = take();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  end(second, 0, "{\"n\": 2}");
  auto third = take();
  end(first, 0, "{\"n\": 1}");
  auto fourth = take();
  end(fourth, 0, "{\"n\": 4}");
  end(third, 0, "{\"n\": 3}");
  end(take(), 0, "{\"n\": 5}");
  EXPECT_EQ(output(row.id), Value::map({{"all", ValueList{1, 2, 3, 4, 5}}})) << shown(row.id);
}

TEST_P(Workflows, ATransitionThatIsTooDearForOneDecisionFailsItsWorkflowAlone) {
  begin();
  auto row = run("ci.dear_publish");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  settle();
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Failed);
  EXPECT_NE(shown(row->id).find("took more than 2000000 steps together"), std::string::npos)
      << shown(row->id);
  auto pure = run("ci.pure", Value::map({{"n", 1}}));
  ASSERT_TRUE(pure.ok());
  EXPECT_EQ(pure->status, ExecutionStatus::Succeeded);
}

// What is much in sum goes on in the next decision.
TEST_P(Workflows, ManyDearStepsAreSpreadOverDecisions) {
  begin();
  for (const char* ref : {"ci.dear_chain", "ci.dear_starts", "ci.dear_items", "ci.dear_begins"}) {
    int64_t before = engine_->stats().commits;
    auto row = run(ref);
    ASSERT_TRUE(row.ok()) << row.error().describe();
    settle();
    EXPECT_EQ(stored(row->id).status, ExecutionStatus::Succeeded) << shown(row->id);
    EXPECT_GE(engine_->stats().commits, before + 2) << ref;
  }
}

TEST_P(Workflows, ARetryWaitsForItsDelay) {
  begin();
  auto row = begun("ci.retry");
  end(take(), 1);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(steps(row.id).back().status, ExecutionStatus::Delayed);
  pass(5001);
  end(take(), 1);
  pass(5001);
  end(take(), 0);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"done", true}}));
}

TEST_P(Workflows, ACycleRunsUntilItsConditionEnds) {
  begin();
  auto row = begun("ci.cycle");
  for (int i = 0; i < 3; ++i) run_steps({"turn2"});
  EXPECT_EQ(output(row.id), Value::map({{"i", 3}})) << shown(row.id);
}

TEST_P(Workflows, AWorkflowBelowTellsTheOneAbove) {
  begin();
  auto row = begun("ci.parent");
  run_steps({"checkout"});
  run_steps({"build"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"n", 1}}));
}

TEST_P(Workflows, AnActionChainRunsOnTheSameGraph) {
  begin();
  auto row = begun("ci.chain");
  auto c1 = take();
  EXPECT_EQ(c1.parameters["branch"], Value("7"));  // cast to what the action declares
  end(c1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(ran(row.id), (std::map<std::string, int>{{"c1", 1}, {"c2", 1}}));
}

TEST_P(Workflows, ATasksTimeoutIsSeenByItsTransitions) {
  begin();
  auto row = begun("ci.timeout");
  pass(10'001);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"late", true}}));
}

TEST_P(Workflows, AWorkflowThatTakesTooLongIsEnded) {
  begin();
  auto started = await<ExecutionRow>([&](auto reply) {
    NewExecution request;
    request.action = "ci.parent";
    request.timeout_ms = 60'000;
    engine_->submit(command::run(kTester, std::move(request), reply));
  });
  ASSERT_TRUE(started.ok());
  auto checkout = take();
  between();
  pass(60'001);
  EXPECT_EQ(worker_.next_cancel(), checkout.key);
  end(checkout, 143);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Timeout) << shown(started->id);
}

TEST_P(Workflows, AWorkflowWhoseLastStepEndsAfterItsTimeHasTimedOutThoughItsTimerHasNotRun) {
  begin();
  auto started = await<ExecutionRow>([&](auto reply) {
    NewExecution request;
    request.action = "ci.one";
    request.timeout_ms = 60'000;
    engine_->submit(command::run(kTester, std::move(request), reply));
  });
  ASSERT_TRUE(started.ok());
  auto only = take();
  tick(60'001);  // nobody has woken the engine
  finish(only, 0);
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Timeout) << shown(started->id);
}

TEST_P(Workflows, AnItemThatCannotStartDoesNotEndItsTaskBeforeTheOthersRun) {
  begin();
  auto item = [](const char* name, const char* value) { return Value::map({{name, value}}); };
  ValueList items{item("nix", "1"), item("branch", "main"), item("branch", "next")};
  auto row = begun("ci.bad_items", Value::map({{"xs", items}}));
  run_steps({"each", "each"});
  EXPECT_EQ(ran(row.id)["cleanup"], 1) << shown(row.id);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(Workflows, AnItemThatRunsAgainKeepsTheResultsOfTheOthers) {
  begin();
  auto row = begun("ci.some_items");
  std::vector<WorkOrder> orders;
  for (int i = 0; i < 3; ++i) orders.push_back(take());
  std::ranges::sort(orders, {}, [](const auto& order) { return order.key.execution; });
  end(orders[0], 1);
  end(orders[1], 0, "{\"n\": 2}");
  end(orders[2], 0, "{\"n\": 3}");
  ASSERT_EQ(stored(row.id).status, ExecutionStatus::NeedsDecision) << shown(row.id);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->submit(command::resolve(kTester, row.id, {.kind = Resolution::Kind::Retry}, reply));
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  end(take(), 0, "{\"n\": 1}");
  EXPECT_EQ(output(row.id), Value::map({{"all", ValueList{1, 2, 3}}})) << shown(row.id);
}

TEST_P(Workflows, AConductorThatCannotBeginEndsItsWorkflowOnly) {
  begin();
  auto alone = begun("ci.bad_retry", Value::map({{"n", "some"}}));
  EXPECT_EQ(stored(alone.id).status, ExecutionStatus::Failed) << shown(alone.id);
  auto row = begun("ci.above_bad_retry");
  run_steps({"before"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(ran(row.id)["after"], 1);
}

TEST_P(Workflows, AMistakeInTheFileEndsTheRunWithItsLine) {
  begin();
  auto row = begun("ci.misspelt");
  auto ended = stored(row.id);
  EXPECT_EQ(ended.status, ExecutionStatus::Failed);
  EXPECT_NE(ended.result_json.find("bb"), std::string::npos) << ended.result_json;
}

// The reference evaluates what is given; in native mode it is data.
TEST_P(Workflows, AnInputThatCannotBeRenderedEndsTheRunAndSaysWhy) {
  begin();
  auto row = begun("ci.orquesta_bad_input", Value::map({{"n", "<% 1 / 0 %>"}}));
  auto ended = stored(row.id);
  EXPECT_EQ(ended.status, ExecutionStatus::Failed);
  EXPECT_NE(ended.result_json.find("zero"), std::string::npos) << ended.result_json;
}

TEST_P(Workflows, AStepThatCannotStartFailsWithItsReason) {
  begin();
  auto row = begun("ci.unknown_action");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_NE(to_json(output(row.id)).find("did you mean 'ci.build'"), std::string::npos)
      << shown(row.id);
}

TEST_P(Workflows, TenLevelsAreTheDeepest) {
  begin();
  auto row = begun("ci.self");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed);
  int depth = 0;
  for (auto below = steps(row.id); !below.empty(); below = steps(below[0].id)) ++depth;
  EXPECT_EQ(depth, 11);
}

TEST_P(Workflows, ARunningWorkflowKeepsTheDefinitionItStartedWith) {
  begin();
  auto row = begun("ci.sequence");
  auto checkout = take();
  auto changed = std::make_shared<Pack>(*workflow_pack("d2"));
  for (auto& action : changed->actions) {
    if (action.ref == "ci.sequence") action.workflow = workflow("ci.x", kFork).workflow;
  }
  auto loaded = await<int>([&](auto reply) {
    engine_->submit(command::load_packs({.tenant = kDefaultTenant},
                                        {.own = {changed}, .retired = {}, .missing = {}}, reply));
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  held_.erase(checkout.key.execution);
  finish(checkout, 0);
  auto build = take();
  EXPECT_EQ(task_of(build), "build");
  held_.erase(build.key.execution);
  finish(build, 0);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

INSTANTIATE_TEST_SUITE_P(, Workflows, ::testing::Values(false, true), [](const auto& info) {
  return info.param ? "RestartedBetweenSteps" : "AsItIs";
});

}  // namespace
}  // namespace millrace::engine
