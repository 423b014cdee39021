// SPDX-License-Identifier: Apache-2.0
#include "conductor/chain.h"

#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

constexpr std::string_view kBuild = R"(
vars:
  channel: "#{{ team }}"
chain:
  - name: build
    ref: ci.build
    parameters: {commit: "{{ commit }}", depth: 3}
    publish: {image: "{{ build.image }}"}
    on-success: test
    on-failure: tell
  - name: test
    ref: ci.test
    params: {image: "{{ image }}", log: "{{ build.log }}"}
    on-failure: tell
  - name: tell
    ref: chat.post
    parameters: {to: "{{ channel }}"}
)";

Value inputs() { return Value::map({{"commit", "abc"}, {"team", "web"}}); }

std::string input_of(Rig& run, std::string_view task) {
  return to_json(run.offered(task).actions[0].input);
}

TEST(Chain, RunsFromTheFirstTaskThatNoOtherNames) {
  Rig run(kBuild, inputs());
  EXPECT_EQ(run.next(), Names{"build"});
  EXPECT_EQ(run.offered("build").actions[0].action, Value("ci.build"));
  EXPECT_EQ(input_of(run, "build"), R"({"commit":"abc","depth":3})");
}

TEST(Chain, NamesParametersVariablesAndResultsDirectly) {
  Rig run(kBuild, inputs());
  run.succeed("build", Value::map({{"image", "web:1"}, {"log", "ok"}}));
  EXPECT_EQ(input_of(run, "test"), R"({"image":"web:1","log":"ok"})");
  run.fail("test");
  EXPECT_EQ(input_of(run, "tell"), R"({"to":"#web"})");
}

TEST(Chain, EndsWellAfterTheLastSuccess) {
  Rig run(kBuild, inputs());
  run.succeed("build", Value::map({{"image", "i"}, {"log", "l"}}));
  run.succeed("test");
  EXPECT_EQ(run.status(), Status::Succeeded);
  EXPECT_TRUE(run.next().empty());
}

TEST(Chain, AFailureWithoutSuccessorFailsItThoughSomethingWasPublished) {
  Rig run(
      "chain: [{name: a, ref: x.y, publish: {seen: '{{ a }}'}, on-success: b}, "
      "{name: b, ref: x.y}]");
  run.fail("a", 7);
  EXPECT_EQ(run.status(), Status::Failed);
  ASSERT_TRUE(run.conductor().render_output().ok());
  EXPECT_EQ(to_json(run.state().output["published"]), R"({"seen":7})");
}

TEST(Chain, AFailureThatIsTakenCareOfEndsWell) {
  Rig run(kBuild, inputs());
  run.end("build", Status::Timeout, Value::map({{"image", ""}}));
  EXPECT_EQ(run.next(), Names{"tell"});
  run.succeed("tell");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Chain, TheTaskThatTakesCareCanFailToo) {
  Rig run(kBuild, inputs());
  run.fail("build", Value::map({{"image", ""}}));
  run.fail("tell");
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(Chain, StartsWithTheDefaultEvenIfATaskLeadsBackToIt) {
  Rig run(
      "{default: b, chain: [{name: a, ref: x.y}, {name: b, ref: x.y, on-success: c}, "
      "{name: c, ref: x.y, parameters: {n: '{{ b }}'}, on-success: b}]}");
  EXPECT_EQ(run.next(), Names{"b"});
  run.succeed("b", 1);
  EXPECT_EQ(input_of(run, "c"), R"({"n":1})");
  run.succeed("c");
  run.succeed("b", 2);
  EXPECT_EQ(input_of(run, "c"), R"({"n":2})");
}

TEST(Chain, APublishedVariableHidesAResultAndAResultHidesAParameter) {
  Rig run(
      "chain: [{name: a, ref: x.y, publish: {a: mine}, on-success: b}, "
      "{name: b, ref: x.y, parameters: {a: '{{ a }}', b: '{{ b }}'}, on-success: c}, "
      "{name: c, ref: x.y, parameters: {b: '{{ b }}'}}]",
      Value::map({{"a", "given"}, {"b", "given"}}));
  run.succeed("a", "result");
  EXPECT_EQ(input_of(run, "b"), R"({"a":"mine","b":"given"})");
  run.succeed("b", "result");
  EXPECT_EQ(input_of(run, "c"), R"({"b":"result"})");
}

TEST(Chain, VariablesOfOneGroupDoNotSeeEachOther) {
  Rig run(
      "{vars: {x: 'v', y: '{{ x }}'}, chain: [{name: a, ref: x.y, "
      "parameters: {x: '{{ x }}', y: '{{ y }}'}}]}",
      Value::map({{"x", "given"}}));
  EXPECT_EQ(input_of(run, "a"), R"({"x":"v","y":"given"})");
}

TEST(Chain, APublishedMapReplacesTheOneBefore) {
  Rig run(
      "{vars: {m: {p: 1}}, chain: [{name: a, ref: x.y, publish: {m: {q: 2}}, on-success: b}, "
      "{name: b, ref: x.y, parameters: {m: '{{ m }}'}}]}");
  run.succeed("a");
  EXPECT_EQ(input_of(run, "b"), R"({"m":{"q":2}})");
}

TEST(Chain, SeesTheDatastoreAllResultsAndItsCaller) {
  Rig run(
      "chain: [{name: a-1, ref: x.y, on-success: b}, {name: b, ref: x.y, parameters: "
      "{r: \"{{ __results['a-1'].v }}\", k: '{{ st2kv.system.key }}', old: '{{ system.key }}', "
      "p: '{{ action_context.parent is mapping }}'}}]");
  run.succeed("a-1", Value::map({{"v", 4}}));
  run.reported.set_key("system.key", "s");
  EXPECT_EQ(input_of(run, "b"), R"({"r":4,"k":"s","old":"s","p":true})");
}

TEST(Chain, ATemplateThatFailsFailsTheChain) {
  Rig run(
      "chain: [{name: a, ref: x.y, parameters: {p: '{{ missing }}'}, on-failure: b}, "
      "{name: b, ref: x.y}]");
  EXPECT_TRUE(run.next().empty());
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(Chain, TellsItsTasksAndWhatTheyPublished) {
  Rig run(kBuild, inputs());
  run.succeed("build", Value::map({{"image", "i"}, {"log", "l"}}));
  run.fail("test", "bad");
  run.succeed("tell");
  ASSERT_TRUE(run.conductor().render_output().ok());
  const Value& output = run.state().output;
  EXPECT_EQ(to_json(output["published"]), R"({"image":"i"})");
  EXPECT_EQ(to_json(output["tasks"].as_list()[1]),
            R"({"id":"test","name":"test","state":"failed","result":"bad"})");
  EXPECT_EQ(output["tasks"].size(), 3u);
}

TEST(Chain, CanBeRunAgainFromTheTaskThatFailed) {
  Rig run(
      "chain: [{name: a, ref: x.y, publish: {v: '{{ a }}'}, on-success: b}, "
      "{name: b, ref: x.y, parameters: {v: '{{ v }}', a: '{{ a }}'}}]");
  run.succeed("a", 1);
  run.fail("b");
  ASSERT_EQ(run.status(), Status::Failed);
  ASSERT_TRUE(run.conductor().rerun({}).ok());
  EXPECT_EQ(input_of(run, "b"), R"({"v":1,"a":1})");
  run.succeed("b");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Chain, PausesForAQuestion) {
  Rig run("chain: [{name: a, ref: core.ask, on-success: b}, {name: b, ref: x.y}]");
  run.next();
  run.report("a", Status::Pending);
  EXPECT_EQ(run.status(), Status::Paused);
  run.report("a", Status::Succeeded);
  EXPECT_TRUE(run.next().empty());
  ASSERT_TRUE(run.conductor().request_status(Status::Resuming).ok());
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(Chain, ThatAsksIsCanceledAtOnce) {
  Rig run("chain: [{name: a, ref: core.ask}]");
  run.next();
  run.report("a", Status::Pending);
  ASSERT_TRUE(run.conductor().request_status(Status::Canceling).ok());
  EXPECT_EQ(run.status(), Status::Canceled);
}

TEST(Chain, DataIsNeverEvaluated) {
  Rig run("chain: [{name: a, ref: x.y, parameters: {p: '{{ p }}'}}]",
          Value::map({{"p", "{{ 1 + 1 }}"}}));
  EXPECT_EQ(input_of(run, "a"), R"({"p":"{{ 1 + 1 }}"})");
}

TEST(ChainInspection, FindsNothingInAGoodChain) { EXPECT_EQ(found(kBuild), Names{}); }

TEST(ChainInspection, TellsWhatIsWrongAndWhere) {
  EXPECT_EQ(found(R"(chain:
  - name: build
    ref: ci.build
    on-success: tets
  - name: test
    ref: ci.test
    on-failure: "{{ next }}"
  - name: test
    ref: ci.test
    parameters: {a: 1}
    params: {a: 1}
  - name: fail
    ref: x.y
    on_success: build
default: biuld
)"),
            (Names{"14 chain[3]: unknown key 'on_success' (did you mean 'on-success'?); known are "
                   "name, ref, description, parameters, params, on-success, on-failure, publish, "
                   "notify",
                   "8 chain[2].name: the task 'test' stands twice",
                   "8 chain[2]: task 'test': 'params' is the old name of 'parameters': use one of "
                   "them",
                   "12 chain[3].name: the task name 'fail' is a command of the engine: choose "
                   "another name",
                   "4 chain[0].on-success: task 'build': undefined task 'tets' (did you mean "
                   "'test'?)",
                   "7 chain[1].on-failure: task 'test': undefined task '{{ next }}': the name of a "
                   "task cannot be an expression here",
                   "15 default: undefined task 'biuld' (did you mean 'build'?)"}));
}

TEST(ChainInspection, FindsMalformedExpressions) {
  auto findings = found("chain:\n  - name: a\n    ref: x.y\n    publish:\n      v: '{{ a. }}'\n");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].starts_with("4 chain[0].publish: ")) << findings[0];
}

TEST(ChainInspection, AChainWithoutTasksIsRefused) {
  EXPECT_EQ(found("chain: []"), Names{"1 chain: expected at least one entry, found none"});
  expr::Engine engine;
  auto document = parse_yaml("chain: []", "c.yaml");
  auto compiled = Definition::compile(document->value, engine, expr::Mode::Orquesta);
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().code(), "CND-0002");
}

}  // namespace
}  // namespace millrace::conductor
