// SPDX-License-Identifier: Apache-2.0
// Workflows on the server. Every test runs twice: as it is, and with the engine stopped and started
// again between all operations, so that every step is decided from what is stored.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/yaml.h"
#include "harness.h"
#include "store/doctor.h"

namespace millrace::engine {

inline Action workflow(const std::string& ref, const std::string& text,
                       const char* type = "workflow") {
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
constexpr const char* kHoldBeside = R"(
tasks:
  risky: {action: ci.check, on_failure: hold}
  beside: {action: ci.check, next: [{do: after}]}
  after: {action: core.noop}
)";
constexpr const char* kTimeout = R"(
tasks:
  slow: {action: core.sleep, input: {seconds: 3600}, timeout: 10,
    next: [{when: <% timed_out() %>, publish: [{late: true}], do: noop}]}
output: [{late: <% ctx(late) %>}]
)";
constexpr const char* kDelayed = R"(
tasks:
  later: {action: ci.check, delay: 20, next: [{do: after}]}
  after: {action: core.noop}
)";
constexpr const char* kBelowLater = R"(
tasks:
  below: {action: ci.delayed, delay: 20}
)";
constexpr const char* kAboveDelayed = R"(
tasks:
  below: {action: ci.delayed}
)";
constexpr const char* kDelayedItems = R"(
tasks:
  each: {with: {items: "<% [1, 2, 3] %>", concurrency: 2}, action: ci.check, delay: 20,
    next: [{when: <% failed() %>, do: after}]}
  beside: {action: ci.build}
  after: {action: core.noop}
)";
constexpr const char* kOrquestaAskBeside = R"(
version: 1.0
tasks:
  begin: {action: core.noop, next: [{do: [ask, later]}]}
  ask: {action: core.ask, next: [{when: <% succeeded() %>, do: after}]}
  later: {action: ci.check, delay: 20}
  after: {action: core.noop}
)";
constexpr const char* kOrquestaAsk = R"(
version: 1.0
tasks:
  ask: {action: core.ask, next: [{when: <% succeeded() %>, do: after}]}
  after: {action: core.noop}
)";
constexpr const char* kOrquestaBadInput = R"(
version: 1.0
input: [n]
tasks:
  one: {action: core.noop}
)";
constexpr const char* kMisspelt = R"(
tasks:
  a: {action: core.noop, next: [{do: bb}]}
)";
constexpr const char* kUnknownAction = R"(
tasks:
  a: {action: "<% 'ci.biuld' %>", next: [{when: <% failed() %>,
    publish: [{e: <% result().error %>}], do: noop}]}
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
    input: <% item() %>
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
constexpr const char* kReadsLater = R"(
tasks:
  first: {action: ci.check, next: [{do: second}]}
  second: {action: core.noop, next: [{do: third}]}
  third: {action: ci.build, input: {branch: <% str(task(first).result.output.n) %>}}
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

constexpr const char* kOnlyNoop = "tasks: {a: {action: core.noop}}";
// Dearer than one decision may be: as one transition, as one task of many items, as many tasks,
// and as many workflows that begin.
inline std::string dear_publish() {
  std::string text = "tasks:\n  a:\n    next:\n      - publish:\n";
  for (int i = 0; i < 25; ++i) {
    text += fmt::format("          - {{x{}: \"{{{{ range(100000) | sum }}}}\"}}\n", i);
  }
  return text;
}
constexpr const char* kDearBegin =
    "{input: [n], vars: [{x: '{{ range(50000) | sum + ctx().n }}'}], tasks: {a: {action: "
    "core.noop}}}";
constexpr const char* kDearBegins = R"(
tasks:
  each:
    with: {items: "{{ range(30) | list }}"}
    action: ci.dear_begin
    input: {n: "{{ item }}"}
)";
constexpr const char* kDearItems = R"(
tasks:
  each:
    with: {items: "{{ range(30) | list }}"}
    action: core.echo
    input: {message: "{{ range(100000) | sum + item }}"}
)";
constexpr const char* kChainAsk = R"(
chain:
  - name: ask
    ref: core.ask
    params: {schema: {type: object}}
    on-success: after
    on-failure: refused
  - {name: after, ref: core.noop}
  - {name: refused, ref: core.noop}
)";

