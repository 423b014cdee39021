// SPDX-License-Identifier: Apache-2.0
#include "base/json_schema.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/regex_cost.h"
#include "base/test_support.h"

namespace millrace {
namespace {

std::string lines(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& p : problems) out += p.path + ": " + p.message + "\n";
  return out;
}

Value json(std::string_view text) { return parse_json(text).value(); }

std::string verdict(std::string_view schema, std::string_view value) {
  return lines(validate_json(json(schema), json(value)));
}

TEST(JsonSchema, AcceptsWhatFits) {
  struct Case {
    const char* schema;
    const char* value;
  };
  const Case cases[] = {
      {R"({})", "1"},
      {R"(true)", "[]"},
      {R"({"type":"integer"})", "3"},
      {R"({"type":"integer"})", "3.0"},
      {R"({"type":"number"})", "3"},
      {R"({"type":["string","null"]})", "null"},
      {R"({"enum":["a",1,null]})", "1.0"},
      {R"({"minimum":1,"maximum":3})", "3"},
      {R"({"minimum":1,"exclusiveMinimum":true})", "1.1"},
      {R"({"multipleOf":0.1})", "0.3"},
      {R"({"maxLength":2})", "\"\u00e4\u00f6\""},
      {R"({"pattern":"b+"})", "\"abbc\""},
      {R"({"items":{"type":"integer"},"uniqueItems":true})", "[1,2]"},
      {R"({"items":[{"type":"integer"},{"type":"string"}]})", "[1,\"x\",null]"},
      {R"({"properties":{"a":{"type":"string","required":true}}})", R"({"a":"x","b":1})"},
      {R"({"patternProperties":{"^x-":{"type":"integer"}},"additionalProperties":false})",
       R"({"x-a":1})"},
      {R"({"anyOf":[{"type":"string"},{"type":"integer"}]})", "1"},
      {R"({"oneOf":[{"type":"string"},{"type":"integer"}]})", "1"},
      {R"({"not":{"type":"string"}})", "1"},
      {R"({"allOf":[{"minimum":1},{"maximum":2}]})", "1"},
      {R"({"prefixItems":[{"type":"integer"}],"items":{"type":"string"}})", R"([1,"x"])"},
      {R"({"items":[{"type":"integer"}],"additionalItems":{"type":"string"}})", R"([1,"x"])"},
      {R"({"contains":{"type":"string"}})", R"([1,"x"])"},
      {R"({"propertyNames":{"pattern":"^a"}})", R"({"ab":1})"},
      {R"({"dependentRequired":{"a":["b"]}})", R"({"c":1})"},
      {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}})", "1"},
      {R"({"$id":"x","$defs":{"a":{}},"definitions":{"b":{}}})", "1"},
  };
  for (const Case& c : cases) EXPECT_EQ(verdict(c.schema, c.value), "") << c.schema;
}

TEST(JsonSchema, KnowsTheKeywordsOfAllDrafts) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"prefixItems":[{"type":"integer"}],"items":false})", "[1,2]"},
      {R"({"items":[{"type":"integer"}],"additionalItems":false})", "[1,2]"},
      {R"({"items":[{"type":"integer"}],"additionalItems":{"type":"string"}})", "[1,2]"},
      {R"({"contains":{"type":"string"}})", "[1]"},
      {R"({"propertyNames":{"pattern":"^a"}})", R"({"b":1})"},
      {R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})"},
      {R"({"dependencies":{"a":["b"]}})", R"({"a":1})"},
      {R"({"dependencies":{"a":{"required":["b"]}}})", R"({"a":1})"},
      {R"({"dependentSchemas":{"a":{"required":["b"]}}})", R"({"a":1})"},
      {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}})", "\"\""},
      {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}})", "0"},
  };
  for (const auto& [schema, value] : cases) {
    EXPECT_EQ(lines(check_json_schema(json(schema))), "") << schema;
    EXPECT_NE(verdict(schema, value), "") << schema << " takes " << value;
  }
  EXPECT_NE(lines(check_json_schema(json(R"({"dependencies":{"a":1}})"))), "");
}

