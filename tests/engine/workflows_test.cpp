// SPDX-License-Identifier: Apache-2.0
// Workflows on the server. Every test runs twice: as it is, and with the engine stopped and started
// again between all operations, so that every step is decided from what is stored.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/yaml.h"
#include "harness.h"
#include "store/doctor.h"

namespace millrace::engine {
namespace {

Action workflow(const std::string& ref, const std::string& text, const char* type = "workflow") {
  Action action;
  action.ref = ref;
  action.runner_type = type;
  action.runner = Runner::Workflow;
  action.entry_point = "workflows/" + ref + ".yaml";
  action.timeout_ms = 0;
  auto document = parse_yaml(text, ref);
  if (!document.ok()) throw std::runtime_error(document.error().describe());
  action.workflow = std::make_shared<const YamlNode>(std::move(*document));
  for (const char* name : {"n", "xs", "who"}) {
    Parameter parameter;
    parameter.name = name;
    parameter.schema = Value::map();
    action.parameters.push_back(parameter);
  }
  return action;
}

constexpr const char* kPure = R"(
input: [n]
tasks:
  one: {action: core.echo, input: {message: <% ctx().n %>},
    next: [{publish: [{a: <% result().output %>}], do: two}]}
  two: {action: core.echo, input: {message: <% ctx().a + 1 %>},
    next: [{publish: [{b: <% result().output %>}], do: three}]}
  three: {action: core.noop}
output: [{b: <% ctx().b %>}]
)";
constexpr const char* kSequence = R"(
tasks:
  checkout: {action: ci.check, next: [{when: <% succeeded() %>,
    publish: [{n: <% result().output.n %>}], do: build}]}
  build: {action: ci.build, input: {branch: main}, next: [{when: <% succeeded() %>, do: report}]}
  report: {action: core.echo, input: {message: <% ctx().n %>}}
output: [{n: <% ctx().n %>}, {first: <% task(checkout).result.output.n %>}]
)";
constexpr const char* kFork = R"(
tasks:
  start: {action: core.noop, next: [{do: [left, right]}]}
  left: {action: ci.check, next: [{publish: [{l: 1}], do: together}]}
  right: {action: ci.check, next: [{publish: [{r: 2}], do: together}]}
  together: {join: all, action: core.echo, input: {message: <% ctx().l + ctx().r %>},
    next: [{publish: [{sum: <% result().output %>}]}]}
output: [{sum: <% ctx().sum %>}]
)";
constexpr const char* kItems = R"(
input: [xs]
tasks:
  each:
    with: {items: <% ctx().xs %>, concurrency: 2}
    action: ci.check
    input: {branch: <% str(item()) %>}
    next: [{publish: [{all: <% result().select($.output.n) %>}]}]
output: [{all: <% ctx().all %>}]
)";
constexpr const char* kRetry = R"(
tasks:
  flaky: {action: ci.check, retry: {count: 2, delay: 5}, next: [{when: <% succeeded() %>,
    publish: [{done: true}]}]}
output: [{done: <% ctx().done %>}]
)";
constexpr const char* kCycle = R"(
vars: [{i: 0}]
tasks:
  begin: {action: core.noop, next: [{do: turn}]}
  turn:
    action: core.noop
    next:
      - {when: <% ctx().i < 3 %>, publish: [{i: <% ctx().i + 1 %>}], do: turn2}
  turn2:
    action: ci.check
    next: [{when: <% ctx().i < 3 %>, do: turn}]
output: [{i: <% ctx().i %>}]
)";
constexpr const char* kParent = R"(
tasks:
  below: {action: ci.sequence, next: [{when: <% succeeded() %>,
    publish: [{n: <% result().output.n %>}]}]}
output: [{n: <% ctx().n %>}]
)";
constexpr const char* kOne = R"(
tasks:
  only: {action: ci.check}
)";
constexpr const char* kAboveOne = R"(
tasks:
  below: {action: ci.one, next: [{when: <% succeeded() %>, do: after}]}
  after: {action: ci.check}
)";
constexpr const char* kParents = R"(
input: [xs]
tasks:
  each: {with: {items: <% ctx().xs %>, concurrency: 2}, action: ci.sequence}
)";
constexpr const char* kApproval = R"(
tasks:
  ask: {action: core.ask, input: {prompt: go, schema: {type: object, required: [ok],
    properties: {ok: {type: boolean}}}}, next: [{when: <% succeeded() %>,
    publish: [{ok: <% result().response.ok %>}], do: after}]}
  beside: {action: ci.check, next: [{do: after_beside}]}
  after_beside: {action: core.noop}
  after: {action: core.noop}
