// SPDX-License-Identifier: Apache-2.0
// Policies: how much runs at once, how often it starts, what is tried again. Each test runs twice:
// as it is, and with the server stopped and started again between all operations.
#include <fmt/format.h>

#include "base/charset.h"
#include "packs/policy.h"
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

PolicySpec policy(std::string ref, const char* yaml) {
  std::vector<Problem> problems;
  auto spec = packs::read_policy_value(parse_yaml(yaml, "p.yaml")->value, "ci", problems);
  for (const auto& problem : problems) ADD_FAILURE() << problem.path << " " << problem.message;
  spec.ref = std::move(ref);
  return spec;
}

class Limits : public EngineTest, public ::testing::WithParamInterface<bool> {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto pack = std::make_shared<Pack>(*test_pack());
    pack->policies = policies_;
    pack->digest = digest_;
    for (auto& action : pack->actions) {
      for (auto& parameter : action.parameters) parameter.secret = all_secret_;
    }
    return {core_pack(), pack};
  }
  // In force from now on, as files of the pack.
  void load(std::vector<PolicySpec> policies) {
    policies_ = std::move(policies);
    digest_ += "x";
    auto loaded = await<int>([&](Reply<int> reply) {
      engine_->submit(command::load_packs(kTester, pack_set(packs()), std::move(reply)));
    });
    ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
    settle();
  }
  // In the second way of running the server dies here.
  void between() {
    if (!GetParam()) return settle();
    settle();
    engine_.reset();
    start();
    std::vector<RunKey> running;
    for (const auto& order : orders_) running.push_back(order.key);
    open_worker(slots_, "s1", running);
  }
  ExecutionRow begin(std::string action, Value parameters = Value::map()) {
    between();
    auto row = run(std::move(action), std::move(parameters));
    EXPECT_TRUE(row.ok()) << row.error().describe();
    settle();
    take_orders();
    return row.ok() ? stored(row->id) : ExecutionRow{};
  }
  ExecutionRow begin_with(std::string action, Priority priority) {
    between();
    auto row = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      NewExecution request;
      request.action = std::move(action);
      request.priority = priority;
      engine_->submit(command::run(kTester, std::move(request), std::move(reply)));
    });
    EXPECT_TRUE(row.ok()) << row.error().describe();
    settle();
    take_orders();
    return row.ok() ? stored(row->id) : ExecutionRow{};
  }
  void take_orders() {
    while (worker_.waiting_orders() > 0) orders_.push_back(worker_.next());
  }
  bool is_at_work(ExecutionId id) {
    return std::ranges::any_of(orders_, [&](auto& order) { return order.key.execution == id; });
  }
  void end(ExecutionId id, int exit_code = 0) {
    between();
    auto order =
        std::ranges::find_if(orders_, [&](auto& each) { return each.key.execution == id; });
    ASSERT_NE(order, orders_.end());
    WorkOrder taken = std::move(*order);
    orders_.erase(order);
    finish(taken, exit_code);
    settle();
    take_orders();
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    between();
    auto row = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(command::cancel(kTester, id, std::move(reply)));
    });
    settle();
    take_orders();
    return row;
  }
  void pass(int64_t ms) {
    between();
    tick(ms);
    settle();
    take_orders();
  }
  ExecutionStatus status(ExecutionId id) { return stored(id).status; }

  int slots_ = 10;
  std::vector<PolicySpec> policies_;
  std::string digest_ = "d1";
  bool all_secret_ = false;
  std::vector<WorkOrder> orders_;
};
INSTANTIATE_TEST_SUITE_P(AsItIs, Limits, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, Limits, ::testing::Values(true));

constexpr const char* kOne = "{action: ci.check, concurrency: {limit: 1}}";

