// SPDX-License-Identifier: Apache-2.0
#include "services/worker/launch_plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "model/env_names.h"

namespace millrace::worker {
namespace {

using Words = std::vector<std::string>;

struct Order {
  kernel::WorkOrder order;

  explicit Order(Runner runner) {
    order.action = "demo.act";
    order.pack = "demo";
    order.release = "d1";
    order.runner = runner;
    order.entry_point = "act.sh";
    order.parameters = Value::map();
  }
  Result<Launch> plan() const {
    RunDefaults defaults;
    defaults.env = {{"PATH", "/bin"}, {"LANG", "C"}};
    return plan_launch(order, defaults, [](const auto& pack, const auto& digest, const auto& file) {
      return Result<std::string>("/packs/" + pack + "/" + digest + "/" + file);
    });
  }
};

TEST(LaunchPlan, ShellRunsTheCommandWithPositionedParametersAsWords) {
  Order o(Runner::Shell);
  o.order.arguments = {"first", "second"};
  o.order.steering = {"cmd"};
  o.order.parameters =
      Value::map({{"cmd", "echo $1"}, {"first", "a b; rm"}, {"second", true}, {"named", 1}});
  auto launch = o.plan();
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"/bin/sh", "-c", "echo $1", "demo.act", "a b; rm", "1"}));
  EXPECT_EQ(launch->parameters, R"({"first":"a b; rm","second":true,"named":1})");
}

TEST(LaunchPlan, ScriptRunsThroughItsInterpreterFromItsRelease) {
  Order o(Runner::Script);
  o.order.runtime.interpreter = {"python3", "-u"};
  o.order.parameters = Value::map({{"x", "argument"}});
  EXPECT_EQ(o.plan()->argv, (Words{"python3", "-u", "/packs/demo/d1/actions/act.sh"}));
  o.order.arguments = {"x"};
  o.order.runtime.interpreter = {"/bin/sh"};
  EXPECT_EQ(o.plan()->argv, (Words{"/bin/sh", "/packs/demo/d1/actions/act.sh", "argument"}));
  o.order.arguments = {};
  o.order.runtime.interpreter = {};
  EXPECT_EQ(o.plan()->argv, (Words{"/packs/demo/d1/actions/act.sh"}));
}

TEST(LaunchPlan, AScriptOfStackStormsIsRunItselfWithNamedArguments) {
  Order o(Runner::Script);
  o.order.runner_type = "local-shell-script";
  o.order.runtime.interpreter = {"/bin/sh"};
  o.order.arguments = {"first"};
  o.order.steering = {"kwarg_op"};
  o.order.parameters = Value::map({{"first", "a b"},
                                   {"name", "x y"},
                                   {"on", true},
                                   {"off", false},
                                   {"none", nullptr},
                                   {"empty", ""},
                                   {"list", Value(ValueList{1, "b"})},
                                   {"count", 3}});
  auto script = testing::TempDir() + "script-of-stackstorm";
  auto plan = [&](const std::string& text) {
    std::ofstream(script) << text;
    auto launch = plan_launch(o.order, {}, [&](const auto&, const auto&, const auto&) {
      return Result<std::string>(script);
    });
    return launch.ok() ? launch->argv : Words{launch.error().message()};
  };
  EXPECT_EQ(plan("#!/usr/bin/env python3\n"),
            (Words{script, "--name=x y", "--on", R"(--list=[1,"b"])", "--count=3", "a b"}));
  o.order.parameters.set("kwarg_op", "-");
  EXPECT_EQ(plan("echo $1\n"), (Words{"/bin/bash", script, "-name=x y", "-on", R"(-list=[1,"b"])",
                                      "-count=3", "a b"}));
  std::filesystem::remove(script);
}

TEST(LaunchPlan, PythonScriptGoesThroughTheSdk) {
  Order o(Runner::Script);
  o.order.sdk = Sdk::Python;
  o.order.runtime.interpreter = {"python3", "-u"};
  o.order.steering = {"log_level"};
  o.order.parameters = Value::map({{"x", 1}, {"log_level", "INFO"}});
  o.order.config = Value::map({{"key", "k"}});
  EXPECT_FALSE(o.plan().ok());  // no SDK
  RunDefaults defaults;
  defaults.sdk = [](Sdk) { return Result<std::string>("/sdk"); };
  auto launch = plan_launch(o.order, defaults, [](const auto&, const auto&, const auto& file) {
    return Result<std::string>("/packs/demo/d1/" + file);
  });
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"python3", "-u", "/sdk/millrace/runtime.py"}));
  EXPECT_TRUE(launch->says_result);
  EXPECT_EQ(launch->parameters,
            R"({"action":"demo.act","pack":"demo","pack_path":"/packs/demo/d1",)"
            R"("entry_point":"act.sh","parameters":{"x":1},"config":{"key":"k"},)"
            R"("log_level":"INFO"})");
}