output: [{ok: <% ctx(ok) %>}]
)";
constexpr const char* kSaga = R"(
tasks:
  book: {action: ci.check, compensate: unbook, next: [{when: <% succeeded() %>, do: pay}]}
  pay: {action: ci.build, compensate: refund, next: [{when: <% succeeded() %>, do: ship}]}
  ship: {action: ci.build}
  unbook: {action: ci.check}
  refund: {action: ci.check}
)";
constexpr const char* kHold = R"(
tasks:
  risky: {action: ci.check, on_failure: hold, next: [{when: <% succeeded() %>,
    publish: [{r: <% result() %>}]}]}
output: [{r: <% ctx(r) %>}]
)";
constexpr const char* kTimeout = R"(
tasks:
  slow: {action: core.sleep, input: {seconds: 3600}, timeout: 10,
    next: [{when: <% timed_out() %>, publish: [{late: true}], do: noop}]}
output: [{late: <% ctx(late) %>}]
)";
constexpr const char* kOrquestaAsk = R"(
version: 1.0
tasks:
  ask: {action: core.ask, next: [{when: <% succeeded() %>, do: after}]}
  after: {action: core.noop}
)";
constexpr const char* kMisspelt = R"(
tasks:
  a: {action: core.noop, next: [{do: bb}]}
)";
constexpr const char* kUnknownAction = R"(
tasks:
  a: {action: ci.biuld, next: [{when: <% failed() %>, publish: [{e: <% result().error %>}],
    do: noop}]}
output: [{e: <% ctx(e) %>}]
)";
constexpr const char* kEndless = R"(
tasks:
  begin: {action: core.noop, next: [{do: a}]}
  a: {action: core.noop, next: [{do: a}]}
)";
constexpr const char* kSelf = R"(
tasks:
  a: {action: ci.self}
)";
constexpr const char* kChain = R"(
chain:
  - {name: c1, ref: ci.check, parameters: {branch: 7}, on-success: c2}
  - {name: c2, ref: core.echo, parameters: {message: "{{ c1.output.n }}"}}
)";

constexpr const char* kBadItems = R"(
input: [xs]
tasks:
  each:
    with: {items: <% ctx().xs %>}
    action: ci.check
    input: {branch: <% item() %>}
    next:
      - {when: <% failed() %>, do: cleanup}
  cleanup: {action: core.noop}
)";
constexpr const char* kSomeItems = R"(
tasks:
  each:
    with: {items: "<% [1, 2, 3] %>"}
    action: ci.check
    on_failure: hold
    next: [{when: <% succeeded() %>, publish: [{all: <% result().select($.output.n) %>}]}]
output: [{all: <% ctx(all) %>}]
)";
constexpr const char* kAssigned = R"(
tasks:
  ask: {action: core.ask, input: {users: [ada], roles: [sre]}, next: [{do: noop}]}
)";
constexpr const char* kReads = R"(
tasks:
  first: {action: ci.check, next: [{when: <% succeeded() %>, do: second}]}
  second: {action: ci.build, input: {branch: "<% str(task(first).result.output.n) %>"}}
)";
constexpr const char* kBadRetry = R"(
input: [n]
tasks:
  a: {action: core.noop, retry: {count: <% ctx().n %>}}
)";
constexpr const char* kAboveBadRetry = R"(
tasks:
  before: {action: ci.check, next: [{do: below}]}
  below: {action: ci.bad_retry, input: {n: some}, next: [{when: <% failed() %>, do: after}]}
  after: {action: core.noop}
)";

