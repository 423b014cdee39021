// SPDX-License-Identifier: Apache-2.0
// What an event costs among many rules is counted in steps of its allowance: places looked up,
// texts gone through, rules tried.
#include <fmt/format.h>

#include <functional>

#include "growth.h"
#include "rules/index.h"

namespace millrace {
namespace {

using cost::grows_no_faster;
using rules::EventScope;
using rules::RuleIndex;

constexpr int64_t kNow = 1'700'000'000'000;

rules::RulePtr rule_on_webhook(int number, Value criteria) {
  static expr::Engine engine;
  RuleSpec spec{.ref = fmt::format("a.r{}", number), .trigger = "core.webhook"};
  spec.criteria = std::move(criteria);
  auto made = rules::compile(std::move(spec), RuleId(7), 1, engine);
  EXPECT_TRUE(made.ok()) << made.error().describe();
  return made.ok() ? *made : nullptr;
}

Value criterion(std::string_view path, std::string_view op, Value pattern) {
  return Value::map({{path, Value::map({{"type", op}, {"pattern", std::move(pattern)}})}});
}

using MakeCriteria = std::function<Value(int)>;

std::vector<rules::RulePtr> numbered(int first, int count, const MakeCriteria& criteria) {
  std::vector<rules::RulePtr> list;
  for (int i = first; i < first + count; ++i) list.push_back(rule_on_webhook(i, criteria(i)));
  return list;
}

EventScope event_with(Value payload) {
  return {
      .event = rules::event_value(EventId(42), "core.webhook", 0, std::move(payload), Value::map()),
      .now_ms = kNow};
}

struct Counted {
  uint64_t steps = 0;
  size_t matches = 0;
};

Counted counted(const RuleIndex& index, EventScope scope) {
  expr::Engine engine;
  expr::Allowance allowance;
  scope.allowance = &allowance;
  auto matches = index.match(scope, engine);
  EXPECT_TRUE(matches.ok());
  return {allowance.of - allowance.left, matches.ok() ? matches->size() : 0};
}

struct KindOfRules {
  std::string_view name;
  Value (*criteria)(int);
};

constexpr KindOfRules kKindsOfRules[] = {
    {"equals", [](int i) { return criterion("trigger.s", "equals", fmt::format("w{:05}.", i)); }},
    {"in",
     [](int i) {
       return criterion("trigger.s", "in", ValueList{fmt::format("w{:05}.", i), Value(i)});
     }},
    {"iequals", [](int i) { return criterion("trigger.s", "iequals", fmt::format("W{:05}.", i)); }},
    {"contains", [](int i) { return criterion("trigger.s", "contains", fmt::format("{:05}", i)); }},
    {"contains, of a list",
     [](int i) { return criterion("trigger.list", "contains", fmt::format("{:05}", i)); }},
    {"icontains",
     [](int i) { return criterion("trigger.s", "icontains", fmt::format("W{:05}", i)); }},
    {"startswith",
     [](int i) { return criterion("trigger.s", "startswith", fmt::format("w{:05}", i)); }},
    {"istartswith",
     [](int i) { return criterion("trigger.s", "istartswith", fmt::format("W{:05}", i)); }},
    {"endswith",
     [](int i) { return criterion("trigger.s", "endswith", fmt::format("{:05}.", i)); }},
    {"iendswith",
     [](int i) { return criterion("trigger.s", "iendswith", fmt::format("{:05}.", i)); }},
    {"matchwildcard",
     [](int i) { return criterion("trigger.s", "matchwildcard", fmt::format("?{:05}*", i)); }},
    {"regex",
     [](int i) { return criterion("trigger.s", "regex", fmt::format("^w({:05})\\.", i)); }},
    {"iregex", [](int i) { return criterion("trigger.s", "iregex", fmt::format("W{:05}", i)); }},
    {"greaterthan", [](int i) { return criterion("trigger.n", "greaterthan", i); }},
    {"lessthan", [](int i) { return criterion("trigger.minus", "lessthan", -i); }},
    {"lessthan, of texts",
     [](int i) { return criterion("trigger.z", "greaterthan", fmt::format("a{:05}", i)); }},
    {"timediff", [](int i) { return criterion("trigger.past", "timediff_gt", i); }},
    {"exists",
     [](int i) { return criterion(fmt::format("trigger.keys.k{:05}", i), "exists", {}); }},
    {"any",
     [](int i) {
       Value either = Value::list();
       either.push_back(criterion("trigger.s", "equals", fmt::format("w{:05}.", i)));
       either.push_back(criterion("trigger.n", "equals", 1000 + i));
       return Value::map({{"any", either}});
     }},
    {"not beside a rare one",
     [](int i) {
       return Value::map({{"not", criterion("trigger.s", "equals", "x")},
                          {"trigger.s", Value::map({{"type", "equals"},
                                                    {"pattern", fmt::format("w{:05}.", i)}})}});
     }},
};

EventScope of_rule_three() {
  return event_with(Value::map({{"s", "w00003."},
                                {"n", 1},
                                {"minus", -1},
                                {"z", "a00001"},
                                {"list", ValueList{Value("x"), Value("00003")}},
                                {"past", "2023-11-14T22:13:19Z"},
                                {"keys", Value::map({{"k00003", 1}})}}));
}

TEST(MatchCost, AnEventCostsTheSameAmongTenRulesAndAmongManyOfAKind) {
  for (const auto& kind : kKindsOfRules) {
    Counted few = counted(RuleIndex(numbered(0, 10, kind.criteria)), of_rule_three());
    Counted many = counted(RuleIndex(numbered(0, 2000, kind.criteria)), of_rule_three());
    EXPECT_EQ(few.matches, 1u) << kind.name;
    EXPECT_EQ(many.matches, few.matches) << kind.name;
    EXPECT_LE(many.steps, few.steps) << kind.name;
  }
}

TEST(MatchCost, AnEventCostsTheSameAmongRulesOfAllKinds) {
  auto mixed = [](int i) { return kKindsOfRules[static_cast<size_t>(i) % 20].criteria(i); };
  ASSERT_EQ(std::size(kKindsOfRules), 20u);
  Counted few = counted(RuleIndex(numbered(0, 20, mixed)), of_rule_three());
  Counted many = counted(RuleIndex(numbered(0, 4000, mixed)), of_rule_three());
  EXPECT_LE(many.steps, few.steps * 3 / 2);
}

TEST(MatchCost, TheRarestTestDecidesWhereARuleHangs) {
  auto index = [](int count) {
    return RuleIndex(numbered(0, count, [](int i) {
      return Value::map(
          {{"trigger.branch", Value::map({{"type", "equals"}, {"pattern", "main"}})},
           {"trigger.s", Value::map({{"type", "contains"}, {"pattern", fmt::format("{:05}", i)}})},
           {"trigger.n", Value::map({{"type", "exists"}})}});
    }));
  };
  EventScope scope = of_rule_three();
  Value payload = scope.event["payload"];
  scope = event_with(payload.set("branch", "main"));
  EXPECT_LE(counted(index(2000), scope).steps, counted(index(10), scope).steps);
}

// Both cost about the layers that they do not touch.
TEST(MatchCost, ARuleIsAddedToManyAsToTen) {
  auto mixed = [](int i) { return kKindsOfRules[static_cast<size_t>(i) % 20].criteria(i); };
  auto more = numbered(100'000, 200, mixed);
  auto add_all = [&](const RuleIndex& index) {
    double least = 1e18;
    for (int tries = 0; tries < 5; ++tries) {
      auto work = [&] {
        RuleIndex grown = index;
        for (const auto& one : more) grown = grown.with({one});
        EXPECT_EQ(grown.size(), index.size() + more.size());
      };
      least = std::min(least, cost::cost_of(work));
    }
    return least;
  };
  RuleIndex ten(numbered(0, 10, mixed)), many(numbered(0, 5000, mixed));
  EXPECT_LT(add_all(many), add_all(ten) * 3);
}

TEST(MatchCost, ManyRulesAreArrangedInTimeThatGrowsWithThem) {
  for (const auto& kind : kKindsOfRules) {
    grows_no_faster(std::string(kind.name), 500, [&](size_t n) {
      auto list = numbered(0, static_cast<int>(n), kind.criteria);
      return [list] { EXPECT_EQ(RuleIndex(list).size(), list.size()); };
    });
  }
}

TEST(MatchCost, LongTextsAndListsAreGoneThroughOnceForAllRules) {
  for (std::string_view op : {"contains", "icontains", "endswith", "regex", "matchwildcard"}) {
    grows_no_faster(std::string(op), 20'000, [op](size_t n) {
      RuleIndex index(numbered(0, 300, [op](int i) {
        std::string a(static_cast<size_t>(i % 100) + 2, 'a');
        return criterion("trigger.s", op, op == "matchwildcard" ? "*" + a + "b*" : a + "b");
      }));
      EventScope scope = event_with(Value::map({{"s", std::string(n, 'a')}}));
      return [index, scope] { EXPECT_EQ(counted(index, scope).matches, 0u); };
    });
  }
  grows_no_faster("a list", 5000, [](size_t n) {
    RuleIndex index(numbered(0, 300, [](int i) { return criterion("trigger.s", "contains", i); }));
    Value list = Value::list();
    for (size_t i = 0; i < n; ++i) list.push_back(Value(-1));
    EventScope scope = event_with(Value::map({{"s", list}}));
    return [index, scope] { EXPECT_EQ(counted(index, scope).matches, 0u); };
  });
}

TEST(MatchCost, PatternsOfAMegabyteCostNoMoreThanTheirBytes) {
  double start = cost::cpu_seconds();
  for (std::string_view op : {"equals", "iequals", "contains", "icontains", "startswith",
                              "istartswith", "endswith", "iendswith", "lessthan"}) {
    std::string text(1 << 20, 'a');
    RuleIndex index(numbered(0, 10, [&](int i) {
      return criterion("trigger.s", op, fmt::format("{}{}{}", i, text, i));
    }));
    EventScope scope = event_with(Value::map({{"s", "7" + text + "7"}}));
    EXPECT_EQ(counted(index, scope).matches, op == "lessthan" ? 2u : 1u) << op;
  }
  EXPECT_LT(cost::cpu_seconds() - start, 10);
}

// The same text at hundreds of places: what looking through it costs is taken from the event's
// allowance, and then the rules of the others are told.
TEST(MatchCost, LookingForRulesIsBoundedToo) {
  auto list = numbered(0, 200, [](int i) {
    std::string path = "trigger";
    for (int depth = 0; depth < i % 20; ++depth) path += "[*]";
    return criterion(path + fmt::format(".list[{}]", i), "contains", fmt::format("b{}", i));
  });
  Value text(std::string(1 << 20, 'a')), texts = Value::list();
  for (int i = 0; i < 200; ++i) texts.push_back(text);
  EventScope scope = event_with(Value::map({{"list", texts}}));
  expr::Engine engine;
  expr::Allowance allowance;
  scope.allowance = &allowance;
  double start = cost::cpu_seconds();
  auto matches = RuleIndex(list).match(scope, engine);
  EXPECT_LT(cost::cpu_seconds() - start, 10);
  ASSERT_TRUE(matches.ok());
  for (const auto& match : *matches) EXPECT_EQ(match.failure->code(), "RUL-0012");
}

TEST(MatchCost, RegexesWhoseTextsAreManyAreCompiledSoon) {
  auto repeated = [](std::string_view part, size_t bytes) {
    std::string out;
    while (out.size() + part.size() <= bytes) out += part;
    return out;
  };
  std::string words, branches;
  for (int i = 0; branches.size() < 9'900; ++i) branches += fmt::format("w{}|", i);
  for (std::string pattern :
       {repeated("(a|b)", 9'900), repeated("[a-d]", 9'900), repeated("(ab|cd|ef)", 9'900),
        repeated("(a?b?)", 2'000), branches + "x", "(" + branches + "x)(" + "y|z)",
        repeated("(", 900) + "ab" + repeated(")", 900), repeated("(ab*)?", 9'000)}) {
    double start = cost::cpu_seconds();
    expr::Engine engine;
    RuleSpec spec{.ref = "a.b", .trigger = "core.webhook"};
    spec.criteria = criterion("trigger.s", "regex", pattern);
    auto made = rules::compile(std::move(spec), RuleId(7), 1, engine);
    EXPECT_LT(cost::cpu_seconds() - start, 2) << pattern.substr(0, 40);
    if (made.ok()) (void)counted(RuleIndex({*made}), of_rule_three());
  }
}

TEST(MatchCost, TreesThatAreTooDeepAreRefused) {
  Value criteria = criterion("trigger.s", "exists", {});
  for (int depth = 0; depth < 65; ++depth) {
    Value parts = Value::list();
    parts.push_back(criteria);
    criteria = Value::map({{depth % 2 == 0 ? "any" : "all", parts}});
  }
  RuleSpec spec{.ref = "a.b", .trigger = "core.webhook"};
  spec.criteria = criteria;
  expr::Engine engine;
  auto made = rules::compile(std::move(spec), RuleId(7), 1, engine);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().describe().find("nested deeper than 32 levels"), std::string::npos)
      << made.error().describe();
}

TEST(MatchCost, RulesThatMatchEverythingAreAllFound) {
  RuleIndex index(numbered(0, 3000, [](int i) {
    return i % 2 == 0 ? Value() : criterion("trigger.s", "nequals", fmt::format("{}", i));
  }));
  EXPECT_EQ(counted(index, of_rule_three()).matches, 3000u);
}

}  // namespace
}  // namespace millrace
