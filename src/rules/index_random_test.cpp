// SPDX-License-Identifier: Apache-2.0
// The index is only a short cut: random rules against random events, it agrees with trying each.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/json.h"
#include "rules/index.h"

namespace millrace::rules {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  template <typename List>
  std::string one_of(const List& list) {
    return std::string(std::data(list)[below(static_cast<int>(std::size(list)))]);
  }

  std::string word() {
    static constexpr std::string_view kParts[] = {
        "a", "B", "ab", "x",  "1",  "10", "-", "ä", "Ä", "σ", "ς", "K", "\u212A", "İ",
        "i", "S", "ſ",  "\n", ".*", "[",  "]", "?", "*", "$", "é", "",  "repo",   "Main"};
    static constexpr std::string_view kWords[] = {"a", "ab", "abA", "K", "\u212A", "s",   "ſ",
                                                  "ä", "Äb", "x",   "",  "1",      "main"};
    if (below(3) > 0) return one_of(kWords);
    std::string out;
    for (int parts = below(4); parts >= 0; --parts) out += one_of(kParts);
    return out;
  }
  std::string date() { return fmt::format("2026-01-0{}T0{}:00:00Z", 1 + below(3), below(10)); }

  Value scalar() {
    switch (below(8)) {
      case 0: return Value();
      case 1: return Value(below(2) == 0);
      case 2: return Value(below(5));
      case 3: return Value(below(9) / 2.0);
      case 4: return Value(date());
      default: return Value(word());
    }
  }
  Value value(int depth) {
    int kind = below(depth > 0 ? 8 : 6);
    if (kind < 6) return scalar();
    Value out = kind == 6 ? Value::list() : Value::map();
    for (int n = below(4); n > 0; --n) {
      if (kind == 6) {
        out.push_back(value(depth - 1));
      } else {
        out.set(name(), value(depth - 1));
      }
    }
    return out;
  }
  std::string name() {
    static constexpr std::string_view kNames[] = {"a", "b", "c", "ab"};
    return one_of(kNames);
  }

  Value payload() {
    Value out = Value::map();
    for (int n = below(8); n > 0; --n) out.set(name(), value(3));
    return out;
  }

  Value criteria(int depth) {
    if (depth > 0 && below(8) == 0) return Value(expression());
    Value out = Value::map();
    for (int n = 1 + below(4) / 3; n > 0; --n) {
      int kind = below(depth > 0 ? 9 : 5);
      if (kind < 5) {
        out.set(fmt::format("{}#{}", path("trigger"), n), test("trigger"));
      } else if (kind == 5) {
        out.set("not", criteria(depth - 1));
      } else {
        Value parts = Value::list();
        for (int k = below(4); k > 0; --k) parts.push_back(criteria(depth - 1));
        out.set(kind == 6 ? "all" : "any", parts);
      }
    }
    return out;
  }

  Value test(std::string_view root) {
    auto names = operator_names();
    std::string op = one_of(names);
    if (op == "search") {
      if (root == "item") return Value::map({{"type", "exists"}});
      static constexpr std::string_view kConditions[] = {"any", "all", "all2any", "any2any"};
      Value inner = Value::map();
      for (int n = below(3); n > 0; --n) inner.set(path("item"), test("item"));
      return Value::map({{"type", op}, {"condition", one_of(kConditions)}, {"pattern", inner}});
    }
    return Value::map({{"type", op}, {"pattern", pattern(op)}});
  }

 private:
  std::string path(std::string root) {
    for (int n = 1 + below(5) / 3; n > 0; --n) {
      int kind = below(8);
      root += kind == 0 ? "[*]" : kind == 1 ? fmt::format("[{}]", below(3)) : "." + name();
    }
    return root;
  }

  std::string expression() {
    return fmt::format("{{{{ trigger.{} == {} }}}}", name(), to_json(Value(word())));
  }

