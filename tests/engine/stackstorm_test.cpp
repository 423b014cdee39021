// SPDX-License-Identifier: Apache-2.0
// Workflows in the language of StackStorm, where it does things its own way: canceling, contents
// that are looked at before the first task, contexts, results.
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

constexpr const char* kTwo = R"(
tasks:
  first: {action: ci.check, next: [{do: later}]}
  beside: {action: ci.check}
  later: {action: core.noop}
)";
constexpr const char* kAbove = R"(
tasks:
  left: {action: ci.o_two}
  right: {action: ci.o_two}
)";
constexpr const char* kCalls = R"(
tasks:
  fine: {action: ci.check, next: [{do: [a, b, c]}]}
  a: {action: echo}
  b: {action: ci.chek}
  c: {action: ci.strict, input: {brnch: x}}
)";
constexpr const char* kContext = R"(
tasks: {a: {action: core.noop}}
output:
  - user: <% ctx(st2).user %>
  - runner: <% ctx(st2).runner %>
  - url: <% ctx(st2).api_url %>
  - yaml: <% to_yaml_string(ctx(st2).pack) %>
  - rule: <% ctx(st2).get(rule) %>
)";
constexpr const char* kItemsOf = R"(
input: [xs]
tasks:
  each:
    with: <% ctx(xs) %>
    action: core.echo
    input: {message: <% item() %>}
    next: [{publish: [{bare: <% result().select($.output) %>}], do: [rest]}]
  rest: {action: ci.check}
output:
  - bare: <% ctx(bare) %>
  - first: <% task(each).result.items[0].result.output %>
  - how: <% task(each).result.items.select($.status) %>
)";
constexpr const char* kBadInput = R"(
tasks:
  a:
    action: core.echo
    input:
      message: <% ctx(st2).pack.nix.nix %>
)";
constexpr const char* kNoBegin = R"(
vars: [{a: <% 1 / 0 %>}]
tasks: {a: {action: core.noop}}
output: [{a: <% ctx(a) %>}]
)";
constexpr const char* kOwnKey = R"(
tasks: {a: {action: core.noop}}
output:
  - own: <% st2kv(color) %>
  - system: <% st2kv('system.color') %>
  - other: <% st2kv(size) %>
)";
constexpr const char* kRemedied = R"(
tasks:
  a: {action: core.fail, next: [{when: <% failed() %>, do: b}]}
  b: {action: core.noop}
)";

std::shared_ptr<const Pack> stackstorm_pack() {
  auto pack = std::make_shared<Pack>(*workflow_pack("d1"));
  auto add = [&](const char* ref, const char* text) {
    pack->actions.push_back(workflow(ref, text, "orquesta"));
  };
  add("ci.o_two", kTwo);
  add("ci.o_above", kAbove);
  add("ci.o_calls", kCalls);
  add("ci.o_context", kContext);
  add("ci.o_items", kItemsOf);
  add("ci.o_bad_input", kBadInput);
  add("ci.o_own_key", kOwnKey);
  add("ci.o_no_begin", kNoBegin);
  add("ci.o_remedied", kRemedied);
  Action strict = pack->actions.front();
  strict.ref = "ci.strict";
  strict.parameters[0].required = true;
  pack->actions.push_back(std::move(strict));
  Action tell{.ref = "ci.tell", .runner_type = "announcement", .runner = Runner::Builtin};
  tell.parameters = {{.name = "message", .schema = Value::map()}};
  pack->actions.push_back(std::move(tell));
  return pack;
}

class StackStorm : public Workflows {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    return {core_pack(), stackstorm_pack()};
  }
  Result<ExecutionRow> cancel_now(ExecutionId id) {
    return command<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::cancel(kTester, id, reply, CancelHow::Now)); });
  }
  ExecutionStatus status(ExecutionId id) { return stored(id).status; }
  std::map<std::string, ExecutionStatus> statuses(ExecutionId id) {
    std::map<std::string, ExecutionStatus> out;
    for (const auto& step : steps(id)) out[step.task] = step.status;
    return out;
  }
  ExecutionId step(ExecutionId id, std::string_view task) {
    for (const auto& each : steps(id)) {
      if (each.task == task) return each.id;
    }
    return {};
  }
};

