// SPDX-License-Identifier: Apache-2.0
#include "packs/alias_format.h"

#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "expr/expr.h"

namespace millrace::packs {
namespace {

// The parameters as JSON, "-" for a command of another form, or what is wrong with the form.
std::string matched(std::string_view form, std::string_view command) {
  auto format = AliasFormat::compile(form);
  if (!format.ok()) return format.error().message();
  expr::Allowance allowance;
  auto found = (*format)->match(command, allowance);
  if (!found.ok()) return found.error().message();
  return *found ? to_json(**found) : "-";
}

struct AliasCase {
  const char* form;
  const char* command;
  const char* expected;
};

TEST(AliasFormat, GivesWhatStandsInItsPlaces) {
  const AliasCase kCases[] = {
      {"deploy {{ what }}", "deploy web", R"({"what":"web"})"},
      {"deploy {{what}} to {{where=staging}}", "deploy web to prod",
       R"({"what":"web","where":"prod"})"},
      {"deploy {{what}} {{ where = staging }}", "deploy web",
       R"({"what":"web","where":"staging"})"},
      {"say {{text}}", R"(say "a b")", R"({"text":"a b"})"},
      {"say {{text}}", "say a b c", R"({"text":"a b c"})"},
      {"say {{text}} loudly", "say 'a b' loudly", R"({"text":"a b"})"},
      {"say \"{{text}}\"", R"(say "a b")", R"({"text":"a b"})"},
      {"set {{data}}", R"(set {"a": [1, 2]})", R"({"data":"{\"a\": [1, 2]}"})"},
      {"run {{what='a b'}}", "run", R"({"what":"a b"})"},
      {"run {{what={}}}", "run", R"({"what":"{}"})"},
      {"run {{what=[a,b]}}", "run", R"({"what":"[a,b]"})"},
      {"st2 list {{ limit=10 }} executions", "st2 list executions", R"({"limit":"10"})"},
      {"st2 list {{ limit=10 }} executions", "st2 list 5 executions", R"({"limit":"5"})"},
      {"{{a=1}} foo", "foo", R"({"a":"1"})"},
      {"(list|show) {{what}}", "show all", R"({"what":"all"})"},
      {"user( type {{type}})? {{user}}", "user ada", R"({"user":"ada"})"},
      {"user( type {{type}})? {{user}}", "user type x ada", R"({"type":"x","user":"ada"})"},
      {"(?i)deploy (?P<what>\\w+)", "Deploy web", R"({"what":"web"})"},
      {"just words", "just words", "{}"},
      {"just words", "  just words  ", "{}"},
      {"line {{a}}", "line one\ntwo", R"({"a":"one\ntwo"})"},
      {"^run {{what}}$", "run x", R"({"what":"x"})"},
      {"run {{what}}", "walk x", "-"},
      {"run {{what}}", "run", "-"},
      {"run {{what}}", "please run x", "-"},
      {"just words", "just words more", "-"},
  };
  for (const auto& [form, command, expected] : kCases) {
    EXPECT_EQ(matched(form, command), expected) << form << " / " << command;
  }
}

TEST(AliasFormat, TakesPairsAtTheEndThatItDoesNotName) {
  const AliasCase kCases[] = {
      {"run {{what}}", "run x more=1 other='b c'", R"({"what":"x","other":"b c","more":"1"})"},
      {"run", R"(run a="x y" b={"c": {"d": 1}})", R"({"b":"{\"c\": {\"d\": 1}}","a":"x y"})"},
      {"run {{what=1}}", "run what=2", R"({"what":"2"})"},
      {"open {{url}}", "open http://x/?a=b", R"({"url":"http://x/?a=b"})"},
      {"run {{what}}", "run a=", R"({"what":"a="})"},
      {"run {{what}}", "run =", R"({"what":"="})"},
      {"run {{what}}", "run a='", R"({"what":"a='"})"},
      {"run {{what}}", "run }", R"({"what":"}"})"},
      {"{{what}}", "a=\"", R"({"what":"a=\""})"},
      {"{{what}}", "'", R"({"what":"'"})"},
      {"", "", "{}"},
      {"", "a=1", R"({"a":"1"})"},
  };
  for (const auto& [form, command, expected] : kCases) {
    EXPECT_EQ(matched(form, command), expected) << form << " / " << command;
  }
}

TEST(AliasFormat, SaysWhatItCannotRead) {
  const AliasCase kCases[] = {
      {"run {{a", "", "expected '{{ name }}' or '{{ name=default }}', found \"{{a\""},
      {"run {{a-b}}", "", "expected '{{ name }}' or '{{ name=default }}', found \"{{a-b}}\""},
      {"run {{}}", "", "expected '{{ name }}' or '{{ name=default }}', found \"{{}}\""},
      {"run {{a=b}", "", "expected '{{ name }}' or '{{ name=default }}', found \"{{a=b}\""},
      {"run (?!x){{a}}", "",
       "'run (?!x){{a}}': look-ahead and look-behind are not supported in regular expressions: "
       "they run in linear time"},
  };
  for (const auto& [form, command, expected] : kCases) {
    EXPECT_EQ(matched(form, command), expected) << form;
  }
  EXPECT_EQ(matched("{{a}} {{a}}", "x y"), "'{{a}} {{a}}': 'a' has two places");
  EXPECT_NE(matched("run (", "run x"), "-");
}

TEST(AliasFormat, FindsAllPlacesOfALooseForm) {
  auto format = AliasFormat::compile_loose("(?P<issue>[A-Z]+-\\d+)");
  ASSERT_TRUE(format.ok());
  expr::Allowance allowance;
  auto found = (*format)->match_all("what of AB-1 and CD-22?", allowance);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(to_json((*found)[1]), R"({"issue":"CD-22"})");
}

TEST(AliasFormat, AListIsWhatStandsBetweenCommas) {
  EXPECT_EQ(to_json(list_of_text("a, b ,c")), R"(["a","b","c"])");
  EXPECT_EQ(to_json(list_of_text("[triggered,acknowledged]")), R"(["triggered","acknowledged"])");
  EXPECT_EQ(to_json(list_of_text("[1, \"x\"]")), R"([1,"x"])");
  EXPECT_EQ(to_json(list_of_text("one")), R"(["one"])");
}

}  // namespace
}  // namespace millrace::packs