  Value pattern(const std::string& op) {
    if (below(12) == 0) return Value();
    if (below(12) == 0) return Value(fmt::format("{{{{ trigger.{} }}}}", name()));
    if (op.starts_with("t") && op.find("td") + 1 + op.find("timediff") + 1 > 0) {
      return Value(below(200'000) - 1000);
    }
    if (op.find("inside") != op.npos || op == "in" || op == "nin") {
      if (below(8) == 0) return Value(word());
      return below(4) == 0 ? value(1) : Value(ValueList{scalar(), scalar()});
    }
    if (op.find("regex") != op.npos) return Value(regex());
    static constexpr std::string_view kOfTexts[] = {"matchwildcard", "iequals",    "ieq",
                                                    "icontains",     "incontains", "startswith",
                                                    "istartswith",   "endswith",   "iendswith"};
    if (std::ranges::find(kOfTexts, op) != std::end(kOfTexts)) return Value(word());
    return below(6) == 0 ? value(1) : scalar();
  }

  std::string regex() {
    static constexpr std::string_view kParts[] = {
        "a", "ab", "(B|x)", "[aB]", "1+",  "0?",  ".*",      "(?i)main",  "repo", "^",
        "$", "ä",  "İ",     "[İı]", "\\d", "\\Z", "(ab|ba)", "(?:repo)?", "k",    "ſ"};
    std::string out;
    for (int parts = below(4); parts >= 0; --parts) out += one_of(kParts);
    return out;
  }

  std::mt19937 engine_;
};

class RandomRules : public testing::TestWithParam<unsigned> {};

TEST_P(RandomRules, MatchAsEachByItself) {
  Random random(GetParam());
  expr::Engine engine;
  std::map<std::string, RulePtr> rules;
  RuleIndex index;
  size_t refused = 0;
  auto made = [&](int number) -> RulePtr {
    RuleSpec spec{.ref = fmt::format("p.r{:03}", number),
                  .trigger = "t.t",
                  .enabled = random.below(20) > 0,
                  .backstop = random.below(20) == 0};
    spec.criteria = random.criteria(3);
    if (random.below(10) == 0) spec.trigger_parameters = Value::map({{"a", random.scalar()}});
    auto rule = compile(std::move(spec), RuleId(number), 1, engine);
    refused += rule ? 0 : 1;
    return rule ? *rule : nullptr;
  };
  for (int round = 0; round < 60; ++round) {
    // Many, or one, come or are changed; some leave.
    std::vector<RulePtr> changed;
    std::set<std::string> gone;
    for (int n = random.below(4) == 0 ? random.below(60) : 1; n > 0; --n) {
      auto rule = made(random.below(300));
      if (!rule) continue;
      std::erase_if(changed, [&](auto& other) { return other->spec().ref == rule->spec().ref; });
      changed.push_back(rule);
      rules[rule->spec().ref] = rule;
    }
    for (int n = random.below(8); n > 0; --n) {
      auto ref = fmt::format("p.r{:03}", random.below(300));
      bool is_changed =
          std::ranges::any_of(changed, [&](auto& other) { return other->spec().ref == ref; });
      if (!is_changed && rules.erase(ref) > 0) gone.insert(ref);
    }
    index = index.changed_by(changed, {gone.begin(), gone.end()});
    for (int events = 0; events < 6; ++events) {
      EventScope scope{.event = event_value(EventId(1), "t.t", 0, random.payload(),
                                            Value::map({{"a", random.scalar()}})),
                       .now_ms = 1'767'312'000'000};
      std::string expected, backstops;
      for (const auto& [ref, rule] : rules) {
        if (!explain(*rule, scope, engine)->matches) continue;
        (rule->spec().backstop ? backstops : expected) += ref + " ";
      }
      if (expected.empty()) expected = backstops;
      auto matches = index.match(scope, engine);
      ASSERT_TRUE(matches.ok());
      std::string found;
      for (const Match& match : *matches) {
        found += match.rule->spec().ref + " ";
        for (const Verdict& verdict : match.verdicts) EXPECT_TRUE(verdict.holds);
      }
      if (found != expected) {
        for (const auto& [ref, rule] : rules) {
          bool is_found = found.find(ref) != found.npos;
          if (is_found != (expected.find(ref) != expected.npos)) {
            ADD_FAILURE() << ref << (is_found ? " is found: " : " is not found: ")
                          << to_json(rule->spec().criteria) << "\nby " << to_json(scope.event);
          }
        }
        FAIL() << "round " << round;
      }
    }
  }
  EXPECT_LT(refused, rules.size()) << "most rules compile";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRules, testing::Range(1u, 13u));

}  // namespace
}  // namespace millrace::rules
