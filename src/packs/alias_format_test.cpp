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

// Random texts of the words of the language: whatever is read gives values of the command alone.
TEST(AliasFormat, TakesAnyTextWithoutHarm) {
  const std::string_view kWords[] = {"{{", "}}", " a ", "b",  "=", "'",  "\"",
                                     "{",  "}",  "(",   ")?", " ", "x=", "[a",
                                     "]",  "|",  "*",   "\\", "1", "\n", "\xc3\xa4"};
  uint64_t state = 7;
  auto next = [&](size_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<size_t>(state >> 33) % below;
  };
  auto text = [&] {
    std::string out;
    for (size_t n = next(12); n > 0; --n) out += kWords[next(std::size(kWords))];
    return out;
  };
  int matches = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto format = AliasFormat::compile(text());
    if (!format.ok()) continue;
    expr::Allowance allowance;
    for (int k = 0; k < 3; ++k) {
      auto command = text();
      auto found = (*format)->match(command, allowance);
      ASSERT_TRUE(found.ok()) << found.error().message();
      matches += found->has_value() ? 1 : 0;
    }
  }
  EXPECT_GT(matches, 100);
}

TEST(AliasFormat, TheLongestCommandCostsLittle) {
  auto format = AliasFormat::compile("{{a}} {{b}} {{c}} {{d}} {{e=1}} {{f=2}} end");
  ASSERT_TRUE(format.ok());
  for (const char* piece : {"x ", "'", "{", "} ", "a=b ", "a=\"", "\\"}) {
    std::string command;
    while (command.size() < kLongestCommand) command += piece;
    expr::Allowance allowance;
    auto found = (*format)->match(command, allowance);
    ASSERT_TRUE(found.ok()) << found.error().message();
    EXPECT_FALSE(found->has_value());
    EXPECT_LT(allowance.of - allowance.left, 200'000U) << "10 ms";
  }
}

}  // namespace
}  // namespace millrace::packs