TEST_P(StackStorm, WhatRunsEndsBeforeAWorkflowIsCanceled) {
  begin();
  auto row = begun("ci.o_two");
  auto first = take();
  auto beside = take();
  ASSERT_TRUE(cancel(row.id).ok());
  EXPECT_EQ(status(row.id), Canceling);
  EXPECT_EQ(status(first.key.execution), Running);
  end(first);
  EXPECT_EQ(status(row.id), Canceling) << shown(row.id);
  end(beside);
  EXPECT_EQ(status(row.id), Canceled) << shown(row.id);
  EXPECT_EQ(statuses(row.id),
            (std::map<std::string, ExecutionStatus>{{"first", Succeeded}, {"beside", Succeeded}}));
}

TEST_P(StackStorm, ACancelNowEndsWhatRuns) {
  begin();
  auto row = begun("ci.o_two");
  auto first = take();
  auto beside = take();
  ASSERT_TRUE(cancel(row.id).ok());
  ASSERT_TRUE(cancel_now(row.id).ok());
  std::set<ExecutionId> ended{worker_.next_cancel().execution, worker_.next_cancel().execution};
  EXPECT_EQ(ended, (std::set{first.key.execution, beside.key.execution}));
  end(first, 143);
  end(beside, 143);
  EXPECT_EQ(status(row.id), Canceled) << shown(row.id);
  EXPECT_EQ(statuses(row.id)["first"], Canceled);
}

TEST_P(StackStorm, ACanceledStepCancelsWhatIsAboveAndBesideIt) {
  begin();
  auto row = begun("ci.o_above");
  std::vector<WorkOrder> orders{take(), take(), take(), take()};
  ExecutionId left = step(row.id, "left");
  ASSERT_TRUE(cancel(left).ok());
  EXPECT_EQ(status(row.id), Canceling) << shown(row.id);
  EXPECT_EQ(status(left), Canceling);
  EXPECT_EQ(status(step(row.id, "right")), Canceling);
  for (const auto& order : orders) end(order);
  EXPECT_EQ(status(left), Canceled);
  EXPECT_EQ(status(step(row.id, "right")), Canceled);
  EXPECT_EQ(status(row.id), Canceled) << shown(row.id);
}

TEST_P(StackStorm, ACanceledActionIsEndedAndItsWorkflowCanceled) {
  begin();
  auto row = begun("ci.o_two");
  auto first = take();
  auto beside = take();
  ASSERT_TRUE(cancel(first.key.execution).ok());
  EXPECT_EQ(worker_.next_cancel(), first.key);
  EXPECT_EQ(status(row.id), Canceling);
  EXPECT_EQ(status(beside.key.execution), Running);
  end(first, 143);
  end(beside);
  EXPECT_EQ(status(row.id), Canceled) << shown(row.id);
}

TEST_P(StackStorm, WhatTasksCallIsLookedAtBeforeTheFirst) {
  begin();
  auto row = begun("ci.o_calls");
  EXPECT_EQ(status(row.id), Failed);
  EXPECT_TRUE(steps(row.id).empty());
  auto result = *parse_json(stored(row.id).result_json);
  std::vector<std::string> told;
  for (const auto& error : result["errors"].as_list()) {
    told.push_back(fmt::format("{} {} {}: {}", error.string_or("type", ""),
                               error.string_or("spec_path", ""), error.int_or("line", 0),
                               error.string_or("message", "")));
  }
  std::vector<std::string> expected{
      "content tasks.a.action 4: task 'a': 'echo' is no reference of an action: expected PACK.NAME",
      "content tasks.b.action 5: task 'b': unknown action 'ci.chek' (did you mean 'ci.check'?)",
      "content tasks.c.input 6: task 'c': action 'ci.strict' requires the input 'branch'",
      "content tasks.c.input.brnch 6: task 'c': action 'ci.strict' has no input 'brnch' (did you "
      "mean 'branch'?)"};
  EXPECT_EQ(told, expected);
}