TEST_P(Limits, WhoFindsNoRoomWaitsInOrderAndSaysWhy) {
  open_worker(10);
  load({policy("ci.one", kOne)});
  auto a = begin("ci.check"), b = begin("ci.check"), c = begin("ci.check");
  EXPECT_TRUE(is_at_work(a.id));
  EXPECT_EQ(b.status, ExecutionStatus::Delayed);
  EXPECT_EQ(b.held, fmt::format("waits for policy 'ci.one': 1 of 1 are at work ({})", a.id.value));
  EXPECT_EQ(c.held, fmt::format("waits for policy 'ci.one': 1 of 1 are at work ({}); others wait "
                                "before it",
                                a.id.value));
  EXPECT_TRUE(is_at_work(begin("ci.build").id)) << "another action";
  end(a.id);
  EXPECT_TRUE(is_at_work(b.id));
  EXPECT_FALSE(is_at_work(c.id));
  end(b.id, 1);
  EXPECT_EQ(status(b.id), ExecutionStatus::Failed);
  EXPECT_TRUE(is_at_work(c.id));
  end(c.id);
  EXPECT_EQ(count("place"), 0);
}

TEST_P(Limits, StackStormsFormsCountAndCancel) {
  open_worker(10);
  load({policy("ci.two", R"({resource_ref: ci.check, policy_type: action.concurrency.attr,
                              parameters: {threshold: 1, attributes: [branch], action: delay}})"),
        policy("ci.all", R"({resource_ref: ci.check, policy_type: action.concurrency,
                              parameters: {threshold: 2, action: cancel}})")});
  auto on = [](const char* branch) { return Value::map({{"branch", branch}}); };
  auto main = begin("ci.check", on("main"));
  auto again = begin("ci.check", on("main"));
  auto other = begin("ci.check", on("other"));
  auto third = begin("ci.check", on("third"));
  EXPECT_TRUE(is_at_work(main.id) && is_at_work(other.id));
  EXPECT_EQ(again.status, ExecutionStatus::Delayed);
  EXPECT_EQ(third.status, ExecutionStatus::Canceled);
  EXPECT_EQ(third.failure, FailureClass::Policy);
  EXPECT_NE(third.result_json.find("policy 'ci.all': 2 of 2 are at work"), std::string::npos);
  end(main.id);
  EXPECT_TRUE(is_at_work(again.id));
}

TEST_P(Limits, TheNewestTakesThePlaceOfTheOldest) {
  open_worker(10);
  load({policy("ci.last", "{action: ci.check, concurrency: {limit: 1, then: cancel_oldest}}")});
  auto a = begin("ci.check");
  auto b = begin("ci.check");
  EXPECT_EQ(worker_.next_cancel().execution, a.id);
  auto c = begin("ci.check");
  EXPECT_EQ(status(a.id), ExecutionStatus::Canceling);
  EXPECT_EQ(status(b.id), ExecutionStatus::Delayed);
  end(a.id);
  EXPECT_EQ(status(a.id), ExecutionStatus::Canceled);
  EXPECT_EQ(status(b.id), ExecutionStatus::Canceled) << "a newer one waits";
  EXPECT_TRUE(is_at_work(c.id));
}

