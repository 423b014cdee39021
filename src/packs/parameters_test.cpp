// SPDX-License-Identifier: Apache-2.0
#include "packs/parameters.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::packs {
namespace {

Value json(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << text.substr(0, 200) << value.error().message();
  return std::move(value).value();
}

Parameter parameter(std::string name, std::string_view schema) {
  return {.name = std::move(name), .schema = json(schema)};
}

Action build_action() {
  Action action{.ref = "ci.build"};
  action.parameters = {parameter("branch", R"({"type":"string"})"),
                       parameter("depth", R"({"type":"integer","minimum":1})"),
                       parameter("fixed", R"({"type":"string"})"),
                       parameter("token", R"({"type":"string","maxLength":8})"),
                       parameter("note", R"({"type":["string","null"]})")};
  action.parameters[0].required = true;
  action.parameters[1].default_value = Value(5);
  action.parameters[2].immutable = true;
  action.parameters[2].default_value = Value("always");
  action.parameters[3].secret = true;
  return action;
}

Result<Value> call(const Action& action, std::string_view given, const CallScope& scope = {}) {
  expr::Engine engine;
  return check_parameters(action, json(given), scope, engine);
}

std::string problems(const Action& action, std::string_view given) {
  auto out = call(action, given);
  std::string text;
  if (out) return text;
  for (const Problem& p : out.error().problems()) text += p.path + ": " + p.message + "\n";
  return text;
}

TEST(CheckParameters, FillsDefaultsAndKeepsWhatWasGiven) {
  EXPECT_EQ(to_json(*call(build_action(), R"({"branch":"main","note":null})")),
            R"({"branch":"main","depth":5,"fixed":"always","note":null})");
  EXPECT_EQ(to_json(*call(build_action(), R"({"depth":null,"branch":"x"})")),
            R"({"branch":"x","depth":5,"fixed":"always"})");
}

TEST(CheckParameters, RefusesEverythingThatIsWrongAtOnce) {
  EXPECT_EQ(problems(build_action(), R"({"brnch":"x","depth":0,"fixed":"y","token":"123456789"})"),
            "/brnch: unknown parameter 'brnch' (did you mean 'branch'?)\n"
            "/branch: is required\n"
            "/fixed: is immutable: the action sets it itself\n"
            "/depth: expected at least 1, found 0\n"
            "/token: expected at most 8 characters, found 9\n");
  EXPECT_FALSE(call(build_action(), "[1]"));
}

TEST(CheckParameters, NeverQuotesASecret) {
  Action action = build_action();
  action.parameters[3].schema = json(R"({"enum":["a"],"type":["string","integer"]})");
  EXPECT_EQ(problems(action, R"({"branch":"b","token":"hunter2"})").find("hunter2"),
            std::string::npos);
}

TEST(CheckParameters, RendersDefaultsOverTheOtherParameters) {
  Action action{.ref = "st2.run"};
  action.parameters = {parameter("cmd", "{}"), parameter("who", "{}"), parameter("host", "{}"),
                       parameter("count", "{}")};
  action.parameters[0].default_value = Value("ping {{ who }} {{ config_context.region }}");
  action.parameters[1].default_value = Value("{{ host }}.local");
  action.parameters[2].required = true;
  action.parameters[3].default_value = Value("{{ 1 + 2 }}");
  CallScope scope{.pack_config = json(R"({"region":"eu"})")};
  auto out = call(action, R"({"host":"{{ 6 * 7 }}"})", scope);
  ASSERT_TRUE(out) << out.error().describe();
  EXPECT_EQ((*out)["cmd"], Value("ping {{ 6 * 7 }}.local eu")) << "what is given is only data";
  EXPECT_EQ((*out)["count"], Value(3));
}

TEST(CheckParameters, EndsWhenDefaultsReadEachOtherInACircle) {
  Action action{.ref = "st2.run"};
  action.parameters = {parameter("a", "{}"), parameter("b", "{}")};
  action.parameters[0].default_value = Value("{{ b }}");
  action.parameters[1].default_value = Value("{{ a }}");
  EXPECT_NE(problems(action, "{}").find("/a: its default cannot be rendered"), std::string::npos);
}

TEST(SecretValues, AreTheScalarsOfSecretParametersLongestFirst) {
  Action action = build_action();
  action.parameters[0].secret = true;
  Value parameters = json(R"({"token":"s3cret","branch":{"a":["longer one",42,123456,true]}})");
  EXPECT_EQ(secret_values(action, parameters),
            (std::vector<std::string>{"longer one", "123456", "s3cret"}));
  EXPECT_EQ(secret_values(action, json(R"({"token":"begin key\nx\nQm9\"vdA=="})")),
            (std::vector<std::string>{R"(begin key\nx\nQm9\"vdA==)",
                                      "begin key\nx\nQm9\"vdA==", "Qm9\"vdA==", "begin key"}));
  EXPECT_EQ(to_json(masked(action, json(R"({"token":"s3cret","depth":1})"))),
            R"({"token":"********","depth":1})");
}

TEST(CheckParameters, RefusesWhatNoProcessCanBeGiven) {
  Action shell{.ref = "ci.act", .runner = Runner::Shell};
  for (const char* name : {"cmd", "cwd", "env", "word", "other"}) {
    shell.parameters.push_back(parameter(name, "{}"));
  }
  shell.parameters[3].position = 0;
  std::string nul = "expected text that a process can be given, found a NUL character at byte 1\n";
  for (std::string name : {"cmd", "cwd", "word"}) {
    EXPECT_EQ(problems(shell, "{\"" + name + R"(":"a\u0000b"})"), "/" + name + ": " + nul);
    bool is_path = name == "cwd";
    std::string fits(is_path ? 4095 : 131'071, 'x');
    EXPECT_EQ(problems(shell, "{\"" + name + "\":\"" + fits + "\"}"), "");
    EXPECT_TRUE(problems(shell, "{\"" + name + "\":\"" + fits + "x\"}")
                    .starts_with("/" + name + ": expected at most " + std::to_string(fits.size())));
  }
  EXPECT_EQ(problems(shell, R"({"word":["a","\u0000"]})"),
            "/word: expected text that a process can be given, found a NUL character at byte 2\n");
  EXPECT_EQ(problems(shell, R"({"other":"a\u0000b"})"), "") << "it comes as JSON";
  EXPECT_EQ(problems(shell, R"({"env":{"A":"x","b.c":"","D":7}})"), "");
  EXPECT_EQ(problems(shell, R"({"env":{"":"x"}})"), "/env: expected a name, found an empty one\n");
  EXPECT_EQ(problems(shell, R"({"env":{"A=B":"x","a\u0000":"x","MILLRACE_X":"","C":"a\u0000"}})"),
            "/env: \"A=B\" is no name of a variable: expected one without '=' and NUL\n"
            "/env: \"a\\u0000\" is no name of a variable: expected one without '=' and NUL\n"
            "/env: \"MILLRACE_X\" may not be set: what begins with MILLRACE_ is the server's\n"
            "/env: \"C\": " +
                nul);
  EXPECT_TRUE(problems(shell, R"({"env":{"A":")" + std::string(131'070, 'x') + "\"}}")
                  .starts_with("/env: \"A\": expected at most 131069 bytes"));
  EXPECT_NE(problems(shell, R"({"env":{")" + std::string(60'000, 'x') + "\":\"" +
                                std::string(80'000, 'y') + "\"}}"),
            "");

  Action http{.ref = "ci.http", .runner = Runner::Http};
  for (const char* name : {"url", "headers", "body"}) {
    http.parameters.push_back(parameter(name, "{}"));
  }
  EXPECT_EQ(problems(http, R"({"url":"http://h/","headers":{"X-A":"a\tü"},"body":"\u0000"})"), "");
  for (const char* url : {"http://h/a b", "http://h/\\u0000", "http://h/\\n"}) {
    EXPECT_EQ(problems(http, std::string(R"({"url":")") + url + "\"}"),
              "/url: expected no spaces or control characters (write them as %20)\n");
  }
  EXPECT_EQ(
      problems(http, R"({"headers":{"":"x","A B":"x","A:":"x","C":"a\r\nX: y","D":"\u0000"}})"),
      "/headers: \"\" is no name of a header\n"
      "/headers: \"A B\" is no name of a header\n"
      "/headers: \"A:\" is no name of a header\n"
      "/headers: \"C\": expected no control characters in its value\n"
      "/headers: \"D\": expected no control characters in its value\n");
}

TEST(CheckParameters, CastsWhatIsGivenAndDefaultsToTheirTypes) {
  Action action = build_action();
  action.parameters.push_back(parameter("tags", R"({"type":"array"})"));
  action.parameters.push_back(parameter("loud", R"({"type":"boolean"})"));
  action.parameters.push_back(parameter("wait", R"({"type":"integer"})"));
  action.parameters[6].default_value = Value(1);
  action.parameters[7].default_value = Value("{{ branch }}");
  EXPECT_EQ(to_json(*call(action, R"({"branch":7,"depth":"3","tags":"[1]","note":"1.10"})")),
            R"({"branch":"7","depth":3,"fixed":"always","note":"1.10","tags":[1],"loud":true,)"
            R"("wait":7})");
  EXPECT_EQ(problems(action, R"({"branch":"b","depth":"three","wait":1})"),
            "/depth: expected integer, found string \"three\"\n");
}

TEST(CheckParameters, AParameterNamedAsWhatDefaultsReadIsTheParameter) {
  Action action{.ref = "ci.act"};
  action.parameters = {parameter("pack", "{}"), parameter("cmd", "{}")};
  action.parameters[1].default_value = Value("install {{ pack }} for {{ action_context.user }}");
  CallScope scope{.pack_config = json(R"({"region":"eu"})"),
                  .action_context = json(R"({"user":"ada"})")};
  EXPECT_EQ((*call(action, R"({"pack":"curl"})", scope))["cmd"], Value("install curl for ada"));
  action.parameters[0].default_value = Value("{{ 'v' ~ 'im' }}");
  EXPECT_EQ((*call(action, "{}", scope))["cmd"], Value("install vim for ada"));
}

TEST(CommandLine, TakesThePositionedParametersOfShellActionsInTheirOrder) {
  Action action{.ref = "ci.act", .runner = Runner::Shell};
  for (const char* name : {"second", "first", "named", "cmd", "cwd"}) {
    action.parameters.push_back(parameter(name, "{}"));
  }
  action.parameters[0].position = 1;
  action.parameters[1].position = 0;
  action.parameters[3].position = 0;
  action.parameters[4].position = 2;
  action.parameters[3].of_runner = action.parameters[4].of_runner = true;
  EXPECT_EQ(argument_names(action), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(steering_names(action), (std::vector<std::string>{"cmd", "cwd"}));
  action.runner = Runner::Script;
  action.runtime = "shell";
  EXPECT_EQ(argument_names(action), (std::vector<std::string>{"first", "second"}));
  action.runtime = "python";
  EXPECT_TRUE(argument_names(action).empty());
}

}  // namespace
}  // namespace millrace::packs
