// SPDX-License-Identifier: Apache-2.0
// The parameters of a run: cast in every way in, what was given apart from what was resolved.
#include "base/yaml.h"
#include "harness.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

constexpr const char* kPasses = R"(
tasks: {a: {action: ci.typed, input: {count: "7", ratio: 2, tags: "a,b", note: 1.5}}}
)";

Parameter parameter(std::string name, std::string type, std::optional<Value> by_default = {}) {
  Parameter out{.name = std::move(name), .default_value = std::move(by_default)};
  out.schema = Value::map({{"type", type}});
  return out;
}

std::shared_ptr<const Pack> typed_pack() {
  auto pack = std::make_shared<Pack>(*test_pack());
  Action typed = pack->actions.front();
  typed.ref = "ci.typed";
  typed.output_format = OutputFormat::Text;
  typed.parameters = {parameter("count", "integer"), parameter("ratio", "number"),
                      parameter("loud", "boolean", Value(0)), parameter("tags", "array"),
                      parameter("note", "string")};
  pack->actions.push_back(typed);
  Action greeting = typed;
  greeting.ref = "ci.greeting";
  greeting.parameters = {
      parameter("mode", "string", Value("fixed")),
      parameter("color", "string", Value("{{ st2kv.system.color }}")),
      parameter("who", "string", Value("{{ action_context.user }}")),
      parameter(
          "above", "string",
          Value(
              "{{ action_context.parent.pack if action_context.parent is defined else 'none' }}")),
      parameter("size", "integer", Value("{{ st2kv.system.size | default('3') }}"))};
  greeting.parameters[0].immutable = true;
  pack->actions.push_back(greeting);
  Action timed = typed;
  timed.ref = "ci.timed";
  timed.parameters = {parameter("timeout", "integer")};
  timed.parameters[0].of_runner = true;
  pack->actions.push_back(timed);
  Action workflow;
  workflow.ref = "ci.passes";
  workflow.runner_type = "orquesta";
  workflow.runner = Runner::Workflow;
  workflow.timeout_ms = 0;
  workflow.workflow = std::make_shared<const YamlNode>(*parse_yaml(kPasses, "passes"));
  pack->actions.push_back(std::move(workflow));
  return pack;
}

class ParametersTest : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override { return {core_pack(), typed_pack()}; }
  void set_key(const std::string& name, Value value) {
    KeyWrite write{.key = {kDefaultTenant, "system", name},
                   .value_json = to_json(value),
                   .version = ++versions_};
    auto written = await<KeyRow>([&](Reply<KeyRow> reply) {
      engine_->submit(command::write_key(kTester, std::move(write), std::move(reply)));
    });
    ASSERT_TRUE(written.ok()) << written.error().describe();
  }
  Result<ExecutionRow> rerun(ExecutionId id) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(command::rerun(kTester, id, {}, std::move(reply)));
    });
  }
  int64_t versions_ = 0;
  std::string parameters_of(const Result<ExecutionRow>& row) {
    return row.ok() ? stored(row->id).parameters_json : row.error().describe();
  }
};

TEST_F(ParametersTest, AreCastWhoeverAsks) {
  open_worker(8);
  auto given = Value::map({{"count", "7"}, {"loud", "true"}, {"tags", "[1]"}, {"note", 42}});
  EXPECT_EQ(parameters_of(run("ci.typed", given)),
            R"({"count":7,"loud":true,"tags":[1],"note":"42"})");
  EXPECT_NE(
      parameters_of(run("ci.typed", Value::map({{"count", "seven"}}))).find("expected integer"),
      std::string::npos);

  auto workflow = run("ci.passes");
  ASSERT_TRUE(workflow.ok());
  settle();
  worker_.next();
  auto step = worker_.next();
  EXPECT_EQ(to_json(step.parameters),
            R"({"count":7,"ratio":2,"loud":false,"tags":["a","b"],"note":"1.5"})");

  RuleSpec rule{.ref = "ci.casts", .trigger = "ci.push", .action = "ci.typed"};
  rule.action_parameters =
      Value::map({{"count", "5"}, {"note", "{{ trigger.branch | length }}"}, {"loud", "no"}});
  auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
    engine_->submit(command::write_rule(kTester, {rule, std::nullopt, true}, std::move(reply)));
  });
  ASSERT_TRUE(made.ok()) << made.error().describe();
  ASSERT_TRUE(send("main", "e1").ok());
  EXPECT_EQ(to_json(worker_.next().parameters), R"({"count":5,"loud":false,"note":"4"})");
}

TEST_F(ParametersTest, ARerunRendersDefaultsAnew) {
  open_worker(8);
  set_key("color", "red");
  auto first = run("ci.greeting", Value::map({{"size", "2"}}));
  EXPECT_EQ(parameters_of(first),
            R"({"mode":"fixed","size":2,"color":"red","who":"tester","above":"none"})");
  EXPECT_EQ(stored(first->id).defaults, "mode,color,who,above");
  settle();
  finish(worker_.next(), 0);
  set_key("color", "blue");
  EXPECT_EQ(parameters_of(rerun(first->id)),
            R"({"mode":"fixed","size":2,"color":"blue","who":"tester","above":"none"})");
}

TEST_F(ParametersTest, TheTimeoutOfTheRunnerIsThatOfTheRun) {
  open_worker(8);
  auto timed = run("ci.timed", Value::map({{"timeout", "3"}}));
  ASSERT_TRUE(timed.ok()) << timed.error().describe();
  EXPECT_EQ(worker_.next().timeout_ms, 3000);
  EXPECT_EQ(run("ci.timed").value().timeout_ms, 600'000);
  EXPECT_EQ(run("ci.timed", Value::map({{"timeout", 0}})).error().code(), "EXE-0006");
}

}  // namespace
}  // namespace millrace::engine
