// SPDX-License-Identifier: Apache-2.0
#include "packs/policy.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/json.h"
#include "base/yaml.h"

namespace millrace::packs {
namespace {

struct Read {
  PolicySpec spec;
  std::string problems;  // a line each
};
Read read(const std::string& text) {
  std::vector<Problem> problems;
  Read out;
  out.spec = read_policy_value(parse_yaml(text, "p.yaml")->value, "ops", problems);
  for (const auto& problem : problems) {
    out.problems += fmt::format("{} {}\n", problem.path, problem.message);
  }
  return out;
}

TEST(Policy, ReadsOurForm) {
  auto [spec, problems] = read(R"(
name: calm
action: deploy
concurrency: {limit: 2, by: [host], then: cancel_oldest}
rate: {limit: 10, per: 1m, then: refuse}
quota: {limit: 100, per: day}
retry: {on: [failed, timeout], count: 3, delay: 5s, backoff: 2, max_delay: 1h, jitter: 0.1}
)");
  EXPECT_EQ(problems, "");
  EXPECT_EQ(spec.action, "ops.deploy");
  EXPECT_EQ(spec.concurrency, (ConcurrencyLimit{2, {"host"}, WhenFull::CancelOldest}));
  EXPECT_EQ(spec.rate, (RateLimit{10, 60'000, 10, {}, WhenFull::Refuse}));
  EXPECT_EQ(spec.quota, (QuotaLimit{100, 86'400'000, {}}));
  RetryRule retry{true, true, 3, 5000, 2, 3'600'000, 0.1, true};
  EXPECT_EQ(spec.retry, retry);
}

TEST(Policy, ReadsStackStormsThree) {
  auto delay = read(
      "{resource_ref: ops.x, policy_type: action.concurrency, "
      "parameters: {threshold: 3}}");
  EXPECT_EQ(delay.problems, "");
  EXPECT_EQ(delay.spec.concurrency, (ConcurrencyLimit{3, {}, WhenFull::Queue}));
  auto attr = read(
      "{resource_ref: ops.x, policy_type: action.concurrency.attr, "
      "parameters: {threshold: 1, attributes: [a, b], action: cancel}}");
  EXPECT_EQ(attr.problems, "");
  EXPECT_EQ(attr.spec.concurrency, (ConcurrencyLimit{1, {"a", "b"}, WhenFull::CancelNew}));
  auto retry = read(
      "{resource_ref: ops.x, policy_type: action.retry, "
      "parameters: {retry_on: timeout, max_retry_count: 2, delay: 4}}");
  EXPECT_EQ(retry.problems, "");
  EXPECT_FALSE(retry.spec.retry->on_failed);
  EXPECT_TRUE(retry.spec.retry->on_timeout);
  EXPECT_EQ(retry.spec.retry->delay_ms, 4000);
  EXPECT_FALSE(retry.spec.retry->of_steps) << "as in StackStorm";
}

TEST(Policy, ComesBackAsItWasWritten) {
  auto first = read(
      "{action: x, concurrency: {limit: 2, by: [h]}, rate: {limit: 1, per: 90s}, "
      "quota: {limit: 9, per: hour}, retry: {count: 2, delay: 1500ms}}");
  auto again = read(to_json(policy_to_value(first.spec)));
  EXPECT_EQ(again.problems, "");
  EXPECT_EQ(again.spec, first.spec);
}

TEST(Policy, SaysWhatIsWrong) {
  struct Case {
    const char* text;
    const char* problem;
  };
  const Case cases[] = {
      {"[1]", " expected a map, found [1]\n"},
      {"{action: x}",
       " expected one of 'concurrency', 'rate', 'quota', 'retry', or StackStorm's "
       "'policy_type'\n"},
      {"{concurrency: {limit: 1}}", " expected 'action' (a ref), or 'of_pack': what it is for\n"},
      {"{action: x, of_pack: y, concurrency: {limit: 1}}",
       " expected either 'action' or 'of_pack', found both\n"},
      {"{action: x, concurency: {limit: 1}, retry: {count: 1}}",
       "/concurency unknown key 'concurency' (did you mean 'concurrency'?)\n"},
      {"{action: x, concurrency: {limit: 0}}",
       "/concurrency/limit 'limit': expected a whole number from 1 to 1000000, found 0\n"},
      {"{action: x, concurrency: {limit: 1, then: canel_new}}",
       "/concurrency/then 'then': expected one of queue, cancel_new, cancel_oldest, found "
       "'canel_new' (did you mean 'cancel_new'?)\n"},
      {"{action: x, rate: {limit: 5, per: soon}}",
       "/rate/per 'per': expected a time such as 30s, 5m, 1h or 1d, or a number of seconds, found "
       "\"soon\"\n"},
      {"{action: x, rate: {limit: 1, per: 365d, burst: 1000000}}",
       "/rate/burst 'burst': so many of so slow a rate: it would be years until they may come "
       "again\n"},
      {"{action: x, rate: {limit: 5}}", "/rate expected 'per', a time such as 1m\n"},
      {"{action: x, quota: {limit: 5, per: week}}",
       "/quota/per 'per': expected hour or day, found 'week'\n"},
      {"{action: x, retry: {count: 1, on: canceled}}",
       "/retry/on 'on': expected failed, timeout or both in a list, found \"canceled\"\n"},
      {"{action: x, retry: {count: 1, backoff: 0.5}}",
       "/retry/backoff 'backoff': expected a number from 1 to 100, found 0.5\n"},
      {"{resource_ref: ops.x, policy_type: action.concurency, parameters: {threshold: 1}}",
       "/policy_type 'policy_type': expected one of action.concurrency, action.concurrency.attr, "
       "action.retry, found 'action.concurency' (did you mean 'action.concurrency'?)\n"},
      {"{resource_ref: ops.x, policy_type: action.concurrency, parameters: {treshold: 1}}",
       "/parameters expected 'threshold', how many may run at once\n"
       "/parameters/treshold unknown key 'treshold' (did you mean 'threshold'?)\n"},
  };
  for (const auto& [text, problem] : cases) {
    auto found = read(text).problems;
    EXPECT_TRUE(found.find(problem) != std::string::npos) << text << "\n" << found;
  }
}

TEST(Policy, ParametersThatAreNotThereOrSecretAreRefused) {
  Action action;
  action.ref = "ops.x";
  for (const char* name : {"host", "token"}) {
    Parameter parameter;
    parameter.name = name;
    parameter.secret = parameter.name == "token";
    action.parameters.push_back(parameter);
  }
  auto spec = read(
                  "{action: x, concurrency: {limit: 1, by: [hots]}, quota: {limit: 1, per: day, "
                  "by: [token]}}")
                  .spec;
  auto problems = policy_problems(spec, action);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].message, "action 'ops.x' has no parameter 'hots' (did you mean 'host'?)");
  EXPECT_EQ(problems[1].message, "parameter 'token' is secret: its values are counted nowhere");
}

TEST(Policy, OfAPackTheSecretsOfAllItsActionsAreNamed) {
  Pack pack;
  Parameter token;
  token.name = "token";
  token.secret = true;
  Action action;
  action.ref = "ops.x";
  action.parameters.push_back(token);
  pack.actions.push_back(action);
  auto spec = read("{of_pack: ops, rate: {limit: 1, per: 1s, by: [host, token]}}").spec;
  auto problems = policy_problems(spec, pack);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].path, "/rate/by");
  EXPECT_EQ(problems[0].message,
            "parameter 'token' of action 'ops.x' is secret: its values are counted nowhere");
}

TEST(Policy, SpansAreReadAndSaid) {
  for (const auto& [text, ms] : {std::pair("250ms", 250),
                                 {"5s", 5000},
                                 {"1.5m", 90'000},
                                 {"2h", 7'200'000},
                                 {"1d", 86'400'000}}) {
    EXPECT_EQ(parse_span(Value(text)), ms) << text;
  }
  EXPECT_EQ(parse_span(Value(3)), 3000);
  for (const char* wrong : {"", "s", "5 parsecs", "-1s", "nan", "1e300d"}) {
    EXPECT_EQ(parse_span(Value(wrong)), std::nullopt) << wrong;
  }
  EXPECT_EQ(span_text(90'000), "90s");
  EXPECT_EQ(span_text(0), "0s");
}

}  // namespace
}  // namespace millrace::packs
