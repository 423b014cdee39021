// SPDX-License-Identifier: Apache-2.0
// B5: a release that is not there holds what is pinned to it, and lets it go on when it is back.
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

class Releases : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override { return {core_pack(), current_}; }

  // The server starts again with another release of the pack; `old` is found, or missed.
  void restart_with_next(bool old_is_there) {
    engine_.reset();
    worker_.forget();
    auto old = workflow_pack("d1");
    current_ = workflow_pack("d2");
    retired_.clear();
    missing_.clear();
    if (old_is_there) {
      retired_.push_back(old);
    } else {
      missing_.push_back({.tenant = kDefaultTenant, .pack = "ci", .version = "", .digest = "d1"});
    }
    start();
    settle();
  }
  Result<InquiryRow> answer(ExecutionId id, Value response) {
    return await<InquiryRow>([&](auto reply) {
      engine_->submit(command::answer(kTester, InquiryId{id.value}, {response}, reply));
    });
  }
  ExecutionRow step(ExecutionId workflow, const std::string& task) {
    auto reader = store_->open_reader();
    for (const auto& row : *store::children_of(**reader, kDefaultTenant, workflow)) {
      if (row.task == task) return row;
    }
    return {};
  }

  std::shared_ptr<const Pack> current_ = workflow_pack("d1");
};

TEST_F(Releases, AWorkflowWhoseReleaseIsGoneIsHeldAndGoesOnWhenItIsBack) {
  open_worker(1);
  auto started = run("ci.approval");
  WorkOrder beside = worker_.next();
  finish(beside, 0);
  restart_with_next(false);
  auto held = stored(started->id);
  EXPECT_EQ(held.status, ExecutionStatus::NeedsDecision);
  EXPECT_EQ(held.failure, FailureClass::NoRelease);
  EXPECT_NE(held.held.find("d1"), std::string::npos) << held.held;
  // What happens meanwhile is not lost.
  ASSERT_TRUE(answer(step(started->id, "ask").id, Value::map({{"ok", true}})).ok());
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
  restart_with_next(true);
  auto after = stored(started->id);
  EXPECT_EQ(after.status, ExecutionStatus::Succeeded) << after.held;
  EXPECT_EQ((*parse_json(after.result_json))["output"]["ok"], Value(true));
}

TEST_F(Releases, WhatWaitsForASlotIsHeldTooAndRunsWhenItIsBack) {
  auto waiting = run("ci.build");
  restart_with_next(false);
  EXPECT_EQ(stored(waiting->id).failure, FailureClass::NoRelease);
  open_worker(1);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  restart_with_next(true);
  open_worker(1);
  WorkOrder order = worker_.next();
  EXPECT_EQ(order.key.execution, waiting->id);
  EXPECT_EQ(order.key.attempt, 1);
  finish(order, 0);
  EXPECT_EQ(stored(waiting->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Releases, AReloadBringsItBackWithoutARestart) {
  auto started = run("ci.approval");
  restart_with_next(false);
  ASSERT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
  missing_.clear();
  retired_.push_back(workflow_pack("d1"));
  auto loaded = await<int>([&](Reply<int> reply) {
    engine_->submit(command::load_packs({.tenant = kDefaultTenant}, pack_set(packs()), reply));
  });
  ASSERT_TRUE(loaded.ok());
  settle();
  auto back = stored(started->id);
  EXPECT_EQ(back.status, ExecutionStatus::Running) << back.held;
  EXPECT_EQ(back.failure, FailureClass::None);
}

// It was paused when its release went, and is resumed before it is found to be able to go on.
TEST_F(Releases, APausedOneThatIsResumedAtOnceStartsWhatWaits) {
  open_worker(1);
  auto started = run("ci.delayed");
  auto paused = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::pause(kTester, started->id, reply)); });
  ASSERT_EQ(paused->status, ExecutionStatus::Paused);
  plant(fmt::format("UPDATE execution SET status = {}, failure = {} WHERE id = {}",
                    static_cast<int>(ExecutionStatus::NeedsDecision),
                    static_cast<int>(FailureClass::NoRelease), started->id.value));
  auto resumed = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::resume(kTester, started->id, reply)); });
  ASSERT_EQ(resumed->status, ExecutionStatus::Running);
  EXPECT_EQ(step(started->id, "later").status, ExecutionStatus::Delayed);
}