TEST_P(StackStorm, AFailedExpressionIsToldWithItsPlace) {
  begin();
  auto row = begun("ci.o_bad_input");
  auto result = *parse_json(stored(row.id).result_json);
  const Value& error = result["errors"].as_list().at(0);
  EXPECT_EQ(error["task_id"], Value("a")) << shown(row.id);
  EXPECT_EQ(error["spec_path"], Value("tasks.a.input.message"));
  EXPECT_EQ(error["line"], Value(6));
}

TEST_P(StackStorm, TheContextTellsWhoAndWhere) {
  begin();
  engine_->set_addresses("http://here:1", "");
  auto row = begun("ci.o_context");
  EXPECT_EQ(to_json(output(row.id)),
            R"({"user":"tester","runner":"orquesta","url":"http://here:1/api/v1",)"
            R"("yaml":"ci\n...\n","rule":null})")
      << shown(row.id);
}

TEST_P(StackStorm, ItemsOfATaskHaveStatusAndResult) {
  begin();
  auto row = begun("ci.o_items", Value::map({{"xs", ValueList{"x", "y"}}}));
  run_steps({"rest"});
  EXPECT_EQ(to_json(output(row.id)),
            R"({"bare":["x","y"],"first":"x","how":["succeeded","succeeded"]})")
      << shown(row.id);
}

TEST_P(StackStorm, AKeyWithoutAScopeIsOnesOwnFirst) {
  begin();
  auto set = [&](std::string scope, std::string name, std::string value) {
    KeyWrite write{.key = {{}, std::move(scope), std::move(name)},
                   .value_json = to_json(Value(value))};
    auto row = command<KeyRow>(
        [&](auto reply) { engine_->submit(command::write_key(kTester, write, reply)); });
    ASSERT_TRUE(row.ok()) << row.error().describe();
  };
  set("system", "color", "red");
  set("system", "size", "large");
  set("user:tester", "color", "blue");
  auto row = begun("ci.o_own_key");
  EXPECT_EQ(to_json(output(row.id)), R"({"own":"blue","system":"red","other":"large"})")
      << shown(row.id);
}

TEST_P(StackStorm, WhatCannotBeginTellsOfThatOnly) {
  begin();
  auto row = begun("ci.o_no_begin");
  auto result = *parse_json(stored(row.id).result_json);
  ASSERT_EQ(result["errors"].size(), 1U) << shown(row.id);
  EXPECT_EQ(result["errors"].as_list()[0]["spec_path"], Value("vars[0].a")) << shown(row.id);
}

TEST_P(StackStorm, AnAnnouncementIsAnEvent) {
  begin();
  auto row = begun("ci.tell", Value::map({{"message", Value::map({{"a", 1}})}}));
  EXPECT_EQ(status(row.id), Succeeded) << shown(row.id);
  EXPECT_EQ(count("event WHERE event_trigger = 'core.announcement'"), 1);
}

TEST_P(StackStorm, ASuccessHasNoErrors) {
  begin();
  auto row = begun("ci.o_remedied");
  EXPECT_EQ(status(row.id), Succeeded);
  EXPECT_EQ(stored(row.id).result_json, R"({"output":null})");
  auto noop = *parse_json(stored(step(row.id, "b")).result_json);
  EXPECT_EQ(noop["return_code"], Value(0));
  EXPECT_EQ(noop["succeeded"], Value(true));
}

INSTANTIATE_TEST_SUITE_P(, StackStorm, ::testing::Bool(), [](const auto& info) {
  return info.param ? "RestartedBetweenSteps" : "AsItIs";
});

}  // namespace
}  // namespace millrace::engine
