// SPDX-License-Identifier: Apache-2.0
#include "rules/index.h"

#include <gtest/gtest.h>

#include <random>

#include "base/yaml.h"

namespace millrace::rules {
namespace {

Value yaml(std::string_view text) { return parse_yaml(text, "test").value().value; }

RulePtr rule(std::string ref, Value criteria, Value parameters = {}) {
  expr::Engine engine;
  RuleSpec spec{.ref = std::move(ref), .trigger = "t.t"};
  spec.criteria = std::move(criteria);
  spec.trigger_parameters = std::move(parameters);
  return compile(std::move(spec), RuleId(1), 1, engine).value();
}

EventScope event(Value payload, Value parameters = {}) {
  return {.event = event_value(EventId(1), "t.t", 0, std::move(payload), std::move(parameters))};
}

std::string matched(const RuleIndex& index, const EventScope& scope) {
  expr::Engine engine;
  auto matches = index.match(scope, engine);
  EXPECT_TRUE(matches);
  std::string refs;
  for (const Match& match : *matches) refs += match.rule->spec().ref + " ";
  return refs;
}

TEST(RuleIndex, FindsRulesByEqualityPrefixAndOneByOne) {
  RuleIndex index({
      rule("p.eq", yaml("trigger.a: {type: equals, pattern: 1}")),
      rule("p.in", yaml("trigger.a: {type: in, pattern: [1, 2, 1]}")),
      rule("p.prefix", yaml("trigger.s: {type: startswith, pattern: refs/}")),
      rule("p.longer", yaml("trigger.s: {type: startswith, pattern: refs/heads/main}")),
      rule("p.scan", yaml("trigger.s: {type: contains, pattern: heads}")),
      rule("p.always", Value()),
      rule("p.both",
           yaml("{trigger.a: {type: eq, pattern: 1}, trigger.s: {type: eq, pattern: x}}")),
  });
  EXPECT_EQ(index.size(), 7u);
  EXPECT_EQ(matched(index, event(yaml("{a: 1.0, s: refs/heads/dev}"))),
            "p.always p.eq p.in p.prefix p.scan ");
  EXPECT_EQ(matched(index, event(yaml("{a: 2, s: refs/heads/main}"))),
            "p.always p.in p.longer p.prefix p.scan ");
  EXPECT_EQ(matched(index, event(yaml("{a: 1, s: x}"))), "p.always p.both p.eq p.in ");
  EXPECT_EQ(matched(index, event(yaml("{a: [1], s: 3}"))), "p.always ");
}

TEST(RuleIndex, ComparesTriggerParameters) {
  RuleIndex index({rule("p.ci", Value(), yaml("{name: ci}")), rule("p.any", Value()),
                   rule("p.cd", Value(), yaml("{name: cd, level: 2}"))});
  EXPECT_EQ(matched(index, event(Value::map(), yaml("{name: ci, extra: 1}"))), "p.any p.ci ");
  EXPECT_EQ(matched(index, event(Value::map(), yaml("{name: cd}"))), "p.any ");
  EXPECT_EQ(matched(index, event(Value::map(), yaml("{level: 2, name: cd}"))), "p.any p.cd ");
}

TEST(RuleIndex, TellsTimersApartByAllTheirParameters) {
  expr::Engine engine;
  RuleSpec spec{.ref = "p.plain", .trigger = "core.intervaltimer"};
  spec.trigger_parameters = yaml("{unit: seconds, interval: 5}");
  auto plain = compile(spec, RuleId(1), 1, engine).value();
  spec.ref = "p.late";
  spec.trigger_parameters.set("catch_up", "all");
  auto late = compile(spec, RuleId(2), 1, engine).value();
  RuleIndex index({plain, late});
  EventScope scope{.event = event_value(EventId(1), "core.intervaltimer", 0, Value::map(),
                                        spec.trigger_parameters)};
  EXPECT_EQ(matched(index, scope), "p.late ");
}

TEST(RuleIndex, KeepsBackstopsForEventsThatNothingElseMatched) {
  expr::Engine engine;
  RuleSpec spec{.ref = "p.backstop", .trigger = "t.t", .backstop = true};
  RuleIndex index({compile(spec, RuleId(1), 1, engine).value(),
                   rule("p.one", yaml("trigger.a: {type: eq, pattern: 1}"))});
  EXPECT_EQ(matched(index, event(yaml("{a: 1}"))), "p.one ");
  EXPECT_EQ(matched(index, event(yaml("{a: 2}"))), "p.backstop ");
}

TEST(RuleIndex, ChangesWithoutTouchingTheOldSnapshot) {
  RuleIndex one({rule("p.a", yaml("trigger.a: {type: eq, pattern: 1}"))});
  RuleIndex two =
      one.with({rule("p.a", yaml("trigger.a: {type: eq, pattern: 2}")), rule("p.b", Value())});
  RuleIndex three = two.without("p.b");
  EventScope scope = event(yaml("{a: 2}"));
  EXPECT_EQ(matched(one, scope), "");
  EXPECT_EQ(matched(two, scope), "p.a p.b ");
  EXPECT_EQ(matched(three, scope), "p.a ");
  expr::Engine engine;
  RuleSpec disabled{.ref = "p.a", .trigger = "t.t", .enabled = false};
  EXPECT_EQ(three.with({compile(disabled, RuleId(1), 2, engine).value()}).size(), 0u);
}

TEST(RuleIndex, GivesTheVerdictsOfWhatMatched) {
  RuleIndex index({rule("p.a", yaml("trigger.a: {type: gt, pattern: 1}"), yaml("{name: x}"))});
  expr::Engine engine;
  auto matches = index.match(event(yaml("{a: 2}"), yaml("{name: x}")), engine).value();
  ASSERT_EQ(matches.size(), 1u);
  ASSERT_EQ(matches[0].verdicts.size(), 2u);
  EXPECT_EQ(matches[0].verdicts[1].criterion, "trigger.a");
  EXPECT_EQ(matches[0].verdicts[1].found, Value(2));
}

// The index is only a short cut: it must agree with trying every rule.
TEST(RuleIndex, AgreesWithTryingEveryRule) {
  std::mt19937 random(20260101);
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const char* const places[] = {"trigger.a", "trigger.b", "trigger.c.d"};
  const char* const operators[] = {"equals", "in", "startswith", "contains", "nequals", "exists"};
  auto word = [&] {
    return std::string(static_cast<size_t>(below(3)), 'x') + char('a' + below(2));
  };
  std::vector<RulePtr> rules;
  for (int i = 0; i < 300; ++i) {
    Value criteria = Value::map();
    for (int k = below(4); k > 0; --k) {
      std::string op = operators[below(6)];
      Value pattern = op == "in" ? Value(ValueList{word(), word()}) : Value(word());
      criteria.set(places[below(3)], Value::map({{"type", op}, {"pattern", pattern}}));
    }
    rules.push_back(rule("p.r" + std::to_string(1000 + i), criteria));
  }
  // Half of them come one at a time, some replace what was there, some leave again.
  RuleIndex index(std::vector(rules.begin(), rules.begin() + 150));
  for (size_t i = 150; i < rules.size(); ++i) index = index.with({rules[i]});
  for (size_t i = 0; i < rules.size(); i += 7) {
    rules[i] = rule(rules[i]->spec().ref, yaml("trigger.a: {type: eq, pattern: a}"));
    index = index.with({rules[i]});
  }
  for (size_t i = 1; i < rules.size(); i += 5) index = index.without(rules[i]->spec().ref);
  for (size_t i = rules.size(); i-- > 0;) {
    if (i % 5 == 1) rules.erase(rules.begin() + static_cast<ptrdiff_t>(i));
  }
  EXPECT_EQ(index.size(), rules.size());
  expr::Engine engine;
  for (int i = 0; i < 200; ++i) {
    Value payload = Value::map({{"a", word()}, {"c", Value::map({{"d", word()}})}});
    if (below(2) == 0) payload.set("b", word());
    EventScope scope = event(payload);
    std::string expected;
    for (const RulePtr& r : rules) {
      if (explain(*r, scope, engine)->matches) expected += r->spec().ref + " ";
    }
    EXPECT_EQ(matched(index, scope), expected);
  }
}

}  // namespace
}  // namespace millrace::rules
