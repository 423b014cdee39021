// SPDX-License-Identifier: Apache-2.0
//
// The server's side of the port to workers: sessions, and runs whose environment is built first.
#include "harness.h"

namespace millrace::engine {
namespace {

class Sessions : public EngineTest {
 protected:
  bool prepared(const RunKey& run) {
    std::promise<bool> answer;
    auto future = answer.get_future();
    engine_->prepared(session_, kDefaultTenant, run, [&](bool go) { answer.set_value(go); });
    return future.get();
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return await<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::cancel({.identity = "tester"}, id, reply)); });
  }
  bool renewed(SessionId session) {
    std::promise<Result<void>> answer;
    auto future = answer.get_future();
    engine_->renew(session, [&](Result<void> result) { answer.set_value(std::move(result)); });
    return future.get().ok();
  }
};

TEST_F(Sessions, ANewSessionEndsTheOneBefore) {
  open_worker(1);
  SessionId first = session_;
  EXPECT_TRUE(renewed(first));
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  open_worker(1, "s1", {order.key});
  EXPECT_NE(session_, first);
  EXPECT_FALSE(renewed(first));
  EXPECT_TRUE(renewed(session_));

  // What the old one says is not heard, and the worker is not told to forget it.
  bool done = false;
  Completion completion;
  completion.tenant = order.tenant;
  completion.key = order.key;
  engine_->finished(first, completion, [&] { done = true; });
  engine_->close(first);
  settle();
  EXPECT_FALSE(done);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Running);
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Sessions, AClosedSessionIsGivenNothing) {
  open_worker(1);
  engine_->close(session_);
  ASSERT_TRUE(run("ci.build").ok());
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

TEST_F(Sessions, AnAdoptedRunOfSomebodyElseIsToldToEnd) {
  RunKey stale{ExecutionId(77), 1, 1};
  open_worker(1, "s1", {stale});
  EXPECT_EQ(worker_.next_cancel(), stale);
}

TEST_F(Sessions, ARunThatIsPreparedIsScheduledAndSaysWhatIsBuilt) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->preparing(session_, kDefaultTenant, order.key, "environment of pack 'ci'");
  settle();
  auto row = stored(started->id);
  EXPECT_EQ(row.status, ExecutionStatus::Scheduled);
  EXPECT_EQ(row.held, "its worker is building: environment of pack 'ci'");
  EXPECT_EQ(row.started, 0);

  tick(120'000);
  EXPECT_TRUE(prepared(order.key));
  row = stored(started->id);  // durable before the answer (K7)
  EXPECT_EQ(row.status, ExecutionStatus::Running);
  EXPECT_EQ(row.started, now_ms_);
  EXPECT_EQ(row.held, "");
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Sessions, ACanceledRunDoesNotBeginWhenItsEnvironmentIsThere) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->preparing(session_, kDefaultTenant, order.key, "environment of pack 'ci'");
  settle();
  ASSERT_TRUE(cancel(started->id).ok());
  EXPECT_EQ(worker_.next_cancel(), order.key);
  EXPECT_FALSE(prepared(order.key));
  RunKey older = order.key;
  older.epoch -= 1;
  EXPECT_FALSE(prepared(older));
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Canceled);
}

// Nothing of it has happened: no question to a person although its effects are at most once.
TEST_F(Sessions, ARunThatWasBeingPreparedWhenItsWorkerDiedStartsAgain) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->preparing(session_, kDefaultTenant, order.key, "environment of pack 'ci'");
  settle();
  open_worker(1, "another spawner");
  WorkOrder again = worker_.next();
  EXPECT_EQ(again.key.execution, started->id);
  EXPECT_EQ(again.key.attempt, 1);
  EXPECT_GT(again.key.epoch, order.key.epoch);
  EXPECT_FALSE(prepared(order.key));
  finish(again, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Sessions, ARunThatWasBeingPreparedWhenItsWorkerWasLostStartsAgain) {
  options_.session_ttl_ms = 30'000;
  engine_.reset();
  start();
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->preparing(session_, kDefaultTenant, order.key, "an environment");
  settle();
  tick(31'000);
  settle();
  auto row = stored(started->id);
  EXPECT_EQ(row.status, ExecutionStatus::Requested) << row.held;
  EXPECT_EQ(row.attempt, 1);
}

TEST_F(Sessions, OneThatIsNotRenewedIsOverAndItsRunsAreLost) {
  engine_.reset();
  options_.session_ttl_ms = 30'000;
  start();
  open_worker(2);
  auto again = run("ci.check");  // may run again
  auto once = run("ci.build");
  worker_.next();
  worker_.next();
  tick(20'000);
  EXPECT_TRUE(renewed(session_));
  tick(20'000);
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Running);
  tick(31'000);
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(again->id).attempt, 2);
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::NeedsDecision);
  // It comes back: what waits is given to it.
  open_worker(2);
  EXPECT_EQ(worker_.next().key, stored(again->id).key());
}

}  // namespace
}  // namespace millrace::engine
