// SPDX-License-Identifier: Apache-2.0
//
// What the port to workers promises (kernel/work.h), over each way to a server: the engine in the
// same process, and the session of an agent.
#include "work_harness.h"

namespace millrace::engine {
namespace {

enum class Way { InProcess, Agent };

class WorkSourceContract : public WorkTest, public ::testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    WorkTest::SetUp();
    if (GetParam() == Way::Agent) agent_ = &add_agent();
  }
  WorkSource& source() {
    if (agent_) return agent_->source;
    return *engine_;
  }
  // Where a worker's spawner puts what is too large for a completion.
  Blobs& worker_blobs() { return agent_ ? *agent_->blobs : *blobs_; }
  SessionId open_far(std::string instance = "s1", std::vector<RunKey> adopted = {}) {
    auto session = open(source(), hello(std::move(instance), std::move(adopted)), far_);
    EXPECT_TRUE(session.ok()) << session.error().describe();
    settle();
    return session->id;
  }
  WorkOrder start(const std::string& action) {
    auto row = run(action);
    EXPECT_TRUE(row.ok()) << row.error().describe();
    return far_.next();
  }
  ExecutionStatus status(const WorkOrder& order) { return stored(order.key.execution).status; }

  Agent* agent_ = nullptr;
};

TEST_P(WorkSourceContract, AnOrderComesWholeAndItsEndIsTakenOnce) {
  SessionId session = open_far();
  auto row = run("ci.build", Value::map({{"branch", "main"}}));
  WorkOrder order = far_.next();
  EXPECT_EQ(order.key.execution, row->id);
  EXPECT_EQ(order.tenant, kDefaultTenant);
  EXPECT_EQ(order.parameters, Value::map({{"branch", "main"}}));
  EXPECT_EQ(order.release, "d1");
  EXPECT_EQ(status(order), ExecutionStatus::Running);
  EXPECT_EQ(finish(source(), session, ended(order.key)), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Succeeded);
  EXPECT_EQ(stored(row->id).result_json.find("\"n\":1") != std::string::npos, true);
  // Told once more, as after a doubt: it is forgotten again, and nothing changes.
  auto again = ended(order.key);
  again.exit_code = 1;
  EXPECT_EQ(finish(source(), session, again), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Succeeded);
}

// Of an agent it would end the connection, and do so again with each new one.
TEST_P(WorkSourceContract, AnOutputThatIsTooLargeForTheWayFailsItsRun) {
  SessionId session = open_far();
  auto order = start("ci.build");
  auto large = ended(order.key);
  large.output = Value::map({{"body", std::string(5 << 20, 'x')}});
  EXPECT_EQ(finish(source(), session, large), 1);
  EXPECT_EQ(status(order), agent_ ? ExecutionStatus::Failed : ExecutionStatus::Succeeded);
  bool says_why = stored(order.key.execution).result_json.contains("EXE-0023");
  EXPECT_EQ(says_why, agent_ != nullptr);
}

TEST_P(WorkSourceContract, AnOutputOfStdoutMayBeAsLargeAsThat) {
  SessionId session = open_far();
  auto order = start("ci.build");
  auto end = ended(order.key, "");
  end.output = Value::map({{"body", std::string(5 << 20, 'x')}});
  end.is_read = true;
  std::string printed = to_json(end.output);
  end.out.blob = output_ref(kDefaultTenant, order.key, Stream::Stdout);
  end.out.size = static_cast<int64_t>(printed.size());
  auto writer = worker_blobs().create(end.out.blob);
  ASSERT_TRUE(writer.ok());
  ASSERT_EQ((*writer)->append(printed), printed.size());
  ASSERT_TRUE((*writer)->commit().ok());
  EXPECT_EQ(finish(source(), session, end), 1);
  auto row = stored(order.key.execution);
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_FALSE(row.result_json.contains("output_error"));
}