TEST(LaunchPlan, NodeScriptGoesThroughItsSdkWithItsEnvironment) {
  Order o(Runner::Script);
  o.order.sdk = Sdk::Node;
  o.order.runtime.interpreter = {"node"};
  o.order.runtime.env = {{"NODE_PATH", "{env_dir}/node_modules"}};
  RunDefaults defaults;
  defaults.sdk = [](Sdk sdk) { return Result<std::string>(sdk == Sdk::Node ? "/node" : "/no"); };
  auto release = [](const auto&, const auto&, const auto& file) {
    return Result<std::string>("/packs/demo/d1/" + file);
  };
  auto launch = plan_launch(o.order, defaults, release);
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"node", "/node"}));
  EXPECT_EQ(launch->env, Words{}) << "there is no environment";
  defaults.environment = [](const auto&) { return "/envs/k"; };
  EXPECT_EQ(plan_launch(o.order, defaults, release)->env, Words{"NODE_PATH=/envs/k/node_modules"});
}

TEST(LaunchPlan, ARuntimeSaysItsVariablesAndTheProgramOfItsEnvironment) {
  Order o(Runner::Script);
  o.order.runtime = {.ref = "demo.ruby",
                     .interpreter = {"ruby", "-W"},
                     .env = {{"LIB", "{pack_dir}/lib", RuntimeVariable::How::Prepend, ":"},
                             {"LIB", "/end", RuntimeVariable::How::Append, ":"}},
                     .environment = {.interpreter = "{env_dir}/bin/ruby"}};
  RunDefaults defaults;
  defaults.env = {{"LIB", "/before"}};
  defaults.environment = [](const auto&) { return "/envs/k"; };
  auto launch = plan_launch(o.order, defaults, [](const auto&, const auto&, const auto& file) {
    return Result<std::string>("/packs/demo/d1/" + file);
  });
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"/envs/k/bin/ruby", "-W", "/packs/demo/d1/actions/act.sh"}));
  EXPECT_EQ(launch->env, Words{"LIB=/packs/demo/d1/lib:/before:/end"});
}

TEST(LaunchPlan, AttunesNamesStandBesideOursInItsSpelling) {
  Order o(Runner::Script);
  o.order.env = {{"MILLRACE_ACTION", "demo.act"},
                 {"MILLRACE_API_TOKEN", "t"},
                 {"MILLRACE_RULE", ""},
                 {"MILLRACE_ATTEMPT", "1"}};
  o.order.runner_type = "Shell";
  auto env = o.plan()->env;
  auto has = [&](const std::string& entry) { return std::ranges::count(env, entry) == 1; };
  EXPECT_TRUE(has("ATTUNE_ACTION=demo.act"));
  EXPECT_TRUE(has("ATTUNE_API_TOKEN=t"));
  EXPECT_TRUE(has("ATTUNE_PACK_REF=demo"));
  EXPECT_EQ(env.size(), 9U) << "and no others";
  o.order.runner_type = "local-shell-script";
  env = o.plan()->env;
  EXPECT_FALSE(has("ATTUNE_ACTION=demo.act"));
}

TEST(LaunchPlan, SudoIsOffUntilTheConfigurationAllowsIt) {
  Order o(Runner::Shell);
  o.order.runner_type = "local-shell-cmd";
  o.order.steering = {"sudo", "sudo_password"};
  o.order.parameters = Value::map({{"cmd", "id"}, {"sudo", true}});
  auto refused = o.plan();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("worker.allow_sudo"), std::string::npos);
  RunDefaults defaults;
  defaults.allow_sudo = true;
  auto plan = [&] { return *plan_launch(o.order, defaults, {}); };
  EXPECT_EQ(plan().argv,
            (Words{"sudo", "-n", "-E", "-H", "--", "/bin/bash", "-c", "id", "demo.act"}));
  o.order.parameters.set("sudo_password", "open sesame");
  EXPECT_EQ(plan().argv[1], "-S");
  EXPECT_EQ(plan().parameters, "open sesame\n{\"cmd\":\"id\"}");
  o.order.parameters.set("sudo", false);
  EXPECT_EQ(plan().argv[0], "/bin/bash");
  EXPECT_EQ(plan().parameters, "{\"cmd\":\"id\"}");
}

TEST(LaunchPlan, WhatRunsElsewhereGoesThroughStdinAlone) {
  Order o(Runner::Shell);
  o.order.runner_type = "remote-shell-cmd";
  o.order.sdk = Sdk::Ssh;
  o.order.arguments = {"word"};
  o.order.parameters = Value::map({{"cmd", "id"},
                                   {"hosts", "a,b"},
                                   {"word", "w"},
                                   {"private_key", "k"},
                                   {"cwd", "/there"},
                                   {"env", Value::map({{"A", "1"}})}});
  RunDefaults defaults;
  defaults.known_hosts = "/known";
  defaults.sdk = [](Sdk) { return Result<std::string>("/sdk"); };
  auto launch = plan_launch(o.order, defaults, {});
  ASSERT_TRUE(launch.ok());
  EXPECT_EQ(launch->argv, (Words{"python3", "-I", "-u", "/sdk/millrace/remote_shell.py"}));
  EXPECT_EQ(launch->env, Words{});
  EXPECT_EQ(launch->cwd, "");
  EXPECT_TRUE(launch->says_result);
  EXPECT_EQ(launch->parameters,
            R"({"action":"demo.act","hosts":"a,b","command":"id","arguments":["w"],"options":{)"
            R"("known_hosts":"/known","private_key":"k","cwd":"/there","env":{"A":"1"}}})");
}