TEST(JsonSchema, FindsTheSchemasOfAMember) {
  Value schema = json(R"({"properties":{"a":{"x":1}},"patternProperties":{"^b":{"x":2}},
                          "additionalProperties":{"x":3}})");
  auto at = [&](std::string_view name) {
    auto found = member_schemas(schema, name);
    return found.size() == 1 ? (*found[0])["x"].as_int() : -1;
  };
  EXPECT_EQ(at("a"), 1);
  EXPECT_EQ(at("bc"), 2);
  EXPECT_EQ(at("c"), 3);
  EXPECT_TRUE(member_schemas(Value(), "a").empty());
}

TEST(JsonSchema, SaysWhatWasExpectedAndFound) {
  struct Case {
    const char* schema;
    const char* value;
    const char* problems;
  };
  const Case cases[] = {
      {R"({"type":"integer"})", "\"3\"", ": expected integer, found string \"3\"\n"},
      {R"({"type":"integer"})", "true", ": expected integer, found boolean true\n"},
      {R"({"enum":["build","test"]})", "\"biuld\"",
       ": expected one of \"build\", \"test\", found \"biuld\" (did you mean 'build'?)\n"},
      {R"({"const":1})", "2", ": expected 1, found 2\n"},
      {R"({"minimum":1})", "0", ": expected at least 1, found 0\n"},
      {R"({"exclusiveMaximum":3})", "3", ": expected less than 3, found 3\n"},
      {R"({"minLength":2})", "\"a\"", ": expected at least 2 characters, found 1\n"},
      {R"({"items":{"type":"string"}})", "[\"a\",1]", "/1: expected string, found integer 1\n"},
      {R"({"uniqueItems":true})", "[1,1]", "/1: repeats an earlier item\n"},
      {R"({"properties":{"name":{}},"additionalProperties":false})", R"({"nmae":1})",
       "/nmae: unknown key 'nmae' (did you mean 'name'?)\n"},
      {R"({"required":["a","b/c"]})", "{}", "/a: is required\n/b~1c: is required\n"},
      {R"({"oneOf":[{"type":"number"},{"type":"integer"}]})", "1",
       ": 1 fits 2 of the 2 allowed forms, expected exactly one\n"},
  };
  for (const Case& c : cases) EXPECT_EQ(verdict(c.schema, c.value), c.problems) << c.schema;
}

TEST(JsonSchema, HidesValuesWhenAsked) {
  auto problems =
      validate_json(json(R"({"pattern":"^k-","maxLength":3})"), Value("hunter2"), ShowValues::No);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(lines(problems).find("hunter2"), std::string::npos);
}

TEST(JsonSchema, ReportsEveryMistakeOfASchema) {
  auto problems = check_json_schema(
      json(R"({"type":"strng","minimun":1,"pattern":"(","required":"a","minLength":-1,
               "properties":{"a":{"enum":1,"secret":true}},"minimum":3,"maximum":1,
               "items":[{"$ref":"#"}]})"),
      {"secret"});
  EXPECT_EQ(lines(problems),
            "/type: expected a type (string, integer, number, boolean, array, object, null), found "
            "\"strng\" (did you mean 'string'?)\n"
            "/minimun: unknown keyword 'minimun' (did you mean 'minimum'?)\n"
            "/pattern: bad regular expression: missing ): (\n"
            "/required: expected a list of names, or true or false, found \"a\"\n"
            "/minLength: expected a whole number from 0, found -1\n"
            "/properties/a/enum: expected a list, found 1\n"
            "/items/0/$ref: is not supported: write the schema out\n"
            "/minimum: minimum is greater than maximum\n");
}

