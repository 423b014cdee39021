// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

namespace millrace::engine {
namespace {

TEST_F(EngineTest, AMatchedEventIsLeasedAndStartedInOneCommit) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  int64_t before = engine_->stats().commits;
  auto event = send("main", "e1");
  ASSERT_TRUE(event.ok()) << event.error().describe();
  WorkOrder order = worker_.next();
  EXPECT_EQ(engine_->stats().commits, before + 1);
  EXPECT_EQ(order.parameters["branch"], Value("main"));
  EXPECT_EQ(stored(order.key.execution).status, ExecutionStatus::Running);
  finish(order, 0);
  auto row = stored(order.key.execution);
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_EQ(parse_json(row.result_json)->find("output")->int_or("n", 0), 1);
  EXPECT_EQ(engine_->stats().commits, before + 2);
}

TEST_F(EngineTest, AnEventThatDoesNotMatchStartsNothing) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("other", "e1").ok());
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

// What a rule's regular expression costs over an event is known before: it fails with the reason,
// and the other rules go on.
TEST_F(EngineTest, ARuleThatCostsTooMuchFailsAlone) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  auto add = [&](std::string ref, std::string_view pattern) {
    RuleSpec spec{.ref = std::move(ref), .trigger = "ci.push", .action = "core.noop"};
    spec.criteria =
        Value::map({{"trigger.branch", Value::map({{"type", "regex"}, {"pattern", pattern}})}});
    return await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
    });
  };
  ASSERT_TRUE(add("ci.a_hostile", "(a?){1000}b").ok());
  ASSERT_TRUE(add("ci.z_honest", "^a+$").ok());
  auto sent = send(std::string(500'000, 'a'), "e1");
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  auto reader = store_->open_reader();
  auto made = *store::enforcements_of(**reader, kDefaultTenant, sent->event);
  ASSERT_EQ(made.size(), 2U);
  std::ranges::sort(made, {}, &EnforcementRow::rule_ref);
  EXPECT_EQ(made[0].rule_ref, "ci.a_hostile");
  EXPECT_EQ(made[0].status, EnforcementStatus::Failed);
  EXPECT_NE(made[0].error.find("took more than 4000000 steps"), std::string::npos) << made[0].error;
  EXPECT_EQ(made[1].rule_ref, "ci.z_honest");
  EXPECT_EQ(made[1].status, EnforcementStatus::Created);
}

// What is stored can be read again, whatever a rule puts around an event that is deep.
TEST_F(EngineTest, ParametersAreAsDeepAsCanBeReadAgain) {
  open_worker(2);
  auto nested = [](int depth, Value value) {
    for (int i = 0; i < depth; ++i) value = Value::map({{"w", std::move(value)}});
    return value;
  };
  auto start = [&](int depth) {
    return run("core.echo", Value::map({{"message", nested(depth, Value("x"))}}));
  };
  auto deep = start(99);
  ASSERT_TRUE(deep.ok()) << deep.error().describe();
  auto row = stored(deep->id);
  auto kept = parse_json(row.parameters_json, kOwnJson);
  ASSERT_TRUE(kept.ok()) << kept.error().describe();
  EXPECT_EQ((*kept)["message"], nested(99, Value("x")));
  auto result = parse_json(row.result_json, kOwnJson);
  ASSERT_TRUE(result.ok()) << result.error().describe();
  EXPECT_EQ((*result)["output"], nested(99, Value("x")));
  EXPECT_EQ(start(100).error().code(), "EXE-0028");
}

// What is handed to many actions is stored once for each.
TEST_F(EngineTest, WhatOneEventStartsIsNotLargeWithoutEnd) {
  constexpr size_t kRules = 40;
  for (size_t i = 0; i < kRules; ++i) {
    RuleSpec spec{.ref = fmt::format("ci.r{}", i), .trigger = "ci.push", .action = "core.echo"};
    spec.action_parameters = Value::map({{"message", "{{ trigger.branch }}"}});
    auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
    });
    ASSERT_TRUE(made.ok()) << made.error().describe();
  }
  auto sent = send(std::string(2 << 20, 'x'), "e1");
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  auto reader = store_->open_reader();
  auto made = *store::enforcements_of(**reader, kDefaultTenant, sent->event);
  ASSERT_EQ(made.size(), kRules);
  size_t started = 0;
  bool told = false;
  for (const auto& one : made) {
    if (one.status == EnforcementStatus::Created) {
      ++started;
    } else {
      EXPECT_NE(one.error.find("steps"), std::string::npos) << one.error;
      told = told || one.error.starts_with("EXE-0027: 'core.echo' cannot start");
    }
  }
  EXPECT_TRUE(told);
  EXPECT_GT(started, 10U);
  EXPECT_LT(started, 30U);
}