TEST_P(Limits, ARetryOfAnOldRunTakesNoNewerOnesPlace) {
  open_worker(10);
  load({policy("ci.last", "{action: ci.check, concurrency: {limit: 1, then: cancel_oldest}}"),
        policy("ci.again", "{action: ci.check, retry: {count: 1, delay: 10s}}")});
  auto a = begin("ci.check");
  end(a.id, 7);
  auto b = begin("ci.check");
  pass(10'001);
  EXPECT_EQ(status(a.id), ExecutionStatus::Canceled) << stored(a.id).held;
  EXPECT_NE(stored(a.id).result_json.find("newer ones"), std::string::npos);
  EXPECT_EQ(status(b.id), ExecutionStatus::Running);
}

TEST_P(Limits, TheOldestIsWhoWasAskedForFirstWhateverItsPriority) {
  open_worker(10);
  load({policy("ci.last", "{action: ci.check, concurrency: {limit: 2, then: cancel_oldest}}")});
  auto a = begin_with("ci.check", Priority::Low);
  auto b = begin_with("ci.check", Priority::High);
  auto c = begin("ci.check");
  EXPECT_EQ(worker_.next_cancel().execution, a.id);
  EXPECT_EQ(status(b.id), ExecutionStatus::Running);
  end(a.id);
  EXPECT_TRUE(is_at_work(c.id));
}

TEST_P(Limits, WhoWaitsCanBeCanceled) {
  open_worker(10);
  load({policy("ci.one", kOne)});
  auto a = begin("ci.check"), b = begin("ci.check"), c = begin("ci.check");
  EXPECT_EQ(cancel(b.id)->status, ExecutionStatus::Canceled);
  end(a.id);
  EXPECT_TRUE(is_at_work(c.id));
}

TEST_P(Limits, ALoadOfThePackKeepsWhatIsCountedAndAHigherLimitLetsIn) {
  open_worker(10);
  load({policy("ci.one", kOne)});
  auto a = begin("ci.check"), b = begin("ci.check"), c = begin("ci.check"), d = begin("ci.check");
  load({policy("ci.one", kOne)});
  EXPECT_EQ(status(b.id), ExecutionStatus::Delayed);
  load({policy("ci.one", "{action: ci.check, concurrency: {limit: 2}}")});
  take_orders();
  EXPECT_TRUE(is_at_work(b.id));
  EXPECT_FALSE(is_at_work(c.id));
  load({});
  take_orders();
  EXPECT_TRUE(is_at_work(c.id) && is_at_work(d.id));
  for (const auto& each : {a, b, c, d}) end(each.id);
  EXPECT_EQ(count("place"), 0);
}

TEST_P(Limits, APacksLimitHoldsForAllOfItsActions) {
  open_worker(10);
  load({policy("ci.pack", "{of_pack: ci, concurrency: {limit: 1}}")});
  auto a = begin("ci.check"), b = begin("ci.build");
  EXPECT_EQ(b.status, ExecutionStatus::Delayed);
  end(a.id);
  EXPECT_TRUE(is_at_work(b.id));
}

TEST_P(Limits, ARateLetsStartAsManyInItsTime) {
  open_worker(10);
  load({policy("ci.calm", "{action: ci.check, rate: {limit: 2, per: 60s}}")});
  auto a = begin("ci.check"), b = begin("ci.check"), c = begin("ci.check"), d = begin("ci.check");
  EXPECT_TRUE(is_at_work(a.id) && is_at_work(b.id));
  EXPECT_EQ(c.status, ExecutionStatus::Delayed);
  EXPECT_NE(c.held.find("waits for policy 'ci.calm': 2 may start in 1m; it may at"),
            std::string::npos)
      << c.held;
  pass(29'000);
  EXPECT_FALSE(is_at_work(c.id));
  pass(1'001);
  EXPECT_TRUE(is_at_work(c.id));
  EXPECT_FALSE(is_at_work(d.id));
  pass(30'001);
  EXPECT_TRUE(is_at_work(d.id));
}

TEST_P(Limits, AFasterRateFreesWhoWaitsForTheSlowOne) {
  open_worker(10);
  load({policy("ci.calm", "{action: ci.check, rate: {limit: 1, per: 1d}}"),
        policy("ci.few", "{action: ci.build, rate: {limit: 1, per: 1d, then: refuse}}")});
  begin("ci.check"), begin("ci.build");
  auto b = begin("ci.check");
  EXPECT_FALSE(is_at_work(b.id));
  EXPECT_FALSE(run("ci.build").ok());
  pass(10'001);
  load({policy("ci.calm", "{action: ci.check, rate: {limit: 1, per: 10s}}"),
        policy("ci.few", "{action: ci.build, rate: {limit: 1, per: 10s, then: refuse}}")});
  take_orders();
  EXPECT_TRUE(is_at_work(b.id)) << stored(b.id).held;
  auto c = begin("ci.check");
  EXPECT_FALSE(is_at_work(c.id));
  EXPECT_TRUE(run("ci.build").ok());
  EXPECT_FALSE(run("ci.build").ok());
  pass(10'001);
  EXPECT_TRUE(is_at_work(c.id)) << stored(c.id).held;
}

TEST_P(Limits, SecretValuesAreCountedNowhere) {
  open_worker(10);
  all_secret_ = true;
  load({policy("ci.pack", "{of_pack: ci, concurrency: {limit: 1, by: [branch]}}")});
  auto on = [](const char* branch) { return Value::map({{"branch", branch}}); };
  begin("ci.check", on("one"));
  EXPECT_EQ(begin("ci.check", on("two")).status, ExecutionStatus::Delayed);
  EXPECT_EQ(count("gauge WHERE name = 'ci.pack/c'"), 1);
}

TEST_P(Limits, AServerThatWasAwayStartsNoMoreThanTheRateAllows) {
  open_worker(10);
  load({policy("ci.calm", "{action: ci.check, rate: {limit: 1, per: 60s}}")});
  std::vector<ExecutionRow> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(begin("ci.check"));
  pass(600'000);
  size_t at_work = 0;
  for (const auto& row : rows) at_work += is_at_work(row.id) ? 1 : 0;
  EXPECT_EQ(at_work, 2U);
}

TEST_P(Limits, ARateAndAQuotaMayRefuse) {
  open_worker(10);
  now_ms_ = 1'800'000'000'000;  // 08:00 of a day
  load({policy("ci.few", R"({action: ci.check, rate: {limit: 1, per: 10s, then: refuse},
                              quota: {limit: 2, per: hour}})")});
  begin("ci.check");
  auto second = run("ci.check");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), "POL-0102");
  EXPECT_EQ(second.error().kind(), ErrorKind::Busy);
  pass(10'001);
  begin("ci.check");
  pass(10'001);
  auto fourth = run("ci.check");
  ASSERT_FALSE(fourth.ok());
  EXPECT_EQ(fourth.error().code(), "POL-0101");
  EXPECT_EQ(fourth.error().message(),
            "policy 'ci.few': its 2 of this hour are used; there are more from "
            "2027-01-15T09:00:00.000Z on");
  pass(3'600'000);
  EXPECT_TRUE(is_at_work(begin("ci.check").id));
}

TEST_P(Limits, WhatFailsIsTriedAgainAsOftenAsThePolicySays) {
  open_worker(10);
  load({policy("ci.again", R"({action: ci.check, retry: {count: 2, delay: 10s, backoff: 3}})"),
        policy("ci.one", kOne)});
  auto a = begin("ci.check"), b = begin("ci.check");
  end(a.id, 7);
  auto row = stored(a.id);
  EXPECT_EQ(row.status, ExecutionStatus::Delayed);
  EXPECT_EQ(row.attempt, 2);
  EXPECT_EQ(row.held,
            "attempt 1 has ended as failed: exit code 7: policy 'ci.again' tries it again, 1 of 2");
  EXPECT_TRUE(is_at_work(b.id)) << "it holds no place while it waits";
  end(b.id);
  pass(10'001);
  EXPECT_TRUE(is_at_work(a.id));
  end(a.id, 7);
  pass(10'001);
  EXPECT_FALSE(is_at_work(a.id));
  pass(20'001);
  EXPECT_TRUE(is_at_work(a.id));
  end(a.id, 7);
  EXPECT_EQ(status(a.id), ExecutionStatus::Failed);
  EXPECT_EQ(stored(a.id).attempt, 3);
}

TEST_P(Limits, OfALongMessageARetryKeepsTheBeginning) {
  load({policy("ci.again", "{action: core.fail, retry: {count: 1, delay: 10s}}")});
  std::string words = "x";
  for (int i = 0; i < 100'000; ++i) words += "\u00e4";
  auto row = begin("core.fail", Value::map({{"message", words}}));
  EXPECT_EQ(row.status, ExecutionStatus::Delayed);
  EXPECT_LT(row.held.size(), 700U);
  EXPECT_EQ(first_not_utf8(row.held), std::string::npos);
  EXPECT_NE(row.held.find("tries it again, 1 of 1"), std::string::npos) << row.held;
}

TEST_P(Limits, APacksOwnPolicyIsVersionZero) {
  load({policy("ci.one", kOne)});
  auto write = [&](PolicySpec spec, int64_t version) {
    return await<PolicyRow>([&](Reply<PolicyRow> reply) {
      engine_->submit(command::write_policy(
          kTester, {.how = PolicyWrite::How::Write, .spec = std::move(spec), .if_version = version},
          std::move(reply)));
    });
  };
  auto two = policy("ci.one", "{action: ci.check, concurrency: {limit: 2}}");
  EXPECT_EQ(write(two, 1).error().code(), "POL-0108");
  auto row = write(two, 0);
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(row->version, 1);
  all_secret_ = true;
  load(policies_);
  auto secret = policy("ci.one", "{of_pack: ci, rate: {limit: 1, per: 1s, by: [branch]}}");
  EXPECT_EQ(write(secret, 1).error().code(), "POL-0105");
}

// What is beside a failed or canceled step goes on until its own end.
constexpr const char* kBeside = R"(
version: 1.0
tasks:
  left: {action: ci.check}
  right: {action: ci.build}
)";
constexpr const char* kMany = R"(
tasks:
  each: {with: {items: "{{ range(700) | list }}"}, action: ci.check,
    input: {branch: "{{ item | string }}"}}
)";

class LimitsOfWorkflows : public Workflows {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto pack = std::make_shared<Pack>(*workflow_pack());
    pack->policies = policies_;
    pack->actions.push_back(workflow("ci.beside", kBeside, "orquesta"));
    pack->actions.push_back(workflow("ci.many", kMany));
    return {core_pack(), pack};
  }
  std::vector<PolicySpec> policies_{policy("ci.one", kOne)};
};
INSTANTIATE_TEST_SUITE_P(AsItIs, LimitsOfWorkflows, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, LimitsOfWorkflows, ::testing::Values(true));

TEST_P(LimitsOfWorkflows, StepsWaitForEachOther) {
  begin();
  auto row = begun("ci.fork");
  EXPECT_EQ(worker_.waiting_orders(), 1U);
  run_steps({"left"});
  run_steps({"right"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(LimitsOfWorkflows, AStepOfAPausedWorkflowDoesNotStartWhenRoomComes) {
  begin();
  auto row = begun("ci.fork");
  auto left = take();
  ASSERT_TRUE(pause(row.id).ok());
  end(left);
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  EXPECT_EQ(count("place"), 0);
  ASSERT_TRUE(resume(row.id).ok());
  run_steps({"right"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

class RetriesOfSteps : public LimitsOfWorkflows {
 protected:
  RetriesOfSteps() {
    policies_ = {policy("ci.again", "{action: ci.check, retry: {count: 1, delay: 10s}}"),
                 policy("ci.late", "{action: core.sleep, retry: {count: 1, on: timeout}}")};
  }
  void end_left(WorkOrder left, WorkOrder right, int right_code) {
    if (task_of(left) != "left") std::swap(left, right);
    end(right, right_code);
    end(left, 1);
    EXPECT_EQ(stored(left.key.execution).status, ExecutionStatus::Failed)
        << shown(left.key.execution);
  }
};
INSTANTIATE_TEST_SUITE_P(AsItIs, RetriesOfSteps, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, RetriesOfSteps, ::testing::Values(true));

TEST_P(RetriesOfSteps, OfACanceledWorkflowNothingIsTriedAgain) {
  begin();
  auto row = begun("ci.beside");
  auto one = take(), two = take();
  ASSERT_TRUE(cancel(row.id).ok());
  end_left(one, two, 0);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Canceled) << shown(row.id);
}

TEST_P(RetriesOfSteps, OfAFailedWorkflowNothingIsTriedAgain) {
  begin();
  auto row = begun("ci.beside");
  auto one = take(), two = take();
  end_left(one, two, 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(RetriesOfSteps, WhatSleepsTooLongInsideTheServerIsTriedAgain) {
  begin();
  auto row = begun("ci.timeout");
  pass(10'001);
  auto slow = steps(row.id).at(0);
  EXPECT_EQ(slow.attempt, 2) << shown(slow.id);
  EXPECT_FALSE(is_final(stored(row.id).status));
  pass(10'001);
  pass(10'001);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id)["late"], Value(true));
}

class StartsOfSteps : public LimitsOfWorkflows {
 protected:
  StartsOfSteps() {
    policies_ = {policy("ci.few", "{action: ci.check, quota: {limit: 2, per: day}}"),
                 policy("ci.calm", "{action: ci.check, rate: {limit: 2, per: 1h}}")};
  }
};
INSTANTIATE_TEST_SUITE_P(AsItIs, StartsOfSteps, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, StartsOfSteps, ::testing::Values(true));

TEST_P(StartsOfSteps, AreCountedOnceThoughTheirWorkflowPauses) {
  begin(1);
  auto row = begun("ci.fork");
  auto left = take();
  ASSERT_TRUE(pause(row.id).ok());
  end(left);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused) << shown(row.id);
  ASSERT_TRUE(resume(row.id).ok());
  ASSERT_EQ(worker_.waiting_orders(), 1U) << shown(row.id);
  end(take());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(count("gauge WHERE used = 2"), 1);
}

class RateOfSteps : public LimitsOfWorkflows {
 protected:
  RateOfSteps() {
    policies_ = {policy("ci.calm", "{action: ci.check, rate: {limit: 1, per: 1h}}")};
  }
};
INSTANTIATE_TEST_SUITE_P(AsItIs, RateOfSteps, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, RateOfSteps, ::testing::Values(true));

TEST_P(RateOfSteps, WhoWaitsForItIsInTheQueueAgainWhenItsWorkflowGoesOn) {
  begin();
  auto row = begun("ci.fork");
  end(take());
  EXPECT_EQ(count("place"), 1);
  ASSERT_TRUE(pause(row.id).ok());
  EXPECT_EQ(count("place"), 0);
  ASSERT_TRUE(resume(row.id).ok());
  EXPECT_EQ(count("place"), 1);
  EXPECT_EQ(count("timer"), 1);
  pass(3'600'001);
  end(take());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

class ManyValues : public LimitsOfWorkflows {
 protected:
  ManyValues() {
    policies_ = {policy("ci.each", R"({action: ci.check, concurrency: {limit: 1, by: [branch]},
                                       rate: {limit: 1, per: 1s, by: [branch]},
                                       quota: {limit: 5, per: day, by: [branch]}})")};
  }
};
INSTANTIATE_TEST_SUITE_P(AsItIs, ManyValues, ::testing::Values(false));

TEST_P(ManyValues, StartInAsManyDecisionsAsTheyNeed) {
  begin();
  auto row = begun("ci.many");
  EXPECT_EQ(count("quarantine"), 0);
  EXPECT_EQ(count("execution WHERE parent = " + row.id.str()), 700) << shown(row.id);
  ASSERT_TRUE(cancel(row.id).ok());
  EXPECT_EQ(count("quarantine"), 0);
}

class LimitsOfAPack : public LimitsOfWorkflows {
 protected:
  LimitsOfAPack() {
    policies_ = {policy("ci.pack", "{of_pack: ci, concurrency: {limit: 1}}"),
                 policy("ci.again", "{action: ci.sequence, retry: {count: 1, delay: 5}}"),
                 policy("ci.one_parent", "{action: ci.parent, concurrency: {limit: 1}}"),
                 policy("ci.few", "{action: core.noop, quota: {limit: 1, per: day}}")};
  }
};
INSTANTIATE_TEST_SUITE_P(AsItIs, LimitsOfAPack, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(AcrossRestarts, LimitsOfAPack, ::testing::Values(true));

TEST_P(LimitsOfAPack, AWorkflowDoesNotStandInTheWayOfItsSteps) {
  begin();
  auto row = begun("ci.fork");
  EXPECT_EQ(worker_.waiting_orders(), 1U);
  run_steps({"left"});
  run_steps({"right"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(LimitsOfAPack, AWorkflowThatFailsRunsAgainAsANewExecution) {
  begin();
  auto row = begun("ci.sequence");
  end(take(), 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed);
  EXPECT_EQ(count("execution WHERE original = " + row.id.str()), 1);
  pass(5'001);
  end(take(), 1);
  pass(60'000);
  EXPECT_EQ(worker_.waiting_orders(), 0U) << "once is enough";
  EXPECT_EQ(count("execution WHERE retries > 0"), 1);
}

TEST_P(LimitsOfAPack, AStepThatIsRefusedFailsItsTask) {
  begin();
  ASSERT_TRUE(run("core.noop").ok());
  auto row = begun("ci.fork");
  EXPECT_EQ(count("execution WHERE task = 'start'"), 0) << "what is refused is no execution";
  EXPECT_EQ(worker_.waiting_orders(), 1U) << "the workflow goes on as its transitions say";
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Running) << shown(row.id);
}

}  // namespace
}  // namespace millrace::engine
