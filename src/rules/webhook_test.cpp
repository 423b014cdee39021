// SPDX-License-Identifier: Apache-2.0
#include "rules/webhook.h"

#include <gtest/gtest.h>

#include "rules/rule.h"

namespace millrace::rules {
namespace {

RuleSpec on_webhook(const char* url) {
  RuleSpec spec;
  spec.ref = "ops.sample";
  spec.trigger = "core.st2.webhook";
  spec.trigger_parameters = Value::map({{"url", url}});
  spec.criteria = Value::map();
  spec.action = "core.noop";
  return spec;
}

// A delivery names its endpoint without slashes around it, whatever the rule's file says.
TEST(Webhook, AUrlIsTheSameWithSlashesAroundIt) {
  expr::Engine engine;
  Value event = Value::map(
      {{"trigger", "core.st2.webhook"}, {"parameters", Value::map({{"url", "git/push"}})}});
  EventScope scope;
  scope.event = event;
  for (const char* url : {"git/push", "/git/push", "git/push/", "//git/push//"}) {
    auto rule = compile(on_webhook(url), RuleId{1}, 1, engine);
    ASSERT_TRUE(rule.ok()) << rule.error().describe();
    auto told = explain(**rule, scope, engine);
    ASSERT_TRUE(told.ok()) << told.error().describe();
    EXPECT_TRUE(told->matches) << url;
    EXPECT_EQ(webhook_of_rule(on_webhook(url)), "git/push");
  }
  auto other = compile(on_webhook("git"), RuleId{1}, 1, engine);
  EXPECT_FALSE(explain(**other, scope, engine)->matches);
}

TEST(Webhook, ANameIsAPathOfSafeParts) {
  for (const char* name : {"a", "Sample", "a/b/c", "v1.2_x~y-z", "..a"}) {
    EXPECT_EQ(webhook_name_fault(name), "") << name;
  }
  for (const char* name : {"", "a//b", ".", "a/..", "a b", "a?b", "a%2Fb", "st2", "\xc3\xa4"}) {
    EXPECT_NE(webhook_name_fault(name), "") << name;
    EXPECT_EQ(webhook_of_rule(on_webhook(name)), "") << name;
  }
  EXPECT_NE(webhook_name_fault(std::string(201, 'a')), "");
  auto timer = on_webhook("a");
  timer.trigger = "core.webhook";
  EXPECT_EQ(webhook_of_rule(timer), "");
}

}  // namespace
}  // namespace millrace::rules