std::shared_ptr<const Pack> workflow_pack(std::string digest = "d1") {
  auto pack = std::make_shared<Pack>(*test_pack());
  pack->digest = std::move(digest);
  auto add = [&](const char* ref, const char* text, const char* type = "workflow") {
    pack->actions.push_back(workflow(ref, text, type));
  };
  add("ci.pure", kPure);
  add("ci.bad_items", kBadItems);
  add("ci.some_items", kSomeItems);
  add("ci.reads", kReads);
  add("ci.assigned", kAssigned);
  add("ci.bad_retry", kBadRetry);
  add("ci.above_bad_retry", kAboveBadRetry);
  add("ci.sequence", kSequence);
  add("ci.fork", kFork);
  add("ci.items", kItems);
  add("ci.retry", kRetry);
  add("ci.cycle", kCycle);
  add("ci.parent", kParent);
  add("ci.parents", kParents);
  add("ci.one", kOne);
  add("ci.above_one", kAboveOne);
  add("ci.approval", kApproval);
  add("ci.saga", kSaga);
  add("ci.hold", kHold);
  add("ci.timeout", kTimeout);
  add("ci.orquesta_ask", kOrquestaAsk, "orquesta");
  add("ci.misspelt", kMisspelt);
  add("ci.unknown_action", kUnknownAction);
  add("ci.endless", kEndless);
  add("ci.self", kSelf);
  add("ci.chain", kChain, "action-chain");
  return pack;
}

class Workflows : public EngineTest, public ::testing::WithParamInterface<bool> {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    return {core_pack(), workflow_pack()};
  }

  // Between two operations: in the second way of running the server dies here.
  void between() {
    if (!GetParam()) return;
    engine_->drain();
    engine_.reset();
    worker_.forget();
    start();
    reopen();
  }
  void reopen() {
    std::vector<RunKey> alive;
    for (const auto& [key, order] : held_) alive.push_back(order.key);
    open_worker(4, "s1", alive);
  }
  void begin() { open_worker(4); }

  // The next order; it counts as running until `end`.
  WorkOrder take() {
    WorkOrder order = worker_.next();
    held_[order.key.execution] = order;
    ++started_[task_of(order)];
    return order;
  }
  std::string task_of(const WorkOrder& order) { return stored(order.key.execution).task; }
  void end(const WorkOrder& order, int exit_code = 0, std::string out = "{\"n\": 1}") {
    held_.erase(order.key.execution);
    finish(order, exit_code, std::move(out));
    between();
  }
  // Takes and ends one run of each name, in whatever order they come.
  void run_steps(std::multiset<std::string> names, int exit_code = 0) {
    std::vector<WorkOrder> orders;
    std::multiset<std::string> seen;
    for (size_t i = 0; i < names.size(); ++i) {
      orders.push_back(take());
      seen.insert(task_of(orders.back()));
    }
    EXPECT_EQ(seen, names);
    for (const auto& order : orders) end(order, exit_code);
  }

  ExecutionRow begun(std::string action, Value parameters = Value::map()) {
    auto row = run(std::move(action), std::move(parameters));
    EXPECT_TRUE(row.ok()) << row.error().describe();
    engine_->drain();
    between();
    return row.ok() ? *row : ExecutionRow{};
  }
  Value output(ExecutionId id) {
    auto row = stored(id);
    auto result = parse_json(row.result_json.empty() ? "null" : row.result_json);
    return (*result)["output"];
  }
  std::string shown(ExecutionId id) {
    auto row = stored(id);
    return fmt::format("{} {} {}", to_string(row.status), row.held, row.result_json);
  }
  std::vector<ExecutionRow> steps(ExecutionId id) {
    auto reader = store_->open_reader();
    return *store::children_of(**reader, kDefaultTenant, id);
  }
  std::map<std::string, int> ran(ExecutionId id) {
    std::map<std::string, int> counts;
    for (const auto& step : steps(id)) ++counts[step.task];
    return counts;
  }
  template <typename T, typename Command>
  Result<T> command(Command call) {
    auto result = await<T>(call);
    engine_->drain();
    between();
    return result;
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->cancel({.identity = "tester"}, id, reply); });
  }
  Result<ExecutionRow> pause(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->pause({.identity = "tester"}, id, reply); });
  }
  Result<ExecutionRow> resume(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->resume({.identity = "tester"}, id, reply); });
  }
  Result<ExecutionRow> rerun(ExecutionId id, Rerun request = {}) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->rerun({.identity = "tester"}, id, request, reply); });
  }
  Result<InquiryRow> answer(ExecutionId id, Value response) {
    return command<InquiryRow>([&](auto reply) {
      engine_->answer({.identity = "tester"}, InquiryId{id.value}, {response}, reply);
    });
  }
  void pass(int64_t ms) {
    now_ms_ += ms;
    // The engine looks at its clock when it is woken.
    engine_->open({.name = "other", .slots = 0, .instance = "o"}, worker_);
    engine_->drain();
    engine_->drain();
    between();
  }
  void TearDown() override {
    if (engine_) {
      engine_->drain();
      if (HasFailure()) {
        auto reader = store_->open_reader();
        auto rows = store::list_executions(**reader, kDefaultTenant, {}, {});
        for (const auto& row : *rows) {
          auto full = stored(row.id);
          std::cerr << row.id.value << " " << full.action << " " << full.task << " "
                    << shown(row.id) << std::endl;
        }
      }
      auto reader = store_->open_reader();
      auto findings = store::examine(**reader, {.now_ms = now_ms_.load()});
      ASSERT_TRUE(findings.ok());
      for (const auto& finding : *findings) {
        ADD_FAILURE() << finding.promise << " " << finding.entity << ": " << finding.message;
      }
    }
    EngineTest::TearDown();
  }

  std::map<ExecutionId, WorkOrder> held_;
  std::map<std::string, int> started_;
};

