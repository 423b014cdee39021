// SPDX-License-Identifier: Apache-2.0
// What hostile evaluations cost: memory is counted as it is allocated, not as the meter says.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/test_support.h"
#include "expr/expr.h"

namespace {

std::atomic<size_t> live{0};       // bytes
std::atomic<size_t> most_live{0};  // since it was set to `live`
std::atomic<size_t> allocated{0};  // and never given back

}  // namespace

void* operator new(size_t size) {
  void* block = std::malloc(size);
  if (!block) throw std::bad_alloc();
  size_t bytes = malloc_usable_size(block);
  allocated += bytes;
  size_t now = live += bytes;
  if (now > most_live) most_live = now;
  return block;
}
void operator delete(void* block) noexcept {
  if (block) live -= malloc_usable_size(block);
  std::free(block);
}
void operator delete(void* block, size_t) noexcept { operator delete(block); }

namespace millrace::expr {
namespace {

// A budget is a sixteenth of the real one, and so are the texts.
constexpr size_t kMiB = (1 << 20) / 16;
const Budget kBudget{
    .steps = 1'000'000 / 16, .depth = 200, .output_bytes = 16 * kMiB, .memory_bytes = 64 * kMiB};

Value list_of(const Value& what, size_t n) {
  ValueList items(n, what);
  return Value(std::move(items));
}

// Texts, and lists that hold one text hundreds of times at the cost of one.
const Value& names() {
  static const Value all = [] {
    Value big(std::string(kMiB, 'a'));
    std::string near(kMiB, 'a');
    near.back() = 'b';
    return Value::map({
        {"big", big},
        {"four", std::string(4 * kMiB, 'a')},
        {"bigs", list_of(big, 300)},
        {"maps", list_of(Value::map({{"a", big}, {"b", 1}}), 300)},
        {"small_maps", list_of(Value::map({{"a", 1}}), 1500)},
        {"near", list_of(Value(near), 300)},
        {"one", Value::map({{"k", 1}})},
        {"lines", std::string(3 * kMiB, '\n')},
        {"commas", std::string(3 * kMiB, ',')},
        {"words", repeated(" a", 3 * kMiB)},
        {"control", std::string(12 * kMiB, '\x01')},
        {"ampersands", std::string(12 * kMiB, '&')},
        {"references", repeated("\\1", kMiB)},
        {"version", "1.2.3+" + repeated("a.", kMiB) + "a"},
        {"json_maps", "[" + repeated("{},", kMiB) + "{}]"},
        {"tagged", "%TAG ! " + std::string(120'000, 'x') + "\n---\n" + repeated("- !a b\n", 1000)},
        {"tagged_maps",
         "%TAG ! " + std::string(120'000, 'x') + "\n---\n" + repeated("- !a {}\n", 1000)},
        {"utf16", std::string("\0[", 2) + std::string(2, '\0')},
    });
  }();
  return all;
}

struct Spent {
  std::string code;  // of the error, "" for a value
  std::string message;
  size_t most_mib;
  size_t allocated_mib;
};

template <typename Work>
Spent spent_by(Work work) {
  const size_t before = live;
  const size_t allocated_before = allocated;
  most_live = before;
  Result<Value> value = work();
  return {value.ok() ? "" : std::string(value.error().code()),
          value.ok() ? "" : value.error().message(), (most_live - before) / kMiB,
          (allocated - allocated_before) / kMiB};
}

Spent spent_on(std::string_view text, const Budget& budget = kBudget) {
  Scope scope{.names = names(), .budget = budget};
  Engine engine;
  return spent_by([&] { return engine.evaluate(text, scope); });
}

struct Hostile {
  std::string text;
  std::string_view code;
};

// The budget is 64 MiB; a copy of the largest text and a vector that doubles may come on top.
void expect_within_the_budget(std::span<const Hostile> cases, const Budget& budget = kBudget) {
  for (const Hostile& c : cases) {
    Spent spent = spent_on(c.text, budget);
    std::string shown = c.text.substr(0, 120);
    EXPECT_EQ(spent.code, c.code) << shown << ": " << spent.message.substr(0, 300);
    EXPECT_LE(spent.most_mib, 100U) << shown;
    EXPECT_LE(spent.allocated_mib, 300U) << shown;
  }
}

std::string in_a_loop(std::string_view expression) {
  return fmt::format("{{% for i in range(900) %}}{{% set x = {} %}}{{% endfor %}}", expression);
}

TEST(Budgets, LowerCasedKeysArePaidForBeforeTheyAreMade) {
  const Hostile cases[] = {
      {"{{ bigs | sort | length }}", "EXP-0008"},
      {"{{ maps | sort(attribute='a') | length }}", "EXP-0008"},
      {"{{ maps | groupby('a') | length }}", "EXP-0008"},
      {"{{ maps | unique(attribute='a') | list | length }}", "EXP-0005"},
      {"{{ maps | max(attribute='a') | length }}", "EXP-0005"},
      {in_a_loop("{'k': big} | dictsort(by='value')"), "EXP-0005"},
  };
  for (const Hostile& c : cases) {
    Spent spent = spent_on(c.text);
    EXPECT_TRUE(spent.code == "EXP-0005" || spent.code == "EXP-0008") << c.text << spent.code;
    EXPECT_LE(spent.most_mib, 100U) << c.text;
    EXPECT_LE(spent.allocated_mib, 300U) << c.text;
  }
}

TEST(Budgets, AnAttributeIsShortAndCutOnce) {
  std::vector<Hostile> cases;
  for (std::string_view filter :
       {"map(attribute=big)", "sort(attribute=commas)", "groupby(big)", "selectattr(big)",
        "rejectattr(big, 'eq', 1)", "sum(attribute=big)", "unique(attribute=big)",
        "max(attribute=big)", "min(attribute=big)"}) {
    cases.push_back({fmt::format("{{{{ maps | {} | list | length }}}}", filter), "EXP-0002"});
  }
  expect_within_the_budget(cases);
}

// What is not there is named in the reason, in its first characters.
TEST(Budgets, ALongKeyIsReadAsOftenAsItIsLookedFor) {
  std::vector<Hostile> cases;
  for (std::string_view expression :
       {"{}[big]", "one[big]", "one.get(big)", "big in one", "{'a': 1}.get(big)",
        "[one] | map('attr', big) | list", "[1] | map('attr', big) | list"}) {
    cases.push_back({in_a_loop(expression), "EXP-0005"});
  }
  cases.push_back({"<% range(900).select($one.get($big)).len() %>", "EXP-0005"});
  cases.push_back({"<% range(900).select($one[$big, 1]).len() %>", "EXP-0005"});
  cases.push_back({"<% range(900).select($big in [$one.keys()]).len() %>", ""});
  expect_within_the_budget(cases);
  Scope scope{.names = names(), .budget = kBudget};
  Engine engine;
  auto reason = engine.evaluate("{{ one[big] }}", scope);
  ASSERT_FALSE(reason.ok());
  EXPECT_LT(reason.error().message().size(), 400U);
}

TEST(Budgets, NamesOfATemplateAreShort) {
  std::string name(2000, 'a');
  const Hostile cases[] = {
      {fmt::format("{{% set {} = 1 %}}{{{{ {} }}}}", name, name), "EXP-0001"},
      {fmt::format("{{{{ one.{} }}}}", name), "EXP-0001"},
      {fmt::format("<% $one.{} %>", name), "EXP-0001"},
      {fmt::format("<% ${} %>", name), "EXP-0001"},
  };
  expect_within_the_budget(cases);
}

TEST(Budgets, AFormatCutsBeforeItCopies) {
  const Hostile cases[] = {
      {"{{ ('%(a).0s' * 1000) % {'a': big} }}", ""},
      {"{{ ('%(a).0r' * 1000) % {'a': big} }}", "EXP-0005"},
      {"{{ ('{0:.0}' * 1000).format(big) }}", ""},
      {"{{ ('{0!s:.0}' * 1000).format(big) }}", ""},
      {"{{ ('{0!r:.0}' * 1000).format(big) }}", "EXP-0005"},
      {"{{ '%s' | format(big) | length }}", ""},
      {"{{ ('%%' * 70000) % () | length }}", "EXP-0005"},
      {"<% ('{0:.0}' * 1000).format($big) %>", ""},
  };
  for (const Hostile& c : cases) {
    Spent spent = spent_on(c.text);
    bool fits = c.code.empty() ? spent.code.empty() : !spent.code.empty();
    EXPECT_TRUE(fits) << c.text << spent.message.substr(0, 300);
    EXPECT_LE(spent.most_mib, 100U) << c.text;
    EXPECT_LE(spent.allocated_mib, 300U) << c.text;
  }
}

// The macros that call one another hold what they printed so far.
TEST(Budgets, PrintedTextIsMemory) {
  const Hostile cases[] = {
      {"{% macro m(n) %}{{ four }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(28) }}",
       "EXP-0008"},
      {"{% macro m(n) %}{% filter upper %}{{ four }}{% if n %}{{ m(n - 1) }}{% endif %}"
       "{% endfilter %}{% endmacro %}{{ m(20) }}",
       "EXP-0008"},
  };
  expect_within_the_budget(cases);
}

// Each text of a tree is within the output budget; they are not, together.
TEST(Budgets, TheTextsOfATreeAreMemoryTogether) {
  Engine engine;
  for (std::string_view text : {"x {{ four }}", "x <% $four %>"}) {
    Scope scope{.names = names(), .budget = kBudget};
    Value tree = list_of(Value(text), 100);
    Spent spent = spent_by([&] { return engine.render(tree, scope); });
    EXPECT_EQ(spent.code, "EXP-0008") << text;
    EXPECT_LE(spent.most_mib, 150U) << text;
  }
  for (std::string_view text : {"x {{ ctx().four }}", "x <% ctx().four %>"}) {
    Scope scope{.ctx = names(), .mode = Mode::Orquesta, .budget = kBudget};
    Value tree = list_of(Value(text), 100);
    Spent spent = spent_by([&] { return engine.render(tree, scope); });
    EXPECT_EQ(spent.code, "EXP-0008") << text;
    EXPECT_LE(spent.most_mib, 150U) << text;
  }
}

TEST(Budgets, PartsOfATextArePaidForBeforeTheyAreListed) {
  std::vector<Hostile> cases;
  for (std::string_view expression :
       {"lines.splitlines()", "commas.split(',')", "commas.rsplit(',', 9000000)", "words.split()",
        "lines | list"}) {
    cases.push_back({fmt::format("{{{{ {} | length }}}}", expression), "EXP-0008"});
  }
  for (std::string_view expression :
       {"$commas.split(',')", "$commas.rightSplit(',')", "$words.split()"}) {
    cases.push_back({fmt::format("<% {}.len() %>", expression), "EXP-0008"});
  }
  for (Hostile& c : cases) {
    Spent spent = spent_on(c.text);
    EXPECT_TRUE(spent.code == "EXP-0005" || spent.code == "EXP-0008") << c.text << spent.code;
    EXPECT_LE(spent.most_mib, 110U) << c.text;
  }
  const Hostile others[] = {
      {"{{ lines | indent | length }}", "EXP-0005"},
      {"{{ words | striptags | length }}", "EXP-0005"},
      {"<% $lines.toCharArray().len() %>", "EXP-0005"},
  };
  expect_within_the_budget(others);
}

TEST(Budgets, WhatEscapingMakesLongerIsAskedForBefore) {
  const Hostile cases[] = {
      {"{{ control | urlencode | length }}", "EXP-0007"},
      {"{{ control | tojson | length }}", "EXP-0007"},
      {"{{ control | to_json_string | length }}", "EXP-0007"},
      {"{{ {control: 1} | to_json_string | length }}", "EXP-0007"},
      {"{{ control | to_yaml_string | length }}", "EXP-0007"},
      {"{{ ampersands | escape | length }}", "EXP-0007"},
      {"{{ {'a': ampersands} | xmlattr | length }}", "EXP-0007"},
      {"{{ [control] | string | length }}", "EXP-0005"},
      {"{{ ampersands | tojson | length }}", "EXP-0007"},
  };
  expect_within_the_budget(cases);
}

TEST(Budgets, ALongTextWithLongPrefixesIsReadForEach) {
  const Hostile cases[] = {
      {in_a_loop("big.startswith(near)"), "EXP-0005"},
      {in_a_loop("big.endswith(near)"), "EXP-0005"},
      {in_a_loop("big | reverse"), "EXP-0008"},
  };
  expect_within_the_budget(cases);
}

TEST(Budgets, ARegularExpressionHasFewGroups) {
  const std::string nested = repeated("(", 90) + "a*" + repeated(")", 90);
  const Hostile cases[] = {
      {"{{ '' | regex_search('()' * 300) }}", "EXP-0002"},
      {"{{ '' | regex_search('()' * 101) }}", "EXP-0002"},
      {"{{ '' | regex_search('()' * 100) }}", ""},
      {"<% regex('()' * 101).matches('') %>", "EXP-0002"},
      {"{{ four | regex_substring('" + nested + "') | length }}", "EXP-0005"},
      {"<% regex('" + nested + "').split($four).len() %>", "EXP-0005"},
      {"{{ 'a' | regex_replace('(a)', references) | length }}", "EXP-0008"},
  };
  expect_within_the_budget(cases);
}

TEST(Budgets, AJsonPathIsShort) {
  const Hostile cases[] = {
      {"{{ {} | jsonpath_query('a' ~ '.a' * 1000) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('a' ~ '|a' * 1000) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('a' ~ '[0]' * 1000) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('a' ~ ' where a' * 500) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('$' ~ '..a' * 1000) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('a' * 5000) }}", "EXP-0002"},
      {"{{ {} | jsonpath_query('a' ~ '.a' * 90) }}", ""},
      {"{{ small_maps | jsonpath_query('[*].a' ~ ',a' * 2000) | length }}", "EXP-0008"},
      {"{{ {} | jsonpath_query('a' ~ '.a' * 200000) }}", "EXP-0002"},
      {"<% jsonpath_query({}, 'a' + '.a' * 200000) %>", "EXP-0002"},
  };
  expect_within_the_budget(cases);
}

TEST(Budgets, YamlKeepsNoLongTags) {
  const Hostile cases[] = {
      {"{{ tagged | from_yaml_string | length }}", "EXP-0002"},
      {"{{ tagged_maps | from_yaml_string | length }}", "EXP-0002"},
      {"{{ utf16 | from_yaml_string }}", "EXP-0002"},
  };
  expect_within_the_budget(cases, Budget{});
  EXPECT_NE(spent_on(cases[0].text, Budget{}).message.find("at most 256 bytes"), std::string::npos);
  EXPECT_NE(spent_on(cases[2].text).message.find("#x0000"), std::string::npos);
}

TEST(Budgets, JsonAndVersions) {
  const Hostile cases[] = {
      {"{{ json_maps | from_json_string | length }}", "EXP-0008"},
      {"{{ version | version_compare(version) }}", "EXP-0002"},
      {"<% version_compare($version, $version) %>", "EXP-0002"},
  };
  expect_within_the_budget(cases);
}

// An integer of 127 bits has no positive of its own when it is the least.
TEST(Budgets, TheLeastIntegerHasItsDigits) {
  Engine engine;
  auto text_of = [&](std::string_view text) {
    auto value = engine.evaluate(text, Scope{});
    return value.ok() ? to_text(*value) : value.error().message();
  };
  constexpr std::string_view kLeast = "-170141183460469231731687303715884105728";
  EXPECT_EQ(text_of("{{ '{}'.format(-(2 ** 126) * 2) }}"), kLeast);
  EXPECT_EQ(text_of("{{ '{:d}'.format(-(2 ** 126) * 2) }}"), kLeast);
  EXPECT_EQ(text_of("{{ '%d' % (-(2 ** 126) * 2) }}"), kLeast);
  EXPECT_EQ(text_of("{{ '{:x}'.format(-(2 ** 126) * 2) }}"), "-80000000000000000000000000000000");
  EXPECT_EQ(text_of("<% hex(bitwiseNot(shiftBitsLeft(1, 126) - 1 + shiftBitsLeft(1, 126))) %>"),
            "-0x80000000000000000000000000000000");
  EXPECT_EQ(text_of("<% str(shiftBitsRight(shiftBitsLeft(1, 126), 127)) %>"), "0");
}

}  // namespace
}  // namespace millrace::expr