// RE2 would parse each of these classes into hundreds of ranges before it looks at its memory.
TEST(JsonSchema, RefusesPatternsThatAreDearToCompile) {
  auto told = [](std::string pattern) {
    return lines(check_json_schema(Value::map({{"pattern", std::move(pattern)}})));
  };
  EXPECT_EQ(told(std::string(100'000, 'x')),
            "/pattern: expected at most 10000 bytes in a pattern, found 100000\n");
  EXPECT_EQ(
      told(repeated("\\pL", 3000)),
      "/pattern: expected at most 64 classes of Unicode (\\p, and what \\w, \\d and \\s make) "
      "in a pattern, found 3000\n");
  EXPECT_EQ(told("^[0-9a-f]{40}$"), "");
}

TEST(JsonSchema, ComparesWholeNumbersExactly) {
  EXPECT_EQ(verdict(R"({"maximum":9007199254740992})", "9007199254740993"),
            ": expected at most 9007199254740992, found 9007199254740993\n");
  EXPECT_EQ(verdict(R"({"exclusiveMinimum":9007199254740992})", "9007199254740993"), "");
  EXPECT_EQ(verdict(R"({"multipleOf":2})", "9007199254740993"),
            ": expected a multiple of 2, found 9007199254740993\n");
  EXPECT_EQ(verdict(R"({"multipleOf":-1})", "-9223372036854775808"), "");
  EXPECT_EQ(verdict(R"({"multipleOf":0.1})", "0.3"), "");
  EXPECT_EQ(lines(check_json_schema(Value::map({{"multipleOf", 0}}))),
            "/multipleOf: expected a number other than 0, found 0\n");
  EXPECT_EQ(verdict(R"({"enum":[9007199254740992.0]})", "9007199254740993").substr(0, 17),
            ": expected one of");
  EXPECT_EQ(verdict(R"({"uniqueItems":true})", "[9007199254740992, 9007199254740992.0]"),
            "/1: repeats an earlier item\n");
  EXPECT_EQ(verdict(R"({"uniqueItems":true})", "[9007199254740993, 9007199254740992.0, 0, 1]"), "");
}

TEST(JsonSchema, RefusesSuchKeysOfPatternPropertiesToo) {
  auto told = [](const std::string& key) {
    return lines(check_json_schema(Value::map(
        {{"patternProperties", Value::map({{key, Value::map({{"type", "string"}})}})}})));
  };
  EXPECT_EQ(told("("), "/patternProperties/(: bad regular expression: missing ): (\n");
  EXPECT_NE(told(std::string(100'000, 'x')).find("expected at most 10000 bytes in a pattern"),
            std::string::npos);
  EXPECT_EQ(told("^[a-z]+$"), "");
}

TEST(JsonSchema, RefusesMoreThanItsPatternsMayCostTogether) {
  Value forms = Value::list();
  for (int i = 0; i < 200; ++i) {
    forms.push_back(Value::map({{"pattern", repeated("\\pL|", 60) + std::to_string(i)}}));
  }
  auto problems = check_json_schema(Value::map({{"anyOf", forms}}));
  ASSERT_FALSE(problems.empty());
  EXPECT_NE(problems[0].message.find("more than 4000000 steps to compile together"),
            std::string::npos)
      << problems[0].message;
  EXPECT_EQ(problems[0].path, "/anyOf/15/pattern");

  Value patterns = Value::map();
  for (int i = 0; i < 200; ++i) {
    patterns.set(repeated("\\pL|", 60) + std::to_string(i), true);
  }
  uint64_t left = kRegexStepsOfDocument;
  problems = check_json_schema(Value::map({{"patternProperties", patterns}}), {}, &left);
  ASSERT_EQ(problems.size(), 100U);
  EXPECT_LT(left, kRegexStepsOfDocument / 10);
}

// Also what was stored by a version that knew no such limits.
TEST(JsonSchema, ChargesAPatternBeforeItCompilesIt) {
  auto spent = [](const std::string& pattern) {
    uint64_t left = kSchemaSteps;
    EXPECT_EQ(lines(validate_json(Value::map({{"pattern", pattern}}), Value("x"), ShowValues::Yes,
                                  &left)),
              "");
    return kSchemaSteps - left;
  };
  EXPECT_GE(spent(repeated("\\pL|", 60) + "x"), 60U * 4000);
  EXPECT_LT(spent(repeated("\\pL", 3000) + "x"), 1000U);
}

}  // namespace
}  // namespace millrace
