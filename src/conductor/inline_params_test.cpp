// SPDX-License-Identifier: Apache-2.0
#include "conductor/inline_params.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::conductor {
namespace {

std::string parsed(std::string_view text) {
  Value out = Value::list();
  for (auto& [name, value] : parse_inline_params(text)) out.push_back(Value::map({{name, value}}));
  return to_json(out);
}

TEST(InlineParams, ReadsEachFormOfAValue) {
  EXPECT_EQ(parsed("core.x i=3 n=-4 f=1.5 t=True f2=FALSE z=null"),
            R"([{"i":3},{"n":-4},{"f":1.5},{"t":true},{"f2":false},{"z":null}])");
  EXPECT_EQ(parsed(R"(a="x y" b='it' c=[1, 2])"), R"([{"a":"x y"},{"b":"it"},{"c":[1,2]}])");
  EXPECT_EQ(parsed("a=<% ctx().x + 1 %> b={{ ctx().y }}"),
            R"([{"a":"<% ctx().x + 1 %>"},{"b":"{{ ctx().y }}"}])");
}

TEST(InlineParams, AQuotedNumberStaysText) { EXPECT_EQ(parsed(R"(a="1")"), R"([{"a":"1"}])"); }

TEST(InlineParams, QuotedJsonObjectIsRead) {
  EXPECT_EQ(parsed(R"(a='{"k": 1}')"), R"([{"a":{"k":1}}])");
}

TEST(InlineParams, AListWithQuotedTextsStaysText) {
  EXPECT_EQ(parsed(R"(a=["x", "y"])"), R"([{"a":"[\"x\", \"y\"]"}])");
}

TEST(InlineParams, WhatIsNoPairIsPassedOver) {
  EXPECT_EQ(parsed("core.local cmd=date"), "[]");
  EXPECT_EQ(parsed("a=1 word b=2"), R"([{"a":1},{"b":2}])");
  EXPECT_EQ(parsed("a = 1"), "[]");
  EXPECT_EQ(parsed(""), "[]");
}

TEST(InlineParams, AnExpressionOverTwoLinesIsNone) { EXPECT_EQ(parsed("a=<% x\n%>"), "[]"); }

TEST(InlineParams, AnEmptyQuotedTextIsAValue) { EXPECT_EQ(parsed("a=\"\""), R"([{"a":""}])"); }

}  // namespace
}  // namespace millrace::conductor
