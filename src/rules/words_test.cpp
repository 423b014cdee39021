// SPDX-License-Identifier: Apache-2.0
#include "rules/words.h"

#include <gtest/gtest.h>

#include "rules/operators.h"

namespace millrace::rules {
namespace {

Value verdict(std::string_view op, bool holds, Value expected, Value found) {
  return Value::map({{"criterion", "trigger.x"},
                     {"operator", op},
                     {"holds", holds},
                     {"expected", std::move(expected)},
                     {"found", std::move(found)}});
}

TEST(Words, SayWhatWasFoundAndWhatIsWrongWithIt) {
  EXPECT_EQ(in_words(verdict("startswith", false, "refs/heads/", "refs/tags/v1")),
            R"(trigger.x is "refs/tags/v1": does not start with "refs/heads/")");
  EXPECT_EQ(in_words(verdict("lessthan", false, 3, 5)), "trigger.x is 5: is not less than 3");
  EXPECT_EQ(in_words(verdict("exists", false, Value(), Value())), "trigger.x is not there");
  EXPECT_EQ(in_words(verdict("equals", true, "a", "a")), R"(trigger.x is "a")");
  Value noted = verdict("contains", false, "a", 5);
  noted.set("note", "cannot look inside integer");
  EXPECT_EQ(in_words(noted),
            R"(trigger.x is 5: does not contain "a" (cannot look inside integer))");
}

TEST(Words, AreThereForEachOperator) {
  for (std::string_view name : operator_names()) {
    auto op = to_string(*parse_operator(name));
    for (bool holds : {true, false}) {
      EXPECT_NE(in_words(verdict(op, holds, "p", "v")), "trigger.x " + std::string(op)) << op;
    }
  }
}

TEST(Words, OfAGroupStandBesideThoseOfItsParts) {
  Value group = verdict("any", false, Value(), Value());
  group.set("parts", ValueList{verdict("equals", false, 1, 2)});
  Value all = with_words(Value(ValueList{group}));
  EXPECT_EQ(all.as_list()[0]["message"], Value("none of these holds"));
  EXPECT_EQ(all.as_list()[0]["parts"].as_list()[0]["message"], Value("trigger.x is 2: is not 1"));
}

TEST(Words, CutWhatIsLong) {
  auto words = in_words(verdict("equals", false, std::string(5000, 'a'), std::string(5000, 'b')));
  EXPECT_LT(words.size(), 600U);
}

}  // namespace
}  // namespace millrace::rules
