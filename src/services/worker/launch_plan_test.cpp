// SPDX-License-Identifier: Apache-2.0
#include "services/worker/launch_plan.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::worker {
namespace {

using Words = std::vector<std::string>;

Parameter parameter(std::string name, std::optional<int> position = {}, bool of_runner = false) {
  Parameter p;
  p.name = std::move(name);
  p.position = position;
  p.of_runner = of_runner;
  return p;
}

struct Order {
  Action action;
  kernel::WorkOrder order;

  explicit Order(Runner runner, std::string runtime = "shell") {
    action.ref = "demo.act";
    action.runner = runner;
    action.runtime = std::move(runtime);
    action.entry_point = "act.sh";
    order.pack_folder = "/packs/demo";
    order.parameters = Value::map();
  }
  Result<Launch> plan() {
    order.action = std::make_shared<const Action>(action);
    RunDefaults defaults;
    defaults.env = {{"PATH", "/bin"}, {"LANG", "C"}};
    return plan_launch(order, defaults);
  }
};

TEST(LaunchPlan, ShellRunsTheCommandWithPositionedParametersAsWords) {
  Order o(Runner::Shell);
  o.action.parameters = {parameter("second", 1), parameter("first", 0), parameter("named"),
                         parameter("cmd", {}, true)};
  o.order.parameters =
      Value::map({{"cmd", "echo $1"}, {"first", "a b; rm"}, {"second", true}, {"named", 1}});
  auto launch = o.plan();
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"/bin/sh", "-c", "echo $1", "demo.act", "a b; rm", "1"}));
  EXPECT_EQ(launch->parameters, R"({"first":"a b; rm","second":true,"named":1})");
}

TEST(LaunchPlan, ScriptRunsThroughItsInterpreter) {
  Order o(Runner::Script, "python");
  o.order.runtime.interpreter = {"python3", "-u"};
  o.action.parameters = {parameter("x", 0)};
  o.order.parameters = Value::map({{"x", "argument"}});
  EXPECT_EQ(o.plan()->argv, (Words{"python3", "-u", "/packs/demo/actions/act.sh"}));
  o.action.runtime = "shell";
  o.order.runtime.interpreter = {"/bin/sh"};
  EXPECT_EQ(o.plan()->argv, (Words{"/bin/sh", "/packs/demo/actions/act.sh", "argument"}));
  o.action.runtime = "native";
  o.order.runtime.interpreter = {};
  EXPECT_EQ(o.plan()->argv, (Words{"/packs/demo/actions/act.sh"}));
}

TEST(LaunchPlan, LaterVariablesWin) {
  Order o(Runner::Script);
  o.order.runtime.env = {{"LANG", "de"}, {"A", "runtime"}, {"B", "runtime"}};
  o.order.parameters =
      Value::map({{"env", Value::map({{"B", "given"}, {"N", 5}})}, {"cwd", "/srv"}});
  o.order.env = {{"MILLRACE_EXEC_ID", "77"}};
  auto launch = o.plan();
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->env,
            (Words{"PATH=/bin", "LANG=de", "A=runtime", "B=given", "N=5", "MILLRACE_EXEC_ID=77"}));
  EXPECT_EQ(launch->cwd, "/srv");
}

TEST(LaunchPlan, RefusesWhatCannotBeRunAndSaysWhy) {
  Order o(Runner::Shell);
  EXPECT_EQ(o.plan().error().message(), "action 'demo.act': the parameter 'cmd' is empty");
  o.order.parameters = Value::map({{"cmd", std::string("a\0b", 3)}});
  EXPECT_FALSE(o.plan().ok());
  o.order.parameters = Value::map({{"cmd", "x"}, {"sudo", true}});
  EXPECT_FALSE(o.plan().ok());
  o.order.parameters = Value::map({{"cmd", "x"}, {"env", Value::map({{"A=B", "1"}})}});
  EXPECT_EQ(o.plan().error().message(),
            "action 'demo.act': the parameter 'env' holds 'A=B', which is no name of an "
            "environment variable");
  o.order.parameters = Value::map({{"cmd", "x"}, {"env", Value::map({{"MILLRACE_X", "1"}})}});
  EXPECT_EQ(o.plan().error().message(),
            "action 'demo.act': the parameter 'env' may not set 'MILLRACE_X'");
  o.action.runner = Runner::Unsupported;
  o.action.runner_type = "winrm-cmd";
  EXPECT_EQ(o.plan().error().message(),
            "action 'demo.act': runner_type 'winrm-cmd' is not supported by this worker");
}

TEST(LaunchPlan, FormatsParameters) {
  Value parameters = Value::map({{"name", "it's"},
                                 {"n", 1},
                                 {"on", true},
                                 {"none", nullptr},
                                 {"2-x", Value(ValueList{Value(1), Value("two")})}});
  EXPECT_EQ(format_parameters(parameters, ParameterFormat::Json),
            R"({"name":"it's","n":1,"on":true,"none":null,"2-x":[1,"two"]})");
  EXPECT_EQ(format_parameters(parameters, ParameterFormat::Yaml),
            "\"name\": \"it's\"\n\"n\": 1\n\"on\": true\n\"none\": null\n\"2-x\": [1,\"two\"]\n");
  EXPECT_EQ(format_parameters(parameters, ParameterFormat::Dotenv),
            "name='it'\\''s'\nn='1'\non='true'\nnone=''\n__x='[1,\"two\"]'\n");
}

TEST(LaunchPlan, WritesArgumentsAsStackStormDoes) {
  EXPECT_EQ(as_argument(nullptr), "");
  EXPECT_EQ(as_argument(false), "0");
  EXPECT_EQ(as_argument(1.5), "1.5");
  EXPECT_EQ(as_argument(Value(ValueList{Value("a"), Value(true), Value(3)})), "a,1,3");
  EXPECT_EQ(as_argument(Value::map({{"k", "v"}})), R"({"k":"v"})");
}

}  // namespace
}  // namespace millrace::worker
