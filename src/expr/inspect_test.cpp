// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/json.h"
#include "expr/expr.h"

namespace millrace::expr {
namespace {

std::vector<std::string> variables(const char* text, Mode mode = Mode::Orquesta) {
  Engine engine;
  std::vector<std::string> names;
  for (const auto& read : engine.variables(Value(text), mode)) names.push_back(read.name);
  return names;
}
using Names = std::vector<std::string>;

// The reference reads variables with regular expressions; what they miss is missed here too.
TEST(Inspect, OrquestaReadsVariablesAsTheReference) {
  EXPECT_EQ(variables("<% ctx().b + ctx().a %>"), (Names{"a", "b"}));
  EXPECT_EQ(variables("<% ctx(a) + ctx('b') + ctx(\"c\") %>"), (Names{"a", "b", "c"}));
  EXPECT_EQ(variables("<% ctx().a.split(ctx().b) %>"), (Names{"a"}));
  EXPECT_EQ(variables("<% ctx().get(x) %>"), Names{});
  EXPECT_EQ(variables("<% myctx().a %>"), Names{});
  EXPECT_EQ(variables("<% ctx()['a'] %>"), Names{});
  EXPECT_EQ(variables("{% if ctx().a %}{{ ctx().b }}{% endif %}"), (Names{"b"}));
  EXPECT_EQ(variables("<% ctx().a %> {{ ctx().b }}"), (Names{"a", "b"}));
  EXPECT_EQ(variables("no expression"), Names{});
}

TEST(Inspect, NativeReadsVariablesFromTheTree) {
  EXPECT_EQ(variables("<% ctx().a.split(ctx().b) %>", Mode::Native), (Names{"a", "b"}));
  EXPECT_EQ(variables("{% if ctx().a %}{{ ctx().b }}{% endif %}", Mode::Native), (Names{"a", "b"}));
}

TEST(Inspect, VariablesOfANestedValueAreSortedByName) {
  Engine engine;
  auto tree = parse_json(R"({"{{ ctx().k }}": ["<% ctx().b %>", {"x": "<% ctx().a %>"}]})");
  auto reads = engine.variables(*tree, Mode::Orquesta);
  ASSERT_EQ(reads.size(), 3U);
  EXPECT_EQ(reads[0], (VariableRead{Language::Yaql, "<% ctx().a %>", "a"}));
  EXPECT_EQ(reads[2], (VariableRead{Language::Jinja, "{{ ctx().k }}", "k"}));
}

TEST(Inspect, TemplatesTellWhatTheyRead) {
  Engine engine;
  auto compiled = engine.compile(
      "{% for i in event.items %}{{ i }}{{ st2kv.system.key }}{{ st2kv('other') }}{% endfor %}"
      "{{ ctx().v | length }}",
      Mode::Native);
  ASSERT_TRUE(compiled.ok()) << compiled.error().describe();
  const Reads& reads = (*compiled)->reads();
  EXPECT_EQ(reads.names, (Names{"event"}));
  EXPECT_EQ(reads.keys, (Names{"other", "system.key"}));
  EXPECT_EQ(reads.ctx, (Names{"v"}));
  EXPECT_EQ(reads.functions, (Names{"st2kv"}));
  auto yaql = engine.compile("<% len($event.list) + abs(ctx(n)) %>", Mode::Native);
  ASSERT_TRUE(yaql.ok());
  EXPECT_EQ((*yaql)->reads().names, (Names{"event"}));
  EXPECT_EQ((*yaql)->reads().functions, (Names{"abs", "len"}));
}

TEST(Inspect, CheckReportsEachMalformedExpression) {
  Engine engine;
  auto problems = [&](const char* text) { return engine.check(Value(text), Mode::Orquesta); };
  EXPECT_TRUE(problems("<% ctx().a %>").empty());
  EXPECT_TRUE(problems("{{ ctx().a | unknown_filter }}").empty());
  ASSERT_EQ(problems("<% 1 + %> <% ) %>").size(), 2U);
  EXPECT_EQ(problems("<% 1 + %>")[0].expression, "<% 1 + %>");
  EXPECT_EQ(problems("<% 1 + %>")[0].language, Language::Yaql);
  auto jinja = problems("{{ 1 + }} x");
  ASSERT_EQ(jinja.size(), 2U);
  EXPECT_EQ(jinja[0].expression, "{{ 1 + }} x");
  EXPECT_EQ(jinja[1].expression, "{{ 1 + }}");
  auto mixed = problems("<% 1 %> {{ 2 }}");
  ASSERT_EQ(mixed.size(), 1U);
  EXPECT_EQ(mixed[0].message, "Expression with multiple types is not supported.");
}

TEST(Inspect, DetectGivesATextToOneLanguage) {
  EXPECT_EQ(detect("x", Mode::Orquesta), Language::None);
  EXPECT_EQ(detect("<% 1 %>", Mode::Orquesta), Language::Yaql);
  EXPECT_EQ(detect("{{ 1 }} <% 1 %>", Mode::Orquesta), Language::Jinja);
  EXPECT_EQ(detect("{% if x %}", Mode::Orquesta), Language::Jinja);
  EXPECT_EQ(detect("{{ 1\n}}", Mode::Orquesta), Language::None);
  EXPECT_EQ(detect("{{ 1\n}}", Mode::Native), Language::Jinja);
  EXPECT_EQ(detect("<% 1\n%>", Mode::Native), Language::Yaql);
  EXPECT_EQ(detect("a < b and {x}", Mode::Native), Language::None);
}

TEST(Text, PythonsSpellings) {
  EXPECT_EQ(to_text(*parse_json(R"([null, true, 1.0, "it's", {"a": [1e20]}])")),
            R"([None, True, 1.0, "it's", {'a': [1e+20]}])");
  EXPECT_EQ(to_text(Value("plain")), "plain");
  EXPECT_FALSE(truthy(Value::map()));
  EXPECT_TRUE(truthy(Value("0")));
}

}  // namespace
}  // namespace millrace::expr
