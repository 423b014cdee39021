// SPDX-License-Identifier: Apache-2.0
#include "model/casts.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace {
namespace {

Value parsed(std::string_view text) { return *parse_json(text); }

std::string as(std::string_view type, std::string_view value, std::string_view more = "") {
  std::string schema = R"({"type":)" + std::string(type) + std::string(more) + "}";
  return to_json(cast_value(parsed(schema), parsed(value)));
}

struct Case {
  const char *type, *given, *cast;
};

TEST(CastValue, ReadsTextsAsTheTypeSaysAndLeavesWhatDoesNotRead) {
  constexpr Case kCases[] = {
      {R"("integer")", R"("5")", "5"},
      {R"("integer")", R"(" +5 ")", "5"},
      {R"("integer")", R"("-007")", "-7"},
      {R"("integer")", "42.0", "42"},
      {R"("integer")", "42.5", "42.5"},
      {R"("integer")", R"("42.0")", R"("42.0")"},
      {R"("integer")", R"("five")", R"("five")"},
      {R"("integer")", R"("")", R"("")"},
      {R"("integer")", R"("+-5")", R"("+-5")"},
      {R"("integer")", R"("9223372036854775808")", R"("9223372036854775808")"},
      {R"("integer")", "true", "true"},
      {R"("number")", R"("1.5")", "1.5"},
      {R"("number")", R"("1e3")", "1000.0"},
      {R"("number")", R"("7")", "7"},
      {R"("number")", R"("12345678901234567890")", R"("12345678901234567890")"},
      {R"("number")", R"("nan")", R"("nan")"},
      {R"("number")", R"("1e400")", R"("1e400")"},
      {R"("boolean")", R"("true")", "true"},
      {R"("boolean")", R"("True")", "true"},
      {R"("boolean")", R"("no")", "false"},
      {R"("boolean")", R"("1")", "true"},
      {R"("boolean")", "0", "false"},
      {R"("boolean")", "2", "2"},
      {R"("boolean")", R"("maybe")", R"("maybe")"},
      {R"("array")", R"("[1, \"b\"]")", R"([1,"b"])"},
      {R"("array")", R"("a, b,c")", R"(["a","b","c"])"},
      {R"("array")", R"("a")", R"(["a"])"},
      {R"("array")", R"("")", "[]"},
      {R"("array")", R"("[1")", R"("[1")"},
      {R"("array")", "5", "5"},
      {R"("object")", R"(" {\"a\": 1} ")", R"({"a":1})"},
      {R"("object")", R"("a=1")", R"("a=1")"},
      {R"("object")", R"("[1]")", R"("[1]")"},
      {R"("string")", R"("1.10")", R"("1.10")"},
      {R"("string")", R"("{\"a\": 1}")", R"("{\"a\": 1}")"},
      {R"("string")", "42", R"("42")"},
      {R"("string")", "true", R"("true")"},
      {R"("string")", R"({"a":[1]})", R"("{\"a\":[1]}")"},
      {R"("string")", "null", "null"},
      {R"(["integer","null"])", R"("5")", "5"},
      {R"(["string","integer"])", R"("5")", R"("5")"},
      {R"(["boolean","integer"])", R"("yes")", "true"},
  };
  for (const auto& [type, given, cast] : kCases) {
    EXPECT_EQ(as(type, given), cast) << type << " of " << given;
  }
}

TEST(CastValue, GivesTheTextsBetweenCommasTheTypeOfTheItems) {
  EXPECT_EQ(as(R"("array")", R"("1, 2")", R"(,"items":{"type":"integer"})"), "[1,2]");
  EXPECT_EQ(as(R"("array")", R"("1,x")", R"(,"items":{"type":"integer"})"), R"([1,"x"])");
}

TEST(CastValue, LeavesValuesOfWhichNoTypeIsDeclared) {
  EXPECT_EQ(to_json(cast_value(Value::map(), Value("5"))), R"("5")");
  EXPECT_EQ(to_json(cast_value(Value(), Value("5"))), R"("5")");
}

}  // namespace
}  // namespace millrace
