// SPDX-License-Identifier: Apache-2.0
// The kernel's promises K1-K9, where no other test of the engine would miss them. Which test guards
// which promise stands in tests/README.md.
#include "base/time.h"
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

class Promises : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto core = std::make_shared<Pack>(*core_pack());
    Trigger date;
    date.ref = "core.datetimetimer";
    core->triggers.push_back(date);
    auto pack = std::make_shared<Pack>(*test_pack());
    pack->actions.push_back(workflow("ci.later", "tasks: {one: {action: core.noop, delay: 5}}"));
    return {core, pack};
  }
  // Lets the engine, whose clock does not run by itself, see what time it is.
  void pass(int64_t ms) {
    tick(ms);
    ASSERT_TRUE(run("core.noop").ok());
    settle();
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(command::cancel(kTester, id, std::move(reply)));
    });
  }
  Result<ExecutionRow> resolve(ExecutionId id) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(
          command::resolve(kTester, id, {.kind = Resolution::Kind::Retry}, std::move(reply)));
    });
  }
  Result<ExecutionRow> sleep(int seconds) {
    return run("core.sleep", Value::map({{"seconds", seconds}}));
  }
  void inject_push() {
    auto sent =
        run("core.inject_trigger",
            Value::map({{"trigger", "ci.push"}, {"payload", Value::map({{"branch", "main"}})}}));
    ASSERT_TRUE(sent.ok()) << sent.error().describe();
    settle();
  }
};

TEST_F(Promises, K1AMessageThatWasLeftBehindIsHandledByTheNextServer) {
  open_worker(1);
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("other", "e1").ok());
  engine_.reset();
  // As a server that died between the commit of an event and its enforcement leaves it.
  plant(
      "UPDATE event SET payload = CAST('{\"branch\":\"main\"}' AS BLOB);"
      "INSERT INTO message SELECT id, tenant, 0, 0, id, created, x'' FROM event");
  start();
  open_worker(1);
  EXPECT_EQ(worker_.next().action, "ci.build");
  EXPECT_EQ(count("message"), 0);
}

TEST_F(Promises, K2ACancelHintThatWasLostIsGivenAgainByTheSweep) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  ASSERT_TRUE(cancel(started->id).ok());
  EXPECT_EQ(worker_.next_cancel(), order.key);
  pass(61'000);
  EXPECT_EQ(worker_.next_cancel(), order.key);
  EXPECT_EQ(count("outbox"), 1);
  finish(order, 0);
  EXPECT_EQ(count("outbox"), 0);
}

TEST_F(Promises, K2AMessageThatCannotBeWrittenGivesItsPlaceToItsReason) {
  ASSERT_TRUE(make_rule().ok());
  refuse_inserts("enforcement");
  inject_push();
  EXPECT_EQ(count("message"), 0);
  EXPECT_EQ(count("enforcement"), 0);
  EXPECT_EQ(count("quarantine WHERE reason LIKE '%planted refusal%'"), 1);
  allow_inserts("enforcement");
}

TEST_F(Promises, K3AStepThatIsRefusedLeavesNothingOfItself) {
  ASSERT_TRUE(make_rule().ok());
  int64_t changes = count("change_feed");
  refuse_inserts("change_feed");  // the last of a batch
  auto refused = send("main", "e1");
  ASSERT_FALSE(refused.ok());
  settle();
  EXPECT_EQ(count("event"), 0);
  EXPECT_EQ(count("enforcement"), 0);
  EXPECT_EQ(count("queue"), 0);
  EXPECT_EQ(count("dedupe"), 0);
  EXPECT_EQ(count("change_feed"), changes);
  allow_inserts("change_feed");
  // It may be sent again: its key was not consumed.
  auto again = send("main", "e1");
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_FALSE(again->duplicate);
}

TEST_F(Promises, K4AMessageThatIsBroughtTwiceIsHandledOnce) {
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("main", "e1").ok());
  settle();
  EXPECT_EQ(count("enforcement"), 1);
  // A sweep that read it just before it was acknowledged. No use case brings a message by itself.
  MessageRow message;
  message.id = MessageId{1};
  message.tenant = kDefaultTenant;
  auto reader = store_->open_reader();
  message.subject = *store::query_int(**reader, "SELECT id FROM event");
  engine_->submit(enforce_event(message));
  settle();
  EXPECT_EQ(count("enforcement"), 1);
}

TEST_F(Promises, K4ACompletionThatIsReportedTwiceEndsTheRunOnce) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  finish(order, 0);
  int64_t changes = count("change_feed");
  finish(order, 1);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
  EXPECT_EQ(count("change_feed"), changes);
}

TEST_F(Promises, K5ATimerDoesNotFireBeforeItsTime) {
  auto sleeping = sleep(30);
  pass(29'999);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Running);
  pass(1);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Promises, K5ATimerThatCameDueWhileNoServerRanFiresOnce) {
  auto sleeping = sleep(30);
  engine_.reset();
  tick(3'600'000);
  start();
  pass(0);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Succeeded);
  EXPECT_EQ(count("timer"), 0);
  EXPECT_EQ(count("change_feed WHERE detail = 'succeeded' AND entity = " + sleeping->id.str()), 1);
}