inline std::string dear_chain() {
  std::string text = "tasks:\n";
  for (int i = 0; i < 30; ++i) {
    text += fmt::format(
        "  t{}: {{action: core.echo, input: {{message: \"{{{{ range(100000) | sum }}}}\"}}, "
        "next: [{{do: t{}}}]}}\n",
        i, i + 1);
  }
  return text + "  t30: {action: core.noop}\noutput: [{n: \"{{ range(100000) | sum }}\"}]\n";
}
// What its items start is dearer to start than one decision may be: the default of a parameter.
constexpr const char* kDearStarts = R"(
tasks:
  each:
    with: {items: "{{ range(30) | list }}"}
    action: ci.dear
)";

inline std::shared_ptr<const Pack> workflow_pack(std::string digest = "d1") {
  auto pack = std::make_shared<Pack>(*test_pack());
  pack->digest = std::move(digest);
  auto add = [&](const char* ref, const char* text, const char* type = "workflow") {
    pack->actions.push_back(workflow(ref, text, type));
  };
  add("ci.pure", kPure);
  add("ci.declares", kPure);
  auto number = Value::map({{"b", Value::map({{"type", "integer"}})}});
  pack->actions.back().output_schema = Value::map({{"type", "object"}, {"properties", number}});
  add("ci.bad_items", kBadItems);
  add("ci.some_items", kSomeItems);
  add("ci.reads", kReads);
  add("ci.reads_later", kReadsLater);
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
  add("ci.hold_beside", kHoldBeside);
  add("ci.timeout", kTimeout);
  add("ci.delayed", kDelayed);
  add("ci.below_later", kBelowLater);
  add("ci.above_delayed", kAboveDelayed);
  add("ci.delayed_items", kDelayedItems);
  add("ci.orquesta_ask_beside", kOrquestaAskBeside, "orquesta");
  add("ci.orquesta_ask", kOrquestaAsk, "orquesta");
  add("ci.orquesta_bad_input", kOrquestaBadInput, "orquesta");
  add("ci.misspelt", kMisspelt);
  add("ci.unknown_action", kUnknownAction);
  add("ci.endless", kEndless);
  add("ci.self", kSelf);
  add("ci.chain", kChain, "action-chain");
  add("ci.chain_ask", kChainAsk, "action-chain");
  add("ci.dear_publish", dear_publish().c_str());
  add("ci.dear_begin", kDearBegin);
  add("ci.dear_begins", kDearBegins);
  add("ci.dear_items", kDearItems);
  add("ci.dear_chain", dear_chain().c_str());
  add("ci.dear_starts", kDearStarts);
  add("ci.dear", kOnlyNoop);
  pack->actions.back().parameters[0].default_value = Value("{{ range(100000) | sum }}");
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
    settle();
    engine_.reset();
    worker_.forget();
    start();
    reopen();
  }
  void reopen() {
    std::vector<RunKey> alive;
    for (const auto& [key, order] : held_) alive.push_back(order.key);
    open_worker(slots_, "s1", alive);
  }
  void begin(int slots = 4) {
    slots_ = slots;
    open_worker(slots);
  }

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
    settle();
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
    settle();
    between();
    return result;
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::cancel(kTester, id, reply)); });
  }
  Result<ExecutionRow> pause(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::pause(kTester, id, reply)); });
  }
  Result<ExecutionRow> resume(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::resume(kTester, id, reply)); });
  }
  Result<ExecutionRow> rerun(ExecutionId id, Rerun request = {}) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::rerun(kTester, id, request, reply)); });
  }
  Result<InquiryRow> answer(ExecutionId id, Value response) {
    return command<InquiryRow>([&](auto reply) {
      engine_->submit(command::answer(kTester, InquiryId{id.value}, {response}, reply));
    });
  }
  void pass(int64_t ms) {
    tick(ms);
    // The engine looks at its clock when it is woken.
    engine_->open({.name = "other", .slots = 0, .instance = "o"}, worker_, [](auto) {});
    settle();
    settle();
    between();
  }
  void TearDown() override {
    if (engine_) {
      settle();
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

  int slots_ = 4;
  std::map<ExecutionId, WorkOrder> held_;
  std::map<std::string, int> started_;
};

}  // namespace millrace::engine
