// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/yaml.h"

namespace millrace {
namespace {

Value value_of(std::string_view text) { return *parse_json(text); }

TEST(YamlWrite, NestsMapsAndListsByTwoSpaces) {
  EXPECT_EQ(to_yaml(value_of(R"({"a":1,"b":{"c":[1,{"d":"x","e":[]},[2,3]]},"f":{},"g":null})")),
            "a: 1\n"
            "b:\n"
            "  c:\n"
            "    - 1\n"
            "    - d: x\n"
            "      e: []\n"
            "    - - 2\n"
            "      - 3\n"
            "f: {}\n"
            "g: null\n");
}

TEST(YamlWrite, LinesOfTextStayLines) {
  EXPECT_EQ(to_yaml(value_of(R"({"out":"one\n\n  two\n","cut":"a\nb"})")),
            "out: |\n"
            "  one\n"
            "\n"
            "    two\n"
            "cut: |-\n"
            "  a\n"
            "  b\n");
}

// Found by yaml_fuzz: a key of more than 1024 characters is read only when it is announced.
TEST(YamlWrite, ALongKeyReadsBack) {
  for (size_t size : {999UZ, 1001UZ, 1024UZ, 5000UZ}) {
    std::string key(size, 'k');
    Value nested = Value::map({{"a", 1}, {key, Value::map({{key, "x\ny"}, {"b", 2}})}});
    for (const Value& value : {nested, Value(ValueList{nested, nested})}) {
      auto again = parse_yaml(to_yaml(value), "again");
      ASSERT_TRUE(again.ok()) << size;
      EXPECT_EQ(again->value, value) << size;
    }
  }
}

TEST(YamlWrite, ReadsBackAsTheSameValue) {
  const char* const cases[] = {R"("plain")",
                               R"("")",
                               "null",
                               "1.5",
                               "1e300",
                               "-2.5e-300",
                               R"("1.5e3")",
                               R"("-.5")",
                               R"("1:30")",
                               "[]",
                               "{}",
                               R"("yes")",
                               R"("017")",
                               R"("12:30")",
                               R"("1e3")",
                               R"("- a")",
                               R"("a: b")",
                               R"("a #b")",
                               R"("#a")",
                               R"(" a ")",
                               R"("~")",
                               R"("null")",
                               R"("=")",
                               R"("<<")",
                               R"("2020-01-01")",
                               R"("{{ trigger.body }}")",
                               R"("*a")",
                               R"("&a")",
                               R"("!a")",
                               R"("%a")",
                               R"("@a")",
                               R"("`a`")",
                               R"("'a'")",
                               R"("a\tb")",
                               R"("a\u0000b")",
                               R"("\n")",
                               R"("a\n\n")",
                               R"("a \nb")",
                               R"(" a\nb")",
                               R"("é\nü")",
                               R"("\u007f")",
                               R"("true")",
                               R"({"yes":1,"a b":2,"a: b":3,"":4,"- x":5,"1":6})",
                               R"([[],{},[[]],[{"a":[{}]}]])",
                               R"({"a":"x\ny","b":["x\ny\n"]})",
                               R"("a,b")",
                               R"("a'b")",
                               R"("[a]")",
                               R"("{a}")",
                               R"("-")",
                               R"("?")",
                               R"("? a")",
                               R"("---")",
                               R"("...")",
                               R"("0x1F")",
                               R"("1_000")",
                               R"(".5")",
                               R"("a:")"};
  for (const char* text : cases) {
    auto value = value_of(text);
    auto yaml = to_yaml(value);
    auto again = parse_yaml(yaml, "test.yaml");
    ASSERT_TRUE(again.ok()) << text << " -> " << yaml << again.error().describe();
    EXPECT_EQ(again->value, value) << text << " -> " << yaml;
  }
}

}  // namespace
}  // namespace millrace
