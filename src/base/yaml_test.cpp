// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace {
namespace {

std::string json_of(std::string_view text) {
  auto parsed = parse_yaml(text, "f.yaml");
  return parsed ? to_json(parsed->value) : parsed.error().describe();
}

std::vector<std::string> yaml_problems(std::string_view text, const YamlLimits& limits = {}) {
  auto parsed = parse_yaml(text, "f.yaml", limits);
  std::vector<std::string> lines;
  if (parsed) return lines;
  for (const auto& problem : parsed.error().problems()) {
    lines.push_back(problem.path + ": " + problem.message);
  }
  return lines;
}

TEST(Yaml, ResolvesPlainScalarsOnlyAndObeysTags) {
  struct Case {
    const char* text;
    const char* json;
  };
  const Case cases[] = {
      {"yes", "true"},
      {"", "null"},
      {"12", "12"},
      {"1:30", "90"},
      {"1e3", R"("1e3")"},
      {"2014-01-01", R"("2014-01-01")"},
      {"'12'", R"("12")"},
      {"\"yes\"", R"("yes")"},
      {"!!str 12", R"("12")"},
      {"!!float 3", "3.0"},
      {"!!float 1e3", "1000.0"},
      {"!!int 0x1F", "31"},
  };
  for (const Case& c : cases) {
    auto parsed = parse_yaml(std::string("k: ") + c.text, "f.yaml");
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(to_json(parsed->value["k"]), c.json) << c.text;
  }
}

TEST(Yaml, ANumberThatCannotBeKeptIsRefusedWithItsLine) {
  EXPECT_EQ(
      yaml_problems("a: 1\nb: [9223372036854775808]\nc: 0x10000000000000000"),
      (std::vector<std::string>{"f.yaml:2: expected a whole number from -2^63 to 2^63 - 1, found "
                                "9223372036854775808; in quotes it stays as it is",
                                "f.yaml:3: expected a whole number from -2^63 to 2^63 - 1, found "
                                "0x10000000000000000; in quotes it stays as it is"}));
  EXPECT_EQ(yaml_problems("a: .inf\nb: !!float .nan\nc: 1.0e+999\nd: 1.0e-999").size(), 4U);
  EXPECT_EQ(yaml_problems("a: 9007199254740993.0"),
            std::vector<std::string>{"f.yaml:1: expected a number that a double holds, found "
                                     "9007199254740993.0; in quotes it stays as it is"});
  EXPECT_EQ(json_of("[9007199254740992.0, 1.0e+23, 9_007_199_254_740_994.0]"),
            "[9007199254740992.0,1e+23,9007199254740994.0]");
  EXPECT_EQ(json_of("[9223372036854775807, '9223372036854775808', 1.5e+308]"),
            R"([9223372036854775807,"9223372036854775808",1.5e+308])");
}

TEST(Yaml, KeepsOrderNestingAndTheTextAsWritten) {
  auto parsed = parse_yaml("b: 1.10\na:\n  - x\n  - {c: d}\n1: one\n", "f.yaml");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(to_json(parsed->value), R"({"b":1.1,"a":["x",{"c":"d"}],"1":"one"})");
  EXPECT_EQ(parsed->find("b")->text, "1.10");
  EXPECT_EQ(parsed->find("zz"), nullptr);
}

TEST(Yaml, KnowsTheLineOfAJsonPointer) {
  auto parsed = parse_yaml("a: 1\nb:\n  - x\n  - c/d:\n      e: 1\n", "f.yaml");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->line_of("/a"), 1);
  EXPECT_EQ(parsed->line_of("/b/0"), 3);
  EXPECT_EQ(parsed->line_of("/b/1/c~1d/e"), 5);
  EXPECT_EQ(parsed->line_of("/b/1/c~1d/absent/deeper"), 4);
}

TEST(Yaml, MergesMapsWithoutOverridingOwnKeys) {
  EXPECT_EQ(json_of("base: &b {x: 1, y: 2}\nme:\n  <<: *b\n  x: 3\n"),
            R"({"base":{"x":1,"y":2},"me":{"x":3,"y":2}})");
}

TEST(Yaml, ReportsEveryRepeatedKeyAndUnknownTag) {
  auto problems = yaml_problems("a: 1\nb: !thing 2\na: 3\nb: 4\n");
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0], "f.yaml:2: the tag '!thing' is not supported: remove it");
  EXPECT_EQ(problems[1], "f.yaml:3: the key 'a' is given twice (first in line 1)");
  EXPECT_EQ(problems[2], "f.yaml:4: the key 'b' is given twice (first in line 2)");
}

TEST(Yaml, ReportsBadSyntaxWithItsLine) {
  auto problems = yaml_problems("a: 1\nb: [1, 2\nc: 3\n");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_TRUE(problems[0].starts_with("f.yaml:")) << problems[0];
  EXPECT_EQ(yaml_problems("--- 1\n--- 2\n").front(),
            "f.yaml:2: expected one document, found a second one");
  EXPECT_EQ(yaml_problems("a: \xff\xfe").size(), 1u);
}

TEST(Yaml, StopsAnAliasBomb) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  auto problems = yaml_problems(bomb);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("more than 100000 values"), std::string::npos) << problems[0];
}

TEST(Yaml, StopsDeepNestingSizeAndSelfReference) {
  EXPECT_EQ(yaml_problems(std::string(10'000, '[')).size(), 1u);
  EXPECT_EQ(yaml_problems(std::string(10'000, '{')).size(), 1u);
  EXPECT_EQ(yaml_problems("a: &x [*x]").size(), 1u);
  EXPECT_EQ(yaml_problems("a: bcd", {.max_bytes = 3}).size(), 1u);
  std::string chain = "a0: &a0 [x]\n";
  for (int i = 1; i < 80; ++i) {
    chain += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
             "]\n";
  }
  EXPECT_NE(yaml_problems(chain).front().find("nested deeper"), std::string::npos);
}

// A prefix that %TAG gives is written out for each node.
TEST(Yaml, RefusesLongTagsAndTheCharacterNul) {
  std::string prefix = "%TAG ! " + std::string(120'000, 'x') + "\n---\n";
  for (std::string_view node : {"- !a b\n", "- !a {}\n", "- !a [b]\n", "- !a\n"}) {
    std::string text = prefix;
    for (int i = 0; i < 300; ++i) text += node;
    EXPECT_EQ(
        yaml_problems(text),
        std::vector<std::string>{"f.yaml:3: expected a tag of at most 256 bytes, found 120001"})
        << node;
  }
  // To the parser that is UTF-16 with brackets that nobody counted.
  std::string utf16;
  for (int i = 0; i < 500; ++i) utf16 += std::string_view("\0[", 2);
  EXPECT_EQ(yaml_problems("a: 1\n" + utf16),
            std::vector<std::string>{
                "f.yaml:2: expected text without the character U+0000, found one at byte 5"});
}

}  // namespace
}  // namespace millrace