TEST_F(EngineTest, TheSameDeliveryTwiceGivesTheSameEventAndOneEffect) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  auto first = send("main", "e1");
  auto again = send("main", "e1");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(again->duplicate);
  EXPECT_EQ(first->event, again->event);
  worker_.next();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

TEST_F(EngineTest, WorkBeyondTheSlotsWaitsAndStartsWithTheCompletionThatFreesOne) {
  open_worker(1);
  auto first = run("ci.check");
  auto second = run("ci.check");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->status, ExecutionStatus::Running);
  EXPECT_EQ(second->status, ExecutionStatus::Requested);
  WorkOrder order = worker_.next();
  int64_t before = engine_->stats().commits;
  finish(order, 1);
  EXPECT_EQ(stored(first->id).status, ExecutionStatus::Failed);
  EXPECT_EQ(worker_.next().key.execution, second->id);
  EXPECT_EQ(engine_->stats().commits, before + 1);
}

TEST_F(EngineTest, ARequestWithoutATenantIsRefused) {
  auto refused = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    engine_->submit(command::run({.tenant = TenantId{}, .identity = "tester"},
                                 {.action = "core.noop"}, std::move(reply)));
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "SEC-0003");
}

TEST_F(EngineTest, UnknownActionIsRefusedWithTheNearestName) {
  auto refused = run("ci.biuld");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "unknown action 'ci.biuld' (did you mean 'ci.build'?)");
}

TEST_F(EngineTest, AnIdempotencyKeyGivesTheFirstExecutionAndRefusesAnotherRequest) {
  auto first = run("core.noop", Value::map(), "k1", "hash-a");
  auto again = run("core.noop", Value::map(), "k1", "hash-a");
  auto other = run("core.noop", Value::map(), "k1", "hash-b");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->id, again->id);
  EXPECT_EQ(again->action, "core.noop");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().kind(), ErrorKind::Mismatch);
}

TEST_F(EngineTest, CancelOfARunIsOwedUntilItsEndAndWins) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  auto canceled = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    engine_->submit(command::cancel(kTester, started->id, std::move(reply)));
  });
  ASSERT_TRUE(canceled.ok());
  EXPECT_EQ(canceled->status, ExecutionStatus::Canceling);
  EXPECT_EQ(worker_.next_cancel(), order.key);
  auto reader = store_->open_reader();
  EXPECT_EQ(store::outbox(**reader, kernel::ShardSet::all(), 0, 10)->size(), 1U);
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Canceled);
  EXPECT_EQ(store::outbox(**reader, kernel::ShardSet::all(), 0, 10)->size(), 0U);
}

TEST_F(EngineTest, SleepHoldsNoSlotAndEndsByItsTimer) {
  open_worker(1);
  auto sleeping = run("core.sleep", Value::map({{"seconds", 30}}));
  ASSERT_TRUE(sleeping.ok());
  EXPECT_EQ(sleeping->status, ExecutionStatus::Running);
  std::promise<void> ended;
  engine_->watch(engine_->new_watch(), {sleeping->tenant, sleeping->id},
                 [&](auto) { ended.set_value(); });
  tick(31'000);
  ASSERT_TRUE(run("core.noop").ok());  // wakes the engine, whose clock does not run by itself
  ASSERT_EQ(ended.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Succeeded);
}

TEST_F(EngineTest, ALostRunIsRerunOnlyWhenItsEffectClassAllows) {
  open_worker(2);
  auto once = run("ci.build");
  auto idempotent = run("ci.check");
  worker_.next();
  worker_.next();
  engine_.reset();
  start();
  open_worker(2, "another spawner");
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::NeedsDecision);
  WorkOrder again = worker_.next();
  EXPECT_EQ(again.key.execution, idempotent->id);
  EXPECT_EQ(again.key.attempt, 2);
}

TEST_F(EngineTest, ARunTheLivingSpawnerNeverSawStartsAgainAsTheSameAttempt) {
  open_worker(1);
  auto once = run("ci.build");
  WorkOrder lost = worker_.next();
  engine_.reset();
  start();
  open_worker(1);  // the same instance, nothing adopted
  WorkOrder again = worker_.next();
  EXPECT_EQ(again.key.execution, once->id);
  EXPECT_EQ(again.key.attempt, 1);
  EXPECT_GT(again.key.epoch, lost.key.epoch);
  finish(lost, 0);  // the old epoch cannot commit anything
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Running);
}

TEST_F(EngineTest, AnAdoptedRunGoesOnAsTheSameAttempt) {
  open_worker(1);
  auto once = run("ci.build");
  WorkOrder order = worker_.next();
  engine_.reset();
  start();
  open_worker(1, "s1", {order.key});
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Running);
  finish(order, 0);
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Succeeded);
}