TEST_P(Workflows, PureStepsEndInTheCommitThatStartsThem) {
  begin();
  int64_t before = engine_->executor().commit_stats().commits;
  auto row = run("ci.pure", Value::map({{"n", 41}}));
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(engine_->executor().commit_stats().commits, before + 1);
  EXPECT_EQ(row->status, ExecutionStatus::Succeeded) << shown(row->id);
  EXPECT_EQ(output(row->id), Value::map({{"b", 42}}));
  EXPECT_EQ(ran(row->id), (std::map<std::string, int>{{"one", 1}, {"two", 1}, {"three", 1}}));
}

TEST_P(Workflows, EachRunCostsOneCommitAndTheNextIsGrantedInIt) {
  begin();
  auto row = begun("ci.sequence");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Running);
  auto checkout = take();
  EXPECT_EQ(task_of(checkout), "checkout");
  int64_t before = engine_->executor().commit_stats().commits;
  held_.erase(checkout.key.execution);
  finish(checkout, 0, "{\"n\": 7}");
  EXPECT_EQ(engine_->executor().commit_stats().commits, before + 1);
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

TEST_P(Workflows, AnInquiryHoldsUpItsBranchOnlyAndIsAnsweredOnce) {
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

TEST_P(Workflows, InOrquestaAnInquiryPausesTheWorkflowUntilItIsAnswered) {
  begin();
  auto row = begun("ci.orquesta_ask");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Paused);
  ASSERT_TRUE(answer(steps(row.id)[0].id, Value::map({{"ok", true}})).ok());
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
}