TEST(LaunchPlan, AKeptProcessIsOfThoseWhoKnowTheSame) {
  Order o(Runner::Script);
  o.order.sdk = Sdk::Python;
  o.order.runtime.interpreter = {"python3"};
  o.order.tenant = TenantId(1);
  o.order.identity = "ada";
  RunDefaults defaults;
  defaults.sdk = [](Sdk) { return Result<std::string>("/sdk"); };
  std::string environment;
  defaults.environment = [&](const auto&) { return environment; };
  auto warm = [&] {
    return plan_launch(o.order, defaults,
                       [](const auto&, const auto& digest, const auto& file) {
                         return Result<std::string>("/packs/demo/" + digest + "/" + file);
                       })
        ->warm;
  };
  EXPECT_EQ(warm().reuse, Reuse::None);
  o.order.reuse = Reuse::Process;
  std::string key = warm().key;
  EXPECT_EQ(warm().reuse, Reuse::Process);
  o.order.parameters.set("x", 1);
  o.order.action = "demo.other";
  o.order.env = {{"MILLRACE_API_TOKEN", "of this run"}};
  o.order.secrets = {"of this run"};
  EXPECT_EQ(warm().key, key) << "parameters and tokens are of a call";
  auto differs = [&](auto change) {
    auto before = o.order;
    change();
    bool is_other = warm().key != key;
    o.order = before;
    environment.clear();
    return is_other;
  };
  EXPECT_TRUE(differs([&] { o.order.tenant = TenantId(2); }));
  EXPECT_TRUE(differs([&] { o.order.identity = "bob"; }));
  EXPECT_TRUE(differs([&] { o.order.release = "d2"; }));
  EXPECT_TRUE(differs([&] { o.order.config = Value::map({{"key", "k"}}); }));
  EXPECT_TRUE(differs([&] { o.order.secrets = {"s"}; }));
  EXPECT_TRUE(differs([&] { o.order.permissions = {"keys:read"}; }));
  EXPECT_TRUE(differs([&] { o.order.runtime.interpreter = {"python3.12"}; }));
  EXPECT_TRUE(differs([&] { o.order.reuse = Reuse::Fork; }));
  EXPECT_TRUE(differs([&] { environment = "/envs/k"; }));
  defaults.warm.processes = 0;
  EXPECT_EQ(warm().reuse, Reuse::None);
}

TEST(LaunchPlan, AReleaseThatIsNotHereRefusesTheOrder) {
  Order o(Runner::Script);
  auto launch = plan_launch(o.order, {}, [](const auto&, const auto&, const auto&) {
    return Result<std::string>(Error(ErrorKind::NotFound, "APP-0011", "it is missing"));
  });
  ASSERT_FALSE(launch.ok());
  EXPECT_EQ(launch.error().message(), "it is missing");
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
  o.order.runner = Runner::Unsupported;
  o.order.runner_type = "winrm-cmd";
  EXPECT_EQ(o.plan().error().message(),
            "action 'demo.act': runner_type 'winrm-cmd' is not supported by this worker");
}

// What the engine let in before a setting changed, or an older server did.
TEST(LaunchPlan, ACallersVariableThatSteersAnInterpreterRefusesTheOrder) {
  for (const auto& line : steering_env_names()) {
    std::string name(line.name);
    if (name.ends_with('*')) name.replace(name.size() - 1, 1, "X");
    Order by_parameter(Runner::Shell), by_execution(Runner::Shell), by_runtime(Runner::Shell);
    for (Order* o : {&by_parameter, &by_execution, &by_runtime}) {
      o->order.parameters = Value::map({{"cmd", "x"}});
    }
    by_parameter.order.parameters.set("env", Value::map({{name, "x"}}));
    by_execution.order.env = {{name, "x"}};
    by_runtime.order.runtime.env = {{name, "x"}};
    for (const Order* o : {&by_parameter, &by_execution}) {
      auto launch = o->plan();
      ASSERT_FALSE(launch.ok()) << name;
      EXPECT_EQ(launch.error().code(), "WRK-0008");
      EXPECT_NE(launch.error().message().find(name), std::string::npos) << name;
    }
    EXPECT_TRUE(by_runtime.plan().ok()) << "the pack's own";
    RunDefaults defaults;
    defaults.env_allowed = {name};
    EXPECT_TRUE(plan_launch(by_execution.order, defaults, {}).ok()) << "the configuration's";
  }
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
