// SPDX-License-Identifier: Apache-2.0
// Criteria, schedules, workflows under inspection.
#include <fmt/format.h>

#include "base/json.h"
#include "base/problems.h"
#include "conductor/definition.h"
#include "conductor/inline_params.h"
#include "conductor/inspect.h"
#include "growth.h"
#include "rules/index.h"
#include "rules/rule.h"
#include "rules/schedule.h"

namespace millrace {
namespace {

using cost::grows_no_faster;
using rules::EventScope;
using rules::RuleIndex;

rules::RulePtr rule(std::string ref, Value criteria, expr::Engine& engine) {
  RuleSpec spec{.ref = std::move(ref), .trigger = "core.webhook", .action = "core.noop"};
  spec.criteria = std::move(criteria);
  auto made = rules::compile(std::move(spec), RuleId(7), 1, engine);
  EXPECT_TRUE(made.ok()) << made.error().describe();
  return made.ok() ? *made : nullptr;
}

Value test_of(std::string_view op, Value pattern) {
  return Value::map(
      {{"trigger.text", Value::map({{"type", op}, {"pattern", std::move(pattern)}})}});
}

EventScope event(Value text) {
  return {.event = rules::event_value(EventId(42), "core.webhook", 0,
                                      Value::map({{"text", std::move(text)}}), Value::map())};
}

TEST(RulesCost, OperatorsOverTexts) {
  for (std::string_view op : {"contains", "ncontains", "startswith", "equals", "inside", "regex"}) {
    grows_no_faster(std::string(op), 5000, [op](size_t n) {
      std::string part = std::string(n / 2, 'a') + "b" + std::string(n / 4, 'a');
      bool is_regex = op == "regex";
      expr::Engine engine;
      auto one = rule("a.b", test_of(op, is_regex ? Value("a+b$") : Value(part)), engine);
      EventScope scope = event(Value(std::string(n, 'a')));
      return [one, scope] {
        expr::Engine own;
        EXPECT_TRUE(rules::explain(*one, scope, own).ok());
      };
    });
  }
}

// One budget over all rules of an event. What was spent is told, others go on.
TEST(RulesCost, AHostileExpressionFailsAloneAndSoon) {
  expr::Engine engine;
  RuleIndex index({rule("a.cheap", test_of("startswith", "a"), engine),
                   rule("b.hostile", test_of("regex", "(a?){1000}b"), engine),
                   rule("c.cheap", test_of("exists", Value()), engine),
                   rule("d.honest", test_of("regex", "^a+$"), engine)});
  expr::Allowance allowance;
  EventScope scope = event(Value(std::string(900'000, 'a')));
  scope.allowance = &allowance;
  double start = cost::cpu_seconds();
  auto matched = index.match(scope, engine);
  EXPECT_LT(cost::cpu_seconds() - start, 8);
  ASSERT_TRUE(matched.ok());
  std::string told;
  for (const auto& match : *matched) {
    told += match.rule->spec().ref + (match.failure ? "!" + match.failure->code() : "") + " ";
  }
  EXPECT_EQ(told, "a.cheap b.hostile!RUL-0012 c.cheap d.honest ");
}

TEST(RulesCost, ManyRulesAtTheLimitOfTheirStepsShareOneAllowance) {
  expr::Engine engine;
  std::vector<rules::RulePtr> list;
  for (int i = 0; i < 80; ++i) {
    list.push_back(rule(fmt::format("a.r{:02}", i),
                        Value("{% for i in range(9000) %}{% for k in range(900) %}{% endfor %}"
                              "{% endfor %}{{ trigger.text }}"),
                        engine));
  }
  expr::Allowance allowance;
  EventScope scope = event(Value("x"));
  scope.allowance = &allowance;
  auto matched = RuleIndex(list).match(scope, engine);
  ASSERT_TRUE(matched.ok());
  size_t failed = 0;
  for (const auto& match : *matched) failed += match.failure ? 1 : 0;
  EXPECT_GE(failed, 70U);
  EXPECT_EQ(allowance.left, 0U);
}

// What people are shown of a match is not the event once for each criterion.
TEST(RulesCost, VerdictsShowTheBeginningOfLargeValues) {
  expr::Engine engine;
  Value criteria = Value::map();
  for (int i = 0; i < 200; ++i) {
    criteria.set(fmt::format("trigger.text#{}", i), Value::map({{"type", "exists"}}));
  }
  auto matched = RuleIndex({rule("a.b", criteria, engine)})
                     .match(event(Value(std::string(900'000, 'a'))), engine);
  ASSERT_TRUE(matched.ok());
  ASSERT_EQ(matched->size(), 1U);
  size_t bytes = 0;
  for (const auto& verdict : (*matched)[0].verdicts) {
    bytes += to_json(rules::to_value(verdict)).size();
  }
  EXPECT_LT(bytes, 300'000U);
}

TEST(RulesCost, ARuleHasAtMostAThousandCriteria) {
  auto compiled = [](int count) {
    Value criteria = Value::map();
    for (int i = 0; i < count; ++i) {
      criteria.set(fmt::format("trigger.k{}", i), Value::map({{"type", "exists"}}));
    }
    RuleSpec spec{.ref = "a.b", .trigger = "core.webhook", .action = "core.noop"};
    spec.criteria = std::move(criteria);
    expr::Engine engine;
    return rules::compile(std::move(spec), RuleId(7), 1, engine);
  };
  EXPECT_TRUE(compiled(1000).ok());
  auto refused = compiled(1001);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().describe().find("at most 1000 criteria"), std::string::npos);
}

TEST(ScheduleCost, StepsBeyondTheirFieldAreErrors) {
  for (const char* expression :
       {"1/2147483647 * * * *", "* * */2147483647 * *", "*/60 * * * *", "* */24 * * *",
        "* * * * */8", "0-5/99999999999 * * * *", "*/0 * * * *", "*/-1 * * * *"}) {
    auto parsed = rules::parse_schedule("core.crontimer", Value::map({{"expression", expression}}));
    ASSERT_FALSE(parsed.ok()) << expression;
    ASSERT_FALSE(parsed.error().problems().empty()) << expression;
    EXPECT_NE(parsed.error().problems()[0].message.find("expected a step from 1 to"),
              std::string::npos)
        << parsed.error().describe();
  }
  for (std::string_view field :
       {"year", "month", "day", "week", "day_of_week", "hour", "minute", "second"}) {
    for (const char* step : {"*/2147483647", "1/2147483647"}) {
      EXPECT_FALSE(rules::parse_schedule("core.st2.CronTimer", Value::map({{field, step}})).ok())
          << field;
    }
  }
  EXPECT_TRUE(
      rules::parse_schedule("core.crontimer", Value::map({{"expression", "*/59 */23 * * *"}}))
          .ok());
}

TEST(ScheduleCost, NumbersAtTheirEnds) {
  for (int64_t count : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX, INT64_MAX / 1000}) {
    for (const char* unit : {"seconds", "weeks"}) {
      EXPECT_FALSE(rules::parse_schedule("core.intervaltimer",
                                         Value::map({{"interval", count}, {"unit", unit}}))
                       .ok());
    }
  }
}

TEST(ScheduleCost, ShapesOfExpressions) {
  auto expression = [](auto text_of) {
    return [=](size_t n) {
      Value parameters = Value::map({{"expression", text_of(n)}});
      return [=] {
        auto parsed = rules::parse_schedule("core.crontimer", parameters);
        if (parsed.ok()) (void)rules::next_fire(*parsed, 0);
      };
    };
  };
  auto repeated = [](std::string_view what, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; ++i) out += what;
    return out;
  };
  grows_no_faster("a list of one minute", 5000,
                  expression([=](size_t n) { return repeated("1,", n) + "1 * * * *"; }));
  grows_no_faster("a list of all", 1000,
                  expression([=](size_t n) { return repeated("*,", n) + "* * * * *"; }));
  grows_no_faster("many fields", 5000, expression([=](size_t n) { return repeated("* ", n); }));
  grows_no_faster("a long name", 20'000,
                  expression([=](size_t n) { return repeated("x", n) + " * * * *"; }));
  grows_no_faster("years that never come", 5000, [=](size_t n) {
    Value fields = Value::map({{"year", repeated("1970,", n) + "1970"}, {"month", 2}, {"day", 30}});
    return [=] {
      auto parsed = rules::parse_schedule("core.st2.CronTimer", fields);
      if (parsed.ok()) (void)rules::next_fire(*parsed, 0);
    };
  });
}

// One budget of days and times for each search, whatever the rule repeats.
TEST(ScheduleCost, RecurrencesThatHardlyFire) {
  auto repeated = [](std::string text, std::string_view each, int count) {
    for (int i = 1; i < count; ++i) text += each;
    return text;
  };
  std::string often = repeated("0", ",0", 1000) + ";BYMINUTE=";
  for (int i = 0; i < 60; i += 4) often += fmt::format("{}{}", i > 0 ? "," : "", i);
  std::string hours = "0";
  for (int i = 1; i < 24; ++i) hours += fmt::format(",{}", i);
  const std::string kTexts[] = {
      "DTSTART:19700101T000000Z\nRRULE:FREQ=YEARLY;COUNT=10000;BYDAY=" +
          repeated("53MO", ",53MO", 1700),
      "DTSTART:00010101T000000Z\nRRULE:FREQ=YEARLY;COUNT=10000;BYDAY=53MO",
      "FREQ=DAILY;BYSETPOS=-366;BYHOUR=" + hours + ";BYSECOND=" + often,
      "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
      "DTSTART:19700101T000000Z\nRRULE:FREQ=DAILY;COUNT=10000"};
  for (const auto& text : kTexts) {
    double start = cost::cpu_seconds();
    auto parsed = rules::parse_schedule("core.rruletimer", Value::map({{"rrule", text}}));
    if (parsed.ok()) (void)rules::next_fire(*parsed, 1'900'000'000'000);
    EXPECT_LT(cost::cpu_seconds() - start, 2) << text.substr(0, 60);
  }
}

// Workflows

auto inspected(auto text_of) {
  return [=](size_t n) {
    auto document = parse_yaml(text_of(n), "w.yaml");
    EXPECT_TRUE(document.ok()) << document.error().describe();
    return [document = std::move(document).value()] {
      expr::Engine engine;
      (void)conductor::inspect(document, engine, {.default_mode = expr::Mode::Orquesta});
    };
  };
}

// Each task has two ways to the next, of which one publishes: 2^n ways.
std::string ladder(size_t n) {
  std::string text = "version: 1.0\ntasks:\n";
  for (size_t i = 0; i < n; ++i) {
    text += fmt::format(
        "  t{0}:\n    action: core.noop\n    next:\n"
        "      - when: <% succeeded() %>\n        publish:\n          - v{0}: 1\n        do: t{1}\n"
        "      - when: <% failed() %>\n        do: t{1}\n",
        i, i + 1);
  }
  return text + fmt::format("  t{}:\n    action: core.noop\n", n);
}

TEST(InspectCost, ALadderOfTasks) {
  grows_no_faster("ladder", 50, inspected(ladder));
  // All that is only sometimes set is found.
  auto document = parse_yaml(ladder(4) + "    input: <% ctx().v1 %>\n", "w.yaml");
  ASSERT_TRUE(document.ok());
  expr::Engine engine;
  auto findings = conductor::inspect(*document, engine, {.default_mode = expr::Mode::Orquesta});
  ASSERT_FALSE(findings.empty());
  EXPECT_NE(findings.back().message.find("'v1' is read before it is set"), std::string::npos)
      << findings.back().message;
}

TEST(InspectCost, ALadderOfJoins) {
  grows_no_faster("joins", 50, inspected([](size_t n) {
                    std::string text = "version: 1.0\ntasks:\n";
                    for (size_t i = 0; i < n; ++i) {
                      text += fmt::format(
                          "  t{0}:\n    join: 1\n    action: core.noop\n    next:\n"
                          "      - publish:\n          - v{0}: 1\n        do: t{1}\n"
                          "      - do: t{1}\n",
                          i, i + 1);
                    }
                    return text + fmt::format("  t{}:\n    action: core.noop\n", n);
                  }));
}

TEST(InspectCost, InlineParameters) {
  for (std::string_view part :
       {"a=[", "a=\"", "a='", "a={{", "a=<%", "a=1 ", "a", "a=[1] ", "a=-", "a=\n", "a=\"\" "}) {
    grows_no_faster("repeated " + std::string(part), 10'000, [part](size_t n) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += part;
      return [text] { (void)conductor::parse_inline_params(text); };
    });
  }
}

// Skipping the next task makes of each a fork that has more ways than those before it: each task is
// gone to again for each fork before it, of at most 1,000.
TEST(InspectCost, AGraphOfForksIsComposedSoon) {
  auto composed = [](size_t n) {
    Value tasks = Value::map();
    for (size_t i = 0; i < n; ++i) {
      Value next = Value::list();
      for (size_t k = 1; k <= 4 && i + k < n; ++k) {
        next.push_back(Value::map({{"do", fmt::format("t{}", i + k)}}));
      }
      tasks.set(fmt::format("t{}", i), Value::map({{"action", "core.noop"}, {"next", next}}));
    }
    Value document = Value::map({{"version", 1.0}, {"tasks", tasks}});
    expr::Engine engine;
    auto made = conductor::Definition::compile(document, engine, expr::Mode::Orquesta);
    EXPECT_TRUE(made.ok()) << made.error().describe();
    (void)conductor::inspect(document, engine, {.default_mode = expr::Mode::Orquesta});
  };
  double start = cost::cpu_seconds();
  composed(500);
  EXPECT_LT(cost::cpu_seconds() - start, 20);
}

TEST(InspectCost, VariablesThatAreNotSet) {
  grows_no_faster("unset beside set", 1000, inspected([](size_t n) {
                    std::string text = "version: 1.0\nvars:\n";
                    for (size_t i = 0; i < n; ++i) text += fmt::format("  - variable{}: 1\n", i);
                    text += "tasks:\n  t:\n    action: core.noop\n    input:\n";
                    for (size_t i = 0; i < n; ++i) {
                      text += fmt::format("      i{0}: <% ctx().varable{0} %>\n", i);
                    }
                    return text;
                  }));
  grows_no_faster("in one text", 500, inspected([](size_t n) {
                    std::string text =
                        "version: 1.0\ntasks:\n  t:\n    action: core.noop\n"
                        "    input:\n      a: \"";
                    for (size_t i = 0; i < n; ++i) text += fmt::format("<% ctx().v{} %> ", i);
                    return text + "\"\n";
                  }));
}

TEST(InspectCost, OtherFaults) {
  grows_no_faster("undefined tasks", 250, inspected([](size_t n) {
                    std::string text = "version: 1.0\ntasks:\n";
                    for (size_t i = 0; i < n; ++i) {
                      text += fmt::format(
                          "  task{0}:\n    action: core.noop\n    next:\n      - do: tsak{0}\n", i);
                    }
                    return text;
                  }));
  grows_no_faster("unknown keys", 500, inspected([](size_t n) {
                    std::string text = "version: 1.0\ntasks:\n  t:\n    action: core.noop\n";
                    for (size_t i = 0; i < n; ++i) text += fmt::format("    actoin{}: 1\n", i);
                    return text;
                  }));
  grows_no_faster("bad expressions", 500, inspected([](size_t n) {
                    std::string text =
                        "version: 1.0\ntasks:\n  t:\n    action: core.noop\n"
                        "    input:\n";
                    for (size_t i = 0; i < n; ++i) text += fmt::format("      i{}: <% 1 + %>\n", i);
                    return text;
                  }));
}

TEST(InspectCost, AHundredFindingsAreTold) {
  std::string text = "version: 1.0\ntasks:\n  t:\n    action: core.noop\n    input:\n";
  for (int i = 0; i < 5000; ++i) text += fmt::format("      i{0}: <% ctx().v{0} %>\n", i);
  auto document = parse_yaml(text, "w.yaml");
  ASSERT_TRUE(document.ok()) << document.error().describe();
  expr::Engine engine;
  auto findings = conductor::inspect(*document, engine, {.default_mode = expr::Mode::Orquesta});
  EXPECT_EQ(findings.size(), kMostProblems);
}

}  // namespace
}  // namespace millrace