TEST_P(Workflows, AFailureUndoesWhatWasDoneInReverseOrder) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"});
  run_steps({"ship"}, 1);
  run_steps({"refund"});
  run_steps({"unbook"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(Workflows, ACancelUndoesWhatWasDone) {
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

TEST_P(Workflows, ACompensationThatFailsWaitsForADecision) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"}, 1);
  run_steps({"unbook"}, 1);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::NeedsDecision) << shown(row.id);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->resolve({.identity = "tester"}, row.id, {.kind = Resolution::Kind::Retry}, reply);
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  run_steps({"unbook"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(Workflows, AHeldTaskIsResolvedByAnOperator) {
  begin();
  auto row = begun("ci.hold");
  run_steps({"risky"}, 1);
  auto held = stored(row.id);
  EXPECT_EQ(held.status, ExecutionStatus::NeedsDecision);
  EXPECT_NE(held.held.find("'risky'"), std::string::npos) << held.held;
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->resolve({.identity = "tester"}, row.id,
                     {.kind = Resolution::Kind::Succeed, .result = Value(5)}, reply);
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(output(row.id), Value::map({{"r", 5}}));
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
    engine_->run({.identity = "tester"}, std::move(request), reply);
  });
  ASSERT_TRUE(started.ok());
  auto checkout = take();
  between();
  pass(60'001);
  EXPECT_EQ(worker_.next_cancel(), checkout.key);
  end(checkout, 143);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Timeout) << shown(started->id);
}

TEST_P(Workflows, APausedWorkflowStartsNothingUntilItIsResumed) {
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

TEST_P(Workflows, AWorkflowThatIsResumedWhileItsStepStillRunsGoesOnAtItsEnd) {
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

TEST_P(Workflows, AnAnswerDoesNotResumeWhatAnOperatorHasPaused) {
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

TEST_P(Workflows, AWorkflowBelowThatHasNothingLeftWhenItIsResumedTellsTheOneAbove) {
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

TEST_P(Workflows, AListOfWorkflowsIsPausedAndResumed) {
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

TEST_P(Workflows, ARerunGoesOnFromWhereItFailed) {
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

TEST_P(Workflows, ARerunCanNameItsTasks) {
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

TEST_P(Workflows, ACancelWinsOnlyIfItWasCommittedFirst) {
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
    engine_->finished(completion, [&] { done.set_value(); });
    engine_->cancel({.identity = "tester"}, row.id, reply);
  });
  done.get_future().wait();
  engine_->drain();
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

TEST_P(Workflows, AnInquiryIsAnsweredByThoseItIsPutToOnly) {
  begin();
  auto say = [&](ExecutionId id, std::string who, Answer said) {
    said.response = Value::map();
    return command<InquiryRow>(
        [&](auto reply) { engine_->answer({.identity = who}, InquiryId{id.value}, said, reply); });
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

TEST_P(Workflows, AnItemThatCannotStartDoesNotEndItsTaskBeforeTheOthersRun) {
  begin();
  auto row = begun("ci.bad_items", Value::map({{"xs", ValueList{1, "main", "next"}}}));
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
    engine_->resolve({.identity = "tester"}, row.id, {.kind = Resolution::Kind::Retry}, reply);
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  end(take(), 0, "{\"n\": 1}");
  EXPECT_EQ(output(row.id), Value::map({{"all", ValueList{1, 2, 3}}})) << shown(row.id);
}

TEST_P(Workflows, ARerunReadsTheResultsOfBefore) {
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

TEST_P(Workflows, ARerunOfWhatWasCanceledHasToNameItsTasks) {
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

TEST_P(Workflows, AConductorThatCannotBeginEndsItsWorkflowOnly) {
  begin();
  auto alone = begun("ci.bad_retry", Value::map({{"n", "some"}}));
  EXPECT_EQ(stored(alone.id).status, ExecutionStatus::Failed) << shown(alone.id);
  auto row = begun("ci.above_bad_retry");
  run_steps({"before"});
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_EQ(ran(row.id)["after"], 1);
}

TEST_P(Workflows, ASecondCancelLeavesTheCompensationAlone) {
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

TEST_P(Workflows, ACompensationThatAnOperatorGivesUpIsNotTriedAgain) {
  begin();
  auto row = begun("ci.saga");
  run_steps({"book"});
  run_steps({"pay"}, 1);
  run_steps({"unbook"}, 1);
  auto resolved = command<ExecutionRow>([&](auto reply) {
    engine_->resolve({.identity = "tester"}, row.id, {.kind = Resolution::Kind::Fail}, reply);
  });
  ASSERT_TRUE(resolved.ok()) << resolved.error().describe();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Failed) << shown(row.id);
}

TEST_P(Workflows, APausedWorkflowSaysByWhom) {
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

TEST_P(Workflows, AMistakeInTheFileEndsTheRunWithItsLine) {
  begin();
  auto row = begun("ci.misspelt");
  auto ended = stored(row.id);
  EXPECT_EQ(ended.status, ExecutionStatus::Failed);
  EXPECT_NE(ended.result_json.find("bb"), std::string::npos) << ended.result_json;
}

TEST_P(Workflows, AStepThatCannotStartFailsWithItsReason) {
  begin();
  auto row = begun("ci.unknown_action");
  EXPECT_EQ(stored(row.id).status, ExecutionStatus::Succeeded) << shown(row.id);
  EXPECT_NE(to_json(output(row.id)).find("did you mean 'ci.build'"), std::string::npos)
      << shown(row.id);
}

TEST_P(Workflows, ALoopOfPureStepsHoldsNobodyUpAndCanBeCanceled) {
  begin();
  auto row = run("ci.endless");
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->status, ExecutionStatus::Running);
  auto pure = run("ci.pure", Value::map({{"n", 1}}));
  ASSERT_TRUE(pure.ok());
  EXPECT_EQ(pure->status, ExecutionStatus::Succeeded);
  auto canceled = await<ExecutionRow>(
      [&](auto reply) { engine_->cancel({.identity = "tester"}, row->id, reply); });
  ASSERT_TRUE(canceled.ok()) << canceled.error().describe();
  engine_->drain();
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Canceled);
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
  auto loaded = await<int>([&](auto reply) { engine_->load_packs({core_pack(), changed}, reply); });
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