TEST_P(WorkSourceContract, ASessionIsALeaseAndSaysItsTerms) {
  auto session = open(source(), hello(), far_);
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->ttl_ms, 30'000);
  EXPECT_EQ(session->renew_ms, 10'000);
  EXPECT_EQ(session->fence_ms, 22'000);
  tick(20'000);
  EXPECT_TRUE(renew(source(), session->id).ok());
  tick(20'000);
  turn();
  EXPECT_TRUE(renew(source(), session->id).ok());
}

TEST_P(WorkSourceContract, WhoDoesNotRenewHearsThatItIsOverAndItsRunsAreGivenUpTenSecondsLater) {
  SessionId session = open_far();
  WorkOrder again = start("ci.check"), once = start("ci.build");
  tick(30'500);
  turn();
  EXPECT_TRUE(far_.hears_that_it_is_over(session));
  auto renewed = renew(source(), session);
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().kind(), ErrorKind::NotFound);
  EXPECT_EQ(status(again), ExecutionStatus::Running);
  tick(9'000);
  turn();
  EXPECT_EQ(status(again), ExecutionStatus::Running);
  tick(1'000);
  turn();
  EXPECT_EQ(status(again), ExecutionStatus::Requested);
  EXPECT_EQ(stored(again.key.execution).attempt, 2);
  EXPECT_EQ(status(once), ExecutionStatus::NeedsDecision);
}

TEST_P(WorkSourceContract, NothingIsGivenToASessionThatIsOverAndNothingHeardOfIt) {
  SessionId first = open_far();
  WorkOrder order = start("ci.build");
  tick(30'500);
  turn();
  ASSERT_TRUE(far_.hears_that_it_is_over(first));
  auto waits = run("ci.check");
  settle();
  EXPECT_EQ(stored(waits->id).status, ExecutionStatus::Requested);
  std::atomic<bool> done = false;
  source().finished(first, ended(order.key), [&] { done = true; });
  EXPECT_FALSE(prepared(source(), first, order.key));
  settle();
  EXPECT_FALSE(done);
  // It is back before its runs are given up: the same attempt goes on.
  SessionId second = open_far("s1", {order.key});
  EXPECT_NE(first, second);
  EXPECT_EQ(far_.next().key.execution, waits->id);
  EXPECT_EQ(finish(source(), second, ended(order.key)), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Succeeded);
  EXPECT_EQ(stored(order.key.execution).attempt, 1);
}

TEST_P(WorkSourceContract, ANewSessionAdoptsWhatIsNamedAndStartsAgainWhatWasNeverHeardOf) {
  open_far();
  WorkOrder runs = start("ci.build"), unheard = start("ci.build");
  SessionId next = open_far("s1", {runs.key});
  WorkOrder again = far_.next();
  EXPECT_EQ(again.key.execution, unheard.key.execution);
  EXPECT_EQ(again.key.attempt, 1);
  EXPECT_GT(again.key.epoch, unheard.key.epoch);
  EXPECT_EQ(finish(source(), next, ended(runs.key)), 1);
  EXPECT_EQ(status(runs), ExecutionStatus::Succeeded);
  // Of the old epoch nothing counts, but whoever tells it may forget it.
  EXPECT_EQ(finish(source(), next, ended(unheard.key)), 1);
  EXPECT_EQ(status(again), ExecutionStatus::Running);
  EXPECT_FALSE(prepared(source(), next, unheard.key));
}

TEST_P(WorkSourceContract, WhatAnotherInstanceHasForgottenIsDecidedByItsEffectClass) {
  open_far();
  WorkOrder again = start("ci.check"), once = start("ci.build");
  open_far("s2");
  WorkOrder second = far_.next();
  EXPECT_EQ(second.key.execution, again.key.execution);
  EXPECT_EQ(second.key.attempt, 2);
  EXPECT_EQ(status(once), ExecutionStatus::NeedsDecision);
}

TEST_P(WorkSourceContract, WhoDrainsIsGivenNothingMoreAndEndsWhatItRuns) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  source().drain(session);
  // Behind that word, on the same way.
  source().preparing(session, kDefaultTenant, order.key, "pack ci");
  EXPECT_TRUE(eventually([&] { return status(order) == ExecutionStatus::Scheduled; }));
  EXPECT_TRUE(prepared(source(), session, order.key));
  auto waits = run("ci.check");
  EXPECT_EQ(finish(source(), session, ended(order.key)), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Succeeded);
  turn();
  EXPECT_EQ(stored(waits->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(far_.waiting_orders(), 0U);
  // In its next session it is given work again.
  open_far();
  EXPECT_EQ(far_.next().key.execution, waits->id);
}

TEST_P(WorkSourceContract, OnlyAWorkerThatOffersWhatAnActionNeedsIsGivenIt) {
  auto session = open(source(), hello(), far_);
  ASSERT_TRUE(session.ok());
  auto gpu = run("ci.gpu");
  auto plain = run("ci.build");
  EXPECT_EQ(far_.next().key.execution, plain->id);
  settle();
  EXPECT_EQ(stored(gpu->id).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(gpu->id).needs, "gpu,os=linux");
  auto offers = hello("g1");
  offers.name = "able";
  offers.labels = {"os=linux", "gpu", "zone=b"};
  auto other = open(*engine_, std::move(offers), other_);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other_.next().key.execution, gpu->id);
  EXPECT_EQ(far_.waiting_orders(), 0U);
}

TEST_P(WorkSourceContract, WhatNobodyOffersHoldsUpNoneOfTheOthers) {
  auto session = open(source(), hello("s1", {}, 1), far_);
  ASSERT_TRUE(session.ok());
  WorkOrder first = start("ci.build");
  std::vector<ExecutionId> unable;
  for (int i = 0; i < 20; ++i) unable.push_back(run("ci.gpu")->id);
  auto next = run("ci.build");
  settle();
  EXPECT_EQ(finish(source(), session->id, ended(first.key)), 1);
  EXPECT_EQ(far_.next().key.execution, next->id);
  for (ExecutionId id : unable) EXPECT_EQ(stored(id).status, ExecutionStatus::Requested);
}

TEST_P(WorkSourceContract, WhoLeavesGivesUpItsRunsAtOnce) {
  SessionId session = open_far();
  WorkOrder again = start("ci.check");
  source().close(session);
  EXPECT_TRUE(eventually([&] { return status(again) == ExecutionStatus::Requested; }));
  auto renewed = renew(source(), session);
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().kind(), ErrorKind::NotFound);
}

TEST_P(WorkSourceContract, ACancelReachesTheWorkerAndItsEndIsCanceled) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  ASSERT_TRUE(cancel(order.key.execution).ok());
  EXPECT_EQ(far_.next_cancel(), order.key);
  auto end = ended(order.key, "");
  end.end = RunEnd::Canceled;
  EXPECT_EQ(finish(source(), session, end), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Canceled);
}

TEST_P(WorkSourceContract, ARunIsPreparedBeforeItsStartIsDurableAgain) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  source().preparing(session, kDefaultTenant, order.key, "pack ci");
  EXPECT_TRUE(eventually([&] { return status(order) == ExecutionStatus::Scheduled; }));
  EXPECT_EQ(stored(order.key.execution).held, "its worker is building: pack ci");
  EXPECT_TRUE(prepared(source(), session, order.key));
  EXPECT_EQ(status(order), ExecutionStatus::Running);
  EXPECT_EQ(finish(source(), session, ended(order.key)), 1);
}

TEST_P(WorkSourceContract, ACanceledRunIsNotToldToGo) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  source().preparing(session, kDefaultTenant, order.key, "pack ci");
  EXPECT_TRUE(eventually([&] { return status(order) == ExecutionStatus::Scheduled; }));
  ASSERT_TRUE(cancel(order.key.execution).ok());
  EXPECT_FALSE(prepared(source(), session, order.key));
}

TEST_P(WorkSourceContract, LiveOutputComesInOrderAndByteForByte) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  std::mutex mutex;
  std::string seen;
  auto listens = engine_->on_output({kDefaultTenant, order.key.execution}, [&](const auto& chunk) {
    std::lock_guard lock(mutex);
    if (chunk.offset == static_cast<int64_t>(seen.size())) seen += chunk.bytes;
  });
  std::string all;
  for (int i = 0; i < 200; ++i) {
    std::string piece = fmt::format("{:08}", i) + std::string("\0\xff\n", 3);
    source().output(session, {kDefaultTenant, order.key, Stream::Stdout,
                              static_cast<int64_t>(all.size()), piece});
    all += piece;
  }
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return seen.size() == all.size();
  }));
  std::lock_guard lock(mutex);
  EXPECT_EQ(seen, all);
  engine_->forget(listens);
}