TEST_F(Promises, K5ADateFiresOnce) {
  RuleSpec spec;
  spec.ref = "ci.at_a_date";
  spec.trigger = "core.datetimetimer";
  spec.trigger_parameters = Value::map({{"fire_at", to_rfc3339(now_ms_ + 10'000)}});
  spec.action = "core.noop";
  auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
    engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
  });
  ASSERT_TRUE(made.ok()) << made.error().describe();
  pass(11'000);
  pass(1'000'000);
  EXPECT_EQ(count("event"), 1);
  EXPECT_EQ(count("enforcement"), 1);
  EXPECT_EQ(count("timer"), 0);
}

TEST_F(Promises, K5ACancelThatWasCommittedFirstBeatsTheTimer) {
  auto sleeping = sleep(30);
  ASSERT_TRUE(cancel(sleeping->id).ok());
  EXPECT_EQ(count("timer"), 0);
  pass(31'000);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Canceled);
}

TEST_F(Promises, K5ATimerThatFiredFirstBeatsTheCancel) {
  auto sleeping = sleep(30);
  pass(31'000);
  EXPECT_FALSE(cancel(sleeping->id).ok());
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Succeeded);
}

// Looks into the store at the moment in which it is given an order.
class CheckingWorker : public WorkReceiver {
 public:
  explicit CheckingWorker(sql::Store& store) : store_(store) {}
  void grant(SessionId, std::vector<WorkOrder> orders) override {
    auto reader = store_.open_reader();
    std::lock_guard lock(mutex_);
    for (const auto& order : orders) {
      auto row = store::find_execution(**reader, kDefaultTenant, order.key.execution);
      bool durable = row.ok() && *row && (*row)->status == ExecutionStatus::Running &&
                     (*row)->started > 0 && (*row)->worker && (*row)->key() == order.key;
      durable ? ++durable_ : ++early_;
      last_ = order;
    }
  }
  void cancel(SessionId, const Of<RunKey>&, std::string) override {}

  int durable() { return locked(durable_); }
  int early() { return locked(early_); }
  WorkOrder last() { return locked(last_); }

 private:
  template <typename T>
  T locked(const T& value) {
    std::lock_guard lock(mutex_);
    return value;
  }
  sql::Store& store_;
  std::mutex mutex_;
  int durable_ = 0;
  int early_ = 0;
  WorkOrder last_;
};

TEST_F(Promises, K7NoOrderLeavesBeforeItsLeaseAndStartAreDurable) {
  CheckingWorker worker(*store_);
  open_session({.name = "local", .slots = 1, .instance = "s1"}, worker);
  settle();
  ASSERT_TRUE(run("ci.build").ok());  // gets the slot
  ASSERT_TRUE(run("ci.build").ok());  // waits in the queue for it
  settle();
  finish(worker.last(), 0);
  EXPECT_EQ(worker.durable(), 2);
  EXPECT_EQ(worker.early(), 0);
  engine_->close(session_);
}

TEST_F(Promises, K8WhatWaitsForASlotIsStartedByTheNextServer) {
  auto waiting = run("ci.build");
  EXPECT_EQ(waiting->status, ExecutionStatus::Requested);
  engine_.reset();
  start();
  open_worker(1);
  EXPECT_EQ(worker_.next().key.execution, waiting->id);
}

// A delayed step that ends as it starts was never in the queue: those that are must still count.
TEST_F(Promises, K8ADelayedStepInsideTheServerTakesNobodyOffTheQueue) {
  open_worker(1);
  auto later = run("ci.later");
  pass(6'000);
  ASSERT_EQ(stored(later->id).status, ExecutionStatus::Succeeded);
  auto first = run("ci.build");
  auto second = run("ci.build");
  finish(worker_.next(), 0);
  ASSERT_EQ(worker_.waiting_orders(), 1U) << "the second has a slot and is not started";
  finish(worker_.next(), 0);
  EXPECT_EQ(stored(second->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Promises, K8WhatNeedsADecisionSaysWhoDecides) {
  open_worker(1);
  auto once = run("ci.build");
  worker_.next();
  engine_.reset();
  start();
  open_worker(1, "another spawner");
  EXPECT_NE(stored(once->id).held.find("an operator decides"), std::string::npos);
  ASSERT_TRUE(resolve(once->id).ok());
  EXPECT_EQ(worker_.next().key.attempt, 2);
}

TEST_F(Promises, K9AFinalStatusNeverChanges) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  finish(order, 0);
  int64_t version = stored(started->id).version;
  EXPECT_EQ(cancel(started->id).error().kind(), ErrorKind::Conflict);
  EXPECT_EQ(resolve(started->id).error().kind(), ErrorKind::Conflict);
  finish(order, 1);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
  EXPECT_EQ(stored(started->id).version, version);
}

}  // namespace
}  // namespace millrace::engine