// Its completion can come while the commit that opens the worker is under way: both in one batch.
TEST_F(EngineTest, AnAdoptedRunThatEndsWhileItsWorkerOpensGivesItsSlotBack) {
  open_worker(1);
  ASSERT_TRUE(run("ci.build").ok());
  WorkOrder order = worker_.next();
  engine_.reset();
  start();
  NewExecution other;
  other.action = "core.echo";
  other.parameters = Value::map({{"message", 1}});
  Completion completion;
  completion.tenant = order.tenant;
  completion.key = order.key;
  open_worker(1, "s1", {order.key});
  engine_->submit(command::run(kTester, other, [](auto) {}));  // keeps the engine busy
  WorkerHello hello;
  hello.name = "local";
  hello.slots = 1;
  hello.instance = "s1";
  hello.adopted = {order.key};
  engine_->open(hello, worker_, [](auto) {});
  engine_->finished(session_, completion, [] {});
  settle();
  EXPECT_EQ(stored(order.key.execution).status, ExecutionStatus::Succeeded);
  ASSERT_TRUE(run("ci.build").ok());
  settle();
  EXPECT_EQ(worker_.waiting_orders(), 1U);
}

TEST_F(EngineTest, AnInjectedTriggerIsEnforcedInATransitionOfItsOwn) {
  open_worker(1);
  ASSERT_TRUE(make_rule().ok());
  auto sent =
      run("core.inject_trigger",
          Value::map({{"trigger", "ci.push"}, {"payload", Value::map({{"branch", "main"}})}}));
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  EXPECT_EQ(worker_.next().action, "ci.build");
  settle();
  auto reader = store_->open_reader();
  EXPECT_EQ(store::messages(**reader, kernel::ShardSet::all(), 0, 10)->size(), 0U);
}

TEST_F(EngineTest, AnInjectedTriggerIsNoneThatTheServerAloneFires) {
  for (const char* trigger :
       {"core.webhook", "core.st2.webhook", "core.intervaltimer", "core.st2.CronTimer"}) {
    auto sent = run("core.inject_trigger", Value::map({{"trigger", trigger}}));
    std::string told = sent.ok() ? stored(sent->id).result_json : sent.error().describe();
    EXPECT_NE(told.find("fired by the server alone"), std::string::npos) << trigger << told;
  }
  settle();
  auto reader = store_->open_reader();
  EXPECT_EQ(store::messages(**reader, kernel::ShardSet::all(), 0, 10)->size(), 0U);
}

TEST_F(EngineTest, WhyTellsTheRevisionOfThatTime) {
  ASSERT_TRUE(make_rule().ok());
  tick(1000);
  auto event = send("other", "e1");
  ASSERT_TRUE(event.ok());
  auto reader = store_->open_reader();
  auto verdict = why(*engine_, **reader, kDefaultTenant, "ci.on_main", event->event);
  ASSERT_TRUE(verdict.ok()) << verdict.error().describe();
  EXPECT_FALSE(verdict->matched);
  EXPECT_EQ(verdict->revision, 1);
  EXPECT_NE(to_json(verdict->criteria).find("other"), std::string::npos)
      << to_json(verdict->criteria);
}

TEST_F(EngineTest, WhoRepeatsARequestWithItsKeyWaitsForTheFirstOnesEnd) {
  open_worker(1);
  ASSERT_TRUE(run("ci.build", Value::map(), "key").ok());
  std::promise<ExecutionRow> promise;
  auto future = promise.get_future();
  auto again = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    NewExecution request{.action = "ci.build", .parameters = Value::map()};
    request.watch = engine_->new_watch();
    request.ended = [&](Result<ExecutionRow> row) { promise.set_value(*row); };
    Caller caller{.tenant = kDefaultTenant,
                  .identity = "tester",
                  .idempotency_key = "key",
                  .request_hash = "h"};
    engine_->submit(command::run(caller, std::move(request), std::move(reply)));
  });
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(again->status, ExecutionStatus::Running);
  finish(worker_.next(), 0);
  ASSERT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(future.get().id, again->id);
}

TEST_F(EngineTest, ShellResultsOfStackStormHaveItsNamesToo) {
  open_worker(1);
  auto row = run("ci.shell");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  finish(worker_.next(), 3, "no");
  auto result = parse_json(stored(row->id).result_json);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)["exit_code"], Value(3));
  EXPECT_EQ((*result)["return_code"], Value(3));
  EXPECT_EQ((*result)["failed"], Value(true));
}

TEST_F(EngineTest, ARunThatNeverStartedHasNoExitCode) {
  open_worker(1);
  auto row = run("ci.shell");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  auto order = worker_.next();
  Completion completion{.tenant = order.tenant, .key = order.key};
  completion.end = RunEnd::SpawnFailed;
  completion.message = "no such folder";
  engine_->finished(session_, completion, [] {});
  settle();
  auto result = parse_json(stored(row->id).result_json);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)["exit_code"], Value());
  EXPECT_EQ((*result)["return_code"], Value());
  EXPECT_EQ((*result)["failed"], Value(true));
}

}  // namespace
}  // namespace millrace::engine