TEST_P(WorkSourceContract, WhatARunHasLeftIsInTheServersRoomWhenItsEndIsTaken) {
  SessionId session = open_far();
  WorkOrder order = start("ci.build");
  std::string all;
  while (all.size() < 3'000'000) all += fmt::format("{} of many lines\n", all.size());
  auto end = ended(order.key, "");
  end.out.blob = output_ref(kDefaultTenant, order.key, Stream::Stdout);
  end.out.size = static_cast<int64_t>(all.size());
  std::string report = artifacts_prefix(kDefaultTenant, order.key) + "sub/report.txt";
  for (const auto& [ref, bytes] : {std::pair{end.out.blob, all},
                                   {report, std::string("report")},
                                   {artifacts_prefix(kDefaultTenant, order.key) + "none", ""}}) {
    auto writer = worker_blobs().create(ref);
    ASSERT_TRUE(writer.ok());
    ASSERT_EQ((*writer)->append(bytes), bytes.size());
    ASSERT_TRUE((*writer)->commit().ok());
  }
  EXPECT_EQ(finish(source(), session, end), 1);
  EXPECT_EQ(*blobs_->read(end.out.blob, 0, end.out.size + 1), all);
  EXPECT_EQ(*blobs_->read(report, 0, 100), "report");
  EXPECT_EQ(*blobs_->size(artifacts_prefix(kDefaultTenant, order.key) + "none"), 0);
  // ci.build prints JSON, and this is none: the run has failed, what it left is taken all the same.
  EXPECT_EQ(status(order), ExecutionStatus::Failed);
}

