// SPDX-License-Identifier: Apache-2.0
// What becomes of messages that cannot be handled: loads that fail, refusals, a store that is away,
// a server that leaves. Each test was seen red with the fault that it names put back.
#include <thread>

#include "base/time.h"
#include "fault_store.h"
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

using sql::Fault;

class Failures : public EngineTest {
 protected:
  sql::Store& engine_store() override {
    if (!faults_) faults_ = std::make_unique<sql::FaultStore>(*store_);
    return *faults_;
  }
  void TearDown() override {
    faults_->clear();
    EngineTest::TearDown();
  }
  // For what happens on the engine's own threads and in its own time. False: it did not come.
  bool eventually(const std::function<bool()>& holds, int seconds = 10) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  // The engine's clocks do not run by themselves: a second for each look.
  bool in_time(const std::function<bool()>& holds, int64_t at_most_s = 3600) {
    for (int64_t passed = 0; passed < at_most_s; ++passed) {
      if (holds()) return true;
      tick(1000);
      // The committer looks by a clock of its own whether a full disk has space again.
      if (!run("core.noop").ok()) std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    return holds();
  }
  // `number` rows that begin `age_ms` ago, as a query that gives them as column n.
  static std::string numbers(int number) {
    return "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < " +
           std::to_string(number) + ") SELECT n FROM c) AS numbers";
  }
  int64_t id_at(int64_t ms) const { return first_id_at(ms); }

  void report(const WorkOrder& order, std::atomic<bool>& done, int exit_code = 0) {
    Completion completion;
    completion.tenant = order.tenant;
    completion.key = order.key;
    completion.exit_code = exit_code;
    completion.out.bytes = "{}";
    completion.out.size = 2;
    engine_->finished(session_, std::move(completion), [&done] { done = true; });
  }

  std::vector<std::shared_ptr<const Pack>> packs() override { return packs_; }

  std::vector<std::shared_ptr<const Pack>> packs_{core_pack(), workflow_pack()};

  std::unique_ptr<sql::FaultStore> faults_;
};

// A server that is killed while a message waits for its next try died of no message.
TEST_F(Failures, WhatCannotBeReadIsNotInHandWhileItWaits) {
  engine_.reset();
  auto path = folder_ + "/in_hand";
  in_hand_ = std::move(*InHand::open(path, "test"));
  start();
  settle();
  faults_->add({.on = Fault::On::Reader, .times = 1});
  Caller caller = kTester;
  caller.idempotency_key = "key";  // so that something is read
  engine_->submit(command::run(caller, {.action = "core.noop"}, [](Result<ExecutionRow>) {}));
  ASSERT_TRUE(eventually([&] { return faults_->struck() == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_TRUE((*InHand::open(path, "test"))->found().empty());
  engine_.reset();
  in_hand_.reset();
}

// The outcome of its commit comes when the engine's thread has ended already.
TEST_F(Failures, WhoAsksWhileTheServerLeavesIsAnsweredThoughTheCommitFails) {
  faults_->add({.on = Fault::On::Writer, .text = "COMMIT", .times = 1, .delay_ms = 300});
  std::promise<Result<ExecutionRow>> promise;
  auto future = promise.get_future();
  engine_->submit(command::run(kTester, {.action = "core.noop"}, [&](Result<ExecutionRow> row) {
    promise.set_value(std::move(row));
  }));
  ASSERT_TRUE(eventually([&] { return faults_->struck() == 1; }));
  engine_.reset();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_FALSE(future.get().ok());
}

// The word that its environment is being built is tried again when the word that it is there has
// been handled: what runs by then must not count as not begun (K7).
TEST_F(Failures, AStartThatWasAllowedIsNotTakenBackByAnOlderWord) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  faults_->add({.on = Fault::On::Writer, .text = "COMMIT", .times = 1});
  engine_->preparing(session_, kDefaultTenant, order.key, "environment of pack 'ci'");
  ASSERT_TRUE(eventually([&] { return faults_->struck() == 1; }));
  std::atomic<int> answer{-1};
  engine_->prepared(session_, kDefaultTenant, order.key, [&](bool go) { answer = go ? 1 : 0; });
  ASSERT_TRUE(in_time([&] { return answer >= 0; }));
  EXPECT_EQ(answer, 1);
  tick(5000);
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Running);
  EXPECT_GT(stored(started->id).started, 0);
}

TEST_F(Failures, AScheduleOutlivesAFiringThatIsRefused) {
  RuleSpec spec;
  spec.ref = "ci.hourly";
  spec.trigger = "core.intervaltimer";
  spec.trigger_parameters = Value::map({{"unit", "hours"}, {"interval", 1}});
  spec.action = "core.noop";
  spec.action_parameters = Value::map();
  auto pack = std::make_shared<Pack>(*workflow_pack());
  pack->rules = {spec};
  auto set = pack_set({core_pack(), pack});
  auto loaded = await<int>([&](Reply<int> reply) {
    engine_->submit(command::load_packs({.tenant = kDefaultTenant}, std::move(set), reply));
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  faults_->add({.on = Fault::On::Writer, .text = "INSERT INTO event", .code = sql::kConstraint});
  tick(3'601'000);
  ASSERT_TRUE(in_time([&] { return count("quarantine") == 1; }, 60));
  faults_->clear();
  EXPECT_EQ(count("timer"), 1) << "its next firing";
  tick(3'600'000);
  EXPECT_TRUE(in_time([&] { return count("event") == 1; }, 60));
}

TEST_F(Failures, B1OldStepsOfAnOpenWorkflowCostNoWrites) {
  auto asking = run("core.ask", Value::map({{"prompt", "?"}}));
  ASSERT_TRUE(asking.ok());
  engine_.reset();
  int64_t old = id_at(now_ms_ - 90LL * 86'400'000);
  plant("INSERT INTO execution SELECT " + std::to_string(old) +
        " + n, tenant, shard, action, pack_release, 16, failure, effect_class, priority, attempt, "
        "epoch, 0, id, root, enforcement, original, 0, 1, 1, 1, 1, 1, requested_by, trace, '', "
        "parameters, defaults, env, needs, result, result_size, 't', 0, n, '', 0 FROM execution, " +
        numbers(600));
  start();
  ASSERT_TRUE(run("core.noop").ok());
  faults_->forget_seen();
  tick(61'000);
  ASSERT_TRUE(run("core.noop").ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LE(faults_->seen("BEGIN IMMEDIATE"), 2);
  EXPECT_EQ(count("execution WHERE status >= 16 AND task = 't'"), 600);
}

TEST_F(Failures, B2OverdueTimersAreTakenOnceAndRequestsAreServed) {
  engine_.reset();
  constexpr int kTimers = 30'000;
  plant("INSERT INTO timer SELECT 1 + n, 1, n % 64, 1000 + n, 0, 0, '', x'' FROM " +
        numbers(kTimers));
  faults_->add({.on = Fault::On::Writer, .text = "COMMIT", .delay_ms = 40, .code = {}});
  start();
  int refused = 0;
  for (int i = 0; i < 20; ++i) refused += run("core.noop").ok() ? 0 : 1;
  EXPECT_EQ(refused, 0);
  faults_->clear();
  EXPECT_TRUE(eventually([&] { return count("timer") == 0; }, 60));
  EXPECT_LE(faults_->seen("body FROM timer WHERE"), kTimers + 100);
}

TEST_F(Failures, B4ARowThatCannotBeReadHoldsUpNobodyElse) {
  open_worker(2);
  auto bad = run("ci.build");
  auto good = run("ci.build");
  WorkOrder first = worker_.next();
  WorkOrder second = worker_.next();
  faults_->add({.text = "FROM execution WHERE id", .bound = bad->id.value});
  std::atomic<bool> bad_done = false;
  std::atomic<bool> good_done = false;
  report(first.key.execution == bad->id ? first : second, bad_done);
  report(first.key.execution == bad->id ? second : first, good_done);
  EXPECT_TRUE(in_time([&] { return good_done.load(); }, 20));
  EXPECT_FALSE(bad_done);
  // Its row comes back: nothing was lost.
  faults_->clear();
  EXPECT_TRUE(in_time([&] { return bad_done.load(); }, 120));
  EXPECT_EQ(stored(bad->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Failures, B4ARowThatCanNeverBeReadIsQuarantinedWithTheReason) {
  open_worker(1);
  auto bad = run("ci.build");
  WorkOrder order = worker_.next();
  faults_->add({.text = "FROM execution WHERE id", .bound = bad->id.value});
  std::atomic<bool> done = false;
  report(order, done);
  EXPECT_TRUE(in_time([&] { return count("quarantine") == 1; }));
  EXPECT_EQ(count("quarantine WHERE reason LIKE '%planted fault%'"), 1);
  EXPECT_TRUE(eventually([&] { return done.load(); }));
}

// A database that is away for ten minutes is no message's fault.
TEST_F(Failures, AStoreThatIsAwayForLongBuriesNothing) {
  open_worker(1);
  auto execution = run("ci.build");
  ASSERT_TRUE(execution.ok());
  auto order = worker_.next();
  for (auto on : {Fault::On::Reader, Fault::On::Writer}) {
    faults_->add({.on = on, .text = "", .code = sql::kAway});
  }
  std::atomic<bool> done{false};
  report(order, done);
  for (int second = 0; second < 600; ++second) {
    tick(1000);
    EXPECT_FALSE(run("core.noop").ok());
  }
  EXPECT_FALSE(done);
  faults_->clear();
  ASSERT_TRUE(in_time([&] { return done.load(); }, 120));
  EXPECT_EQ(count("quarantine"), 0);
}

TEST_F(Failures, B6AStoredMessageThatIsRefusedIsQuarantined) {
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("main", "e1").ok());
  settle();
  engine_.reset();
  plant(
      "UPDATE event SET payload = x'7b';"
      "INSERT INTO message SELECT id, tenant, 0, 0, id, created, x'' FROM event");
  start();
  EXPECT_TRUE(eventually([&] { return count("quarantine") == 1; }));
  EXPECT_EQ(count("message"), 0);
  EXPECT_EQ(count("quarantine WHERE kind = 'enforce_event'"), 1);
}

// Nobody's: a worker serves every tenant.
TEST_F(Failures, AMessageOfTheMachineItselfIsQuarantinedOfNoTenant) {
  faults_->add({.on = Fault::On::Writer, .text = "INTO worker", .code = sql::kConstraint});
  std::atomic<bool> refused = false;
  engine_->open({.name = "local", .slots = 1, .runtimes = {}, .instance = "s1", .adopted = {}},
                worker_, [&](const Result<Session>& opened) { refused = !opened.ok(); });
  EXPECT_TRUE(in_time([&] { return refused.load(); }));
  faults_->clear();
  EXPECT_EQ(count("quarantine WHERE kind = 'open_worker'"), 1);
  EXPECT_EQ(count("quarantine WHERE tenant = 0"), 1);
  open_worker(1);
  EXPECT_EQ(count("worker WHERE tenant = 0"), 1);
}

TEST_F(Failures, B6AQuarantineOutlivesAFullDisk) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  faults_->add({.on = Fault::On::Writer, .text = "INTO output", .code = sql::kConstraint});
  faults_->add(
      {.on = Fault::On::Writer, .text = "INTO quarantine", .times = 1, .code = sql::kFull});
  std::atomic<bool> done = false;
  report(order, done);
  EXPECT_TRUE(in_time([&] { return count("quarantine") == 1; }, 120));
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
  EXPECT_TRUE(eventually([&] { return done.load(); }));
}

TEST_F(Failures, B6ARunIsAcknowledgedOnlyOnceItsQuarantineIsDurable) {
  open_worker(1);
  ASSERT_TRUE(run("ci.build").ok());
  WorkOrder order = worker_.next();
  faults_->add({.on = Fault::On::Writer, .text = "INTO output", .code = sql::kConstraint});
  faults_->add({.on = Fault::On::Writer, .text = "INTO quarantine", .code = sql::kBusy});
  std::atomic<bool> done = false;
  report(order, done);
  EXPECT_FALSE(in_time([&] { return done.load(); }, 30));
  EXPECT_EQ(count("quarantine"), 0);
  faults_->clear();
  EXPECT_TRUE(in_time([&] { return done.load(); }, 120));
}

// Of an ended step nobody can be handed over: it is its workflow that would wait for ever.
TEST_F(Failures, B6NewsThatCannotBeReadHandOverTheWorkflowAbove) {
  open_worker(1);
  auto workflow = run("ci.sequence");
  WorkOrder first = worker_.next();
  finish(first, 0);
  worker_.next();  // the second step runs on
  engine_.reset();
  plant("UPDATE execution SET result = x'7b' WHERE id = " + first.key.execution.str() +
        "; INSERT INTO message SELECT 7, tenant, shard, 2, id, created, x'' FROM execution WHERE "
        "id = " +
        first.key.execution.str());
  start();
  EXPECT_TRUE(in_time([&] { return count("quarantine") == 1; }));
  auto handed_over = stored(workflow->id);
  EXPECT_EQ(handed_over.status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(handed_over.held.find("advance_workflow"), std::string::npos) << handed_over.held;
  EXPECT_EQ(count("message"), 0);
  plant("UPDATE execution SET result = '{}' WHERE id = " + first.key.execution.str());
}

// Handed over, it goes on when another of its steps ends: what it has missed is told then.
TEST_F(Failures, AWorkflowThatWasHandedOverHearsLaterWhatItHasMissed) {
  open_worker(1);
  auto workflow = run("ci.fork");
  WorkOrder left = worker_.next();  // the other one waits
  engine_.reset();
  plant(
      fmt::format("DELETE FROM queue; UPDATE execution SET status = {}, ended = created, result "
                  "= x'7b' WHERE task = 'right'; INSERT INTO message SELECT 7, tenant, shard, 2, "
                  "id, created, x'' FROM execution WHERE task = 'right'",
                  static_cast<int>(ExecutionStatus::Canceled)));
  start();
  EXPECT_TRUE(in_time([&] { return count("quarantine") == 1; }));
  EXPECT_EQ(stored(workflow->id).status, ExecutionStatus::NeedsDecision);
  plant("UPDATE execution SET result = '{}' WHERE task = 'right'");
  open_worker(1, "s1", {left.key});
  finish(left, 0);
  EXPECT_EQ(stored(workflow->id).status, ExecutionStatus::Canceled) << stored(workflow->id).held;
}

// What is held does its work where it did it before.
TEST_F(Failures, ARetryOfWhatRunsInsideTheServerStaysInside) {
  open_worker(1);
  auto asks = run("core.ask", Value::map({{"prompt", "go?"}, {"ttl", 1}}));
  ASSERT_TRUE(asks.ok());
  engine_.reset();
  plant(fmt::format(
      "UPDATE execution SET status = {}, failure = {}, held = 'for a test';"
      "UPDATE inquiry SET status = {}, version = 2",
      static_cast<int>(ExecutionStatus::NeedsDecision), static_cast<int>(FailureClass::InfraLost),
      static_cast<int>(InquiryStatus::Canceled)));
  start();
  open_worker(1);
  auto retried = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    engine_->submit(command::resolve({.tenant = kDefaultTenant, .identity = "tester"}, asks->id,
                                     {.kind = Resolution::Kind::Retry}, reply));
  });
  ASSERT_TRUE(retried.ok()) << retried.error().describe();
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(asks->id).status, ExecutionStatus::Pending);
  EXPECT_EQ(
      count(fmt::format("inquiry WHERE status = {}", static_cast<int>(InquiryStatus::Pending))), 1);
  auto answered = await<InquiryRow>([&](auto reply) {
    engine_->submit(command::answer({.tenant = kDefaultTenant, .identity = "tester"},
                                    InquiryId{asks->id.value}, {Value::map()}, reply));
  });
  ASSERT_TRUE(answered.ok()) << answered.error().describe();
  EXPECT_EQ(stored(asks->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Failures, ALostWorkerIsDealtWithHoweverLongThatCannotBeRead) {
  elsewhere_ = true;
  open_worker(1);
  auto started = run("ci.check");  // may run again
  ASSERT_TRUE(started.ok());
  worker_.next();
  faults_->add({.text = "FROM worker"});
  tick(31'000);
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(run("core.noop").ok());
    tick(61'000);
  }
  EXPECT_EQ(count("quarantine"), 0);
  faults_->clear();
  EXPECT_TRUE(in_time([&] { return stored(started->id).status != ExecutionStatus::Running; }, 300));
}

// The kernel's own cancel, of what has run out of time.
TEST_F(Failures, ACancelThatCannotBeReadHandsTheWorkflowOver) {
  open_worker(1);
  auto started = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    NewExecution request{.action = "ci.sequence"};
    request.timeout_ms = 5000;
    engine_->submit(command::run(kTester, std::move(request), std::move(reply)));
  });
  worker_.next();
  faults_->add({.text = "parent <> 0 AND +status <", .bound = started->id.value});
  EXPECT_TRUE(in_time([&] { return count("quarantine WHERE kind = 'cancel_execution'") == 1; }));
  faults_->clear();
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::NeedsDecision);
}

// One of more timers than the wheel holds.
TEST_F(Failures, ATimerThatCannotBeReadHoldsUpNoOther) {
  engine_.reset();
  constexpr int kTimers = 10'500;
  plant("INSERT INTO timer SELECT 1001 + n, 1, n % 64, 1000 + n, 0, 0, '', x'' FROM " +
        numbers(kTimers));
  faults_->add({.text = "FROM timer WHERE id", .bound = 1001});
  start();
  EXPECT_TRUE(in_time([&] { return count("timer") == 1; }, 60)) << count("timer");
  faults_->clear();
}

TEST_F(Failures, AClockThatIsSetBackDelaysNoRetry) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  faults_->add({.on = Fault::On::Writer, .text = "INTO output", .times = 1, .code = sql::kBusy});
  std::atomic<bool> done = false;
  report(order, done);
  EXPECT_TRUE(eventually([&] { return faults_->struck() == 1; }));
  now_ms_ -= 3'600'000;
  // It may be put off a moment after the fault was met.
  EXPECT_TRUE(eventually([&] {
    mono_ms_ += 200;
    return run("core.noop").ok() && done.load();
  }));
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Failures, B10WhatACrashLeftBehindIsHandledAtOnce) {
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("other", "e1").ok());
  settle();
  engine_.reset();
  plant("INSERT INTO message SELECT 1 + n, tenant, 0, 0, id, created, x'' FROM event, " +
        numbers(5000));
  start();
  EXPECT_TRUE(eventually([&] { return count("message") == 0; }, 30));
}

// A row that no message names: a cancel is owed to a run that cannot be read.
TEST_F(Failures, ARowThatCannotBeReadDoesNotHoldUpWhatElseWasLeftBehind) {
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("other", "e1").ok());
  open_worker(1);
  auto bad = run("ci.build");
  worker_.next();
  auto canceled = await<ExecutionRow>(
      [&](auto reply) { engine_->submit(command::cancel(kTester, bad->id, reply)); });
  ASSERT_TRUE(canceled.ok());
  settle();
  engine_.reset();
  worker_.forget();
  plant("INSERT INTO message SELECT 1, tenant, 0, 0, id, created, x'' FROM event");
  faults_->add({.text = "FROM execution WHERE id", .bound = bad->id.value});
  start();
  EXPECT_TRUE(in_time([&] { return count("message") == 0; }, 120));
  EXPECT_EQ(count("outbox"), 1);  // it is still owed
  faults_->clear();
}

TEST_F(Failures, ARowThatCannotBeReadKeepsNobodyElseFromHisRelease) {
  auto bad = run("ci.approval");
  auto good = run("ci.approval");
  settle();
  engine_.reset();
  packs_ = {core_pack(), workflow_pack("d2")};
  missing_.push_back({.tenant = kDefaultTenant, .pack = "ci", .version = "", .digest = "d1"});
  faults_->add({.text = "FROM execution WHERE id", .bound = bad->id.value});
  start();
  auto is_held = [&](ExecutionId id) {
    return stored(id).status == ExecutionStatus::NeedsDecision;
  };
  EXPECT_TRUE(in_time([&] { return is_held(good->id); }, 120));
  faults_->clear();
}

TEST_F(Failures, B11AWorkerThatOpensWhileTheServerDrainsGetsNoWork) {
  engine_->stop_granting();
  settle();
  open_worker(4);
  auto waits = run("ci.build");
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(waits->id).status, ExecutionStatus::Requested);
}

