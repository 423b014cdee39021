// SPDX-License-Identifier: Apache-2.0
//
// The server's side of the port to workers: sessions, and runs whose environment is built first.
#include "harness.h"

namespace millrace::engine {
namespace {

class Sessions : public EngineTest {
 protected:
  // Its lease of 30 s is over, and 10 s more: its runs are given up.
  void lose_worker() {
    for (int64_t ms : {31'000, 10'000}) {
      tick(ms);
      ASSERT_TRUE(run("core.noop").ok());
      settle();
    }
  }
  bool prepared(const RunKey& run) {
    std::promise<bool> answer;
    auto future = answer.get_future();
    engine_->prepared(session_, kDefaultTenant, run, [&](bool go) { answer.set_value(go); });
    return future.get();
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return await<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::cancel(kTester, id, reply)); });
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

TEST_F(Sessions, TheIdOfOneDoesNotComeAgainThoughTheClockGoesBack) {
  for (int i = 0; i < 20; ++i) open_worker(1);
  SessionId before = session_;
  engine_.reset();
  worker_.forget();
  now_ms_ -= 60'000;
  start();
  open_worker(1);
  EXPECT_GT(session_, before);
}

TEST_F(Sessions, AClosedSessionIsGivenNothing) {
  open_worker(1);
  engine_->close(session_);
  auto started = run("ci.build");
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Requested);
  open_worker(1);
  EXPECT_EQ(worker_.next().key.execution, started->id);
}

// The server stops, and the spawner keeps what runs for the next one.
TEST_F(Sessions, WithoutALeaseAClosedSessionHandsItsRunsOver) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->close(session_);
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Running);
  open_worker(1, "s1", {order.key});
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Sessions, WithALeaseWhatAClosedSessionRanIsDecidedAtOnce) {
  elsewhere_ = true;
  open_worker(2);
  auto again = run("ci.check");  // may run again
  auto once = run("ci.build");
  engine_->close(session_);
  settle();
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(again->id).attempt, 2);
  auto held = stored(once->id);
  EXPECT_EQ(held.status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(held.held.find("its worker has closed its session"), std::string::npos) << held.held;
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

// The same when its worker has not renewed.
TEST_F(Sessions, ARunThatWasBeingPreparedWhenItsWorkerWasLostStartsAgain) {
  elsewhere_ = true;
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  engine_->preparing(session_, kDefaultTenant, order.key, "environment of pack 'ci'");
  settle();
  lose_worker();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(started->id).attempt, 1);
}

// It would go on working with a lease that it has no more.
TEST_F(Sessions, AWorkerThatIsLostHearsItWhenItRenews) {
  elsewhere_ = true;
  open_worker(1);
  EXPECT_TRUE(renewed(session_));
  auto started = run("ci.check");
  WorkOrder order = worker_.next();
  lose_worker();
  EXPECT_FALSE(renewed(session_));
  // Nor is anything heard that it says.
  Completion completion;
  completion.tenant = order.tenant;
  completion.key = order.key;
  bool done = false;
  engine_->finished(session_, completion, [&] { done = true; });
  settle();
  EXPECT_FALSE(done);
  // It opens another one, and is told to end what somebody else may run by now.
  open_worker(1, "s1", {order.key});
  EXPECT_EQ(worker_.next_cancel(), order.key);
  EXPECT_EQ(worker_.next().key.execution, started->id);
}

// It could not renew, and has ended its runs before the session is over: nobody has asked for that.
TEST_F(Sessions, ARunThatItsWorkerHasEndedUnaskedIsLostAndNotCanceled) {
  elsewhere_ = true;
  open_worker(2);
  auto again = run("ci.check");  // may run again
  auto once = run("ci.build");
  for (const auto& order : {worker_.next(), worker_.next()}) {
    Completion completion;
    completion.tenant = order.tenant;
    completion.key = order.key;
    completion.end = RunEnd::Canceled;
    std::promise<void> done;
    engine_->finished(session_, completion, [&] { done.set_value(); });
    ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  }
  settle();
  EXPECT_EQ(stored(again->id).attempt, 2);
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(stored(once->id).held.find("its worker has ended it"), std::string::npos);
}

TEST_F(Sessions, OneThatIsNotRenewedIsOverAndItsRunsAreLost) {
  elsewhere_ = true;
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
  lose_worker();
  EXPECT_EQ(stored(again->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(again->id).attempt, 2);
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::NeedsDecision);
  // It comes back: what waits is given to it.
  open_worker(2);
  EXPECT_EQ(worker_.next().key, stored(again->id).key());
}

}  // namespace
}  // namespace millrace::engine