// Nobody ends the run of another, whatever he knows of it (K6).
TEST_P(WorkSourceContract, TheEndOfAnotherWorkersRunIsNotTaken) {
  open_worker(1);
  auto row = run("ci.build");
  WorkOrder order = worker_.next();
  auto session = open(source(), hello("s1", {order.key}), other_);
  ASSERT_TRUE(session.ok());
  EXPECT_TRUE(session->adopted.empty());
  EXPECT_EQ(finish(source(), session->id, ended(order.key)), 1);
  EXPECT_FALSE(prepared(source(), session->id, order.key));
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Running);
}

// The server dies with what it held in memory; the worker and its runs do not.
TEST_P(WorkSourceContract, ARestartedServerAdoptsWhatAWorkerElsewhereStillRuns) {
  open_far();
  WorkOrder order = start("ci.build");
  restart();
  SessionId next = open_far("s1", {order.key});
  EXPECT_EQ(finish(source(), next, ended(order.key)), 1);
  EXPECT_EQ(status(order), ExecutionStatus::Succeeded);
}

TEST_P(WorkSourceContract, ARestartedServerGivesUpTheRunsOfAWorkerThatStaysAway) {
  open_far();
  WorkOrder again = start("ci.check"), once = start("ci.build");
  restart();
  turn();
  tick(39'000);
  turn();
  EXPECT_EQ(status(again), ExecutionStatus::Running);
  tick(1'500);
  turn();
  EXPECT_EQ(status(again), ExecutionStatus::Requested);
  EXPECT_EQ(status(once), ExecutionStatus::NeedsDecision);
}

INSTANTIATE_TEST_SUITE_P(Over, WorkSourceContract, ::testing::Values(Way::InProcess, Way::Agent),
                         [](const auto& info) {
                           return info.param == Way::Agent ? "AnAgentsSession" : "TheEngine";
                         });

}  // namespace
}  // namespace millrace::engine