// Written by another version, or damaged: such a rule matches nothing, and can be seen, mended and
// deleted. One that cannot be read at all kept the server from starting.
TEST_F(Failures, ARuleThatDoesNotCompileIsMendedOrDeleted) {
  auto write = [&](std::string ref, bool create) {
    RuleSpec rule{.ref = std::move(ref), .trigger = "ci.push", .action = "core.noop"};
    return await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {rule, std::nullopt, create}, reply));
    });
  };
  auto remove = [&](std::string ref) {
    return await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::delete_rule(kTester, ref, {}, reply));
    });
  };
  auto now = [&] { return engine_->catalog(kDefaultTenant); };
  for (const char* ref : {"ci.bad", "ci.unread", "ci.good"}) {
    ASSERT_TRUE(write(ref, true).ok());
  }
  engine_.reset();
  std::string spec = R"({"trigger":{"ref":"ci.push"},"criteria":"{{ 1 + }}",)"
                     R"("action":{"ref":"core.noop"}})";
  plant("UPDATE rule SET spec = CAST('" + spec + "' AS BLOB) WHERE ref = 'ci.bad';" +
        "UPDATE rule SET spec = x'7b' WHERE ref = 'ci.unread'");
  start();
  EXPECT_EQ(now()->out_of_force(), 2u);
  EXPECT_EQ(now()->rules().size(), 3u);
  EXPECT_EQ(now()->index().size(), 1u);
  for (const char* ref : {"ci.bad", "ci.unread"}) {
    const auto* entry = now()->find_rule(ref);
    ASSERT_TRUE(entry) << ref;
    EXPECT_FALSE(entry->fault.empty());
    EXPECT_EQ(entry->spec.ref, ref);
    EXPECT_FALSE(write(ref, true).ok()) << "there is one of this name";
  }
  EXPECT_TRUE(write("ci.bad", false).ok());
  EXPECT_EQ(now()->out_of_force(), 1u);
  EXPECT_TRUE(remove("ci.unread").ok());
  EXPECT_EQ(now()->out_of_force(), 0u);
  EXPECT_EQ(now()->find_rule("ci.unread"), nullptr);
  EXPECT_EQ(now()->index().size(), 2u);
  engine_.reset();
  start();
  EXPECT_EQ(now()->rules().size(), 2u);
  EXPECT_EQ(now()->out_of_force(), 0u);
}

}  // namespace
}  // namespace millrace::engine