// It was on its way into a pause when its release went, and its step was lost and held back after
// that: told of it, it is paused.
TEST_F(Releases, OneThatWasPausingHearsThatItsStepIsHeldBack) {
  open_worker(1);
  auto started = run("ci.one");
  auto pausing = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::pause(kTester, started->id, reply)); });
  ASSERT_EQ(pausing->status, ExecutionStatus::Pausing);
  auto only = step(started->id, "only");
  engine_.reset();
  worker_.forget();
  plant(fmt::format("UPDATE execution SET status = {}, failure = {} WHERE id = {}",
                    static_cast<int>(ExecutionStatus::NeedsDecision),
                    static_cast<int>(FailureClass::NoRelease), started->id.value));
  plant(fmt::format("UPDATE execution SET status = {}, worker = 0, started = 0 WHERE id = {}",
                    static_cast<int>(ExecutionStatus::Paused), only.id.value));
  start();
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Paused);
  auto resumed = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::resume(kTester, started->id, reply)); });
  ASSERT_EQ(resumed->status, ExecutionStatus::Running);
  EXPECT_EQ(stored(only.id).status, ExecutionStatus::Requested);
}

// The release is there, but its workflow was written for another version: it stays held, and nobody
// looks again and again.
TEST_F(Releases, OneThatDoesNotCompileAnyMoreStaysHeldAndIsLookedAtOnce) {
  auto started = run("ci.approval");
  restart_with_next(false);
  ASSERT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
  auto old = std::make_shared<Pack>(*workflow_pack("d1"));
  std::erase_if(old->actions, [](const Action& action) { return action.ref == "ci.approval"; });
  old->actions.push_back(workflow("ci.approval", "tasks: {ask: {nonsense: true}}"));
  missing_.clear();
  retired_.push_back(old);
  engine_.reset();
  worker_.forget();
  start();
  settle();
  auto row = stored(started->id);
  EXPECT_EQ(row.status, ExecutionStatus::NeedsDecision) << row.held;
  EXPECT_NE(row.held.find("nonsense"), std::string::npos) << row.held;
}

TEST_F(Releases, WhatIsBeingCanceledDoesNotWaitForTheRelease) {
  open_worker(1);
  auto started = run("ci.sequence");
  WorkOrder checkout = worker_.next();
  ASSERT_TRUE(await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
                engine_->submit(command::cancel(kTester, started->id, reply));
              }).ok());
  ASSERT_EQ(stored(started->id).status, ExecutionStatus::Canceling);
  restart_with_next(false);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Canceling) << stored(started->id).held;
  open_worker(1);
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Canceled) << stored(started->id).held;
}

// Its time is over while it is held: it ends by that once it can undo what it did.
TEST_F(Releases, ATimeoutIsNotForgottenWhileTheReleaseIsGone) {
  open_worker(1);
  auto started = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    NewExecution request{.action = "ci.approval"};
    request.timeout_ms = 600'000;
    engine_->submit(command::run(kTester, std::move(request), std::move(reply)));
  });
  ASSERT_TRUE(started.ok());
  finish(worker_.next(), 0);
  restart_with_next(false);
  tick(700'000);
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
  restart_with_next(true);
  for (int minute = 0; minute < 3; ++minute) {
    tick(60'000);
    settle();
  }
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Timeout) << stored(started->id).held;
}

// More than one look takes: those that stay held hide nobody behind them.
TEST_F(Releases, ManyThatStayHeldHideNobody) {
  auto started = run("ci.approval");
  restart_with_next(false);
  ASSERT_EQ(stored(started->id).failure, FailureClass::NoRelease);
  auto waiting = run("ci.build");
  engine_.reset();
  auto writer = store_->open_writer();
  auto copy = [&](const std::string& from, const std::string& set) {
    auto done = (*writer)->run(from + set);
    ASSERT_TRUE(done.ok()) << done.error().describe();
  };
  std::string numbers =
      "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 600) SELECT n "
      "FROM c) AS numbers";
  std::string id = std::to_string(started->id.value);
  // Before it in the order of ids, and of an action that nobody can start.
  copy("INSERT INTO execution SELECT " + id +
           " - n, tenant, shard, 'ci.gone', pack_release, status, "
           "failure, effect_class, priority, attempt, epoch, 0, 0, root, enforcement, original, "
           "0, created, updated, started, ended, version, requested_by, trace, held, parameters, "
           "defaults, env, needs, "
           "result, result_size, '', 0, -1, '', 0 FROM execution, " +
           numbers,
       " WHERE id = " + id);
  worker_.forget();
  retired_.push_back(workflow_pack("d1"));
  missing_.clear();
  start();
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Running) << stored(started->id).held;
  EXPECT_TRUE(waiting.ok());
}

TEST_F(Releases, WhatIsHeldCanBeEndedByAnOperator) {
  auto started = run("ci.approval");
  restart_with_next(false);
  auto resolve = [&](Resolution::Kind kind) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(command::resolve(kTester, started->id, {.kind = kind}, reply));
    });
  };
  auto retried = resolve(Resolution::Kind::Retry);
  ASSERT_FALSE(retried.ok());
  EXPECT_EQ(retried.error().code(), "EXE-0025");
  ASSERT_TRUE(resolve(Resolution::Kind::Abandon).ok());
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Abandoned);
  EXPECT_TRUE(is_final(step(started->id, "ask").status));
}

}  // namespace
}  // namespace millrace::engine
