// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"

namespace millrace::cli {
namespace {

constexpr Column kRowColumns[] = {{"REF", "ref"},
                                  {"ON", "enabled", Look::Flag},
                                  {"ACTION", "action.ref"},
                                  {"AT", "at", Look::Time},
                                  {"TOOK", "took", Look::DurationMs}};

ValueList rows() {
  auto parsed = parse_json(R"([
    {"ref":"ci.a","enabled":true,"action":{"ref":"core.echo"},
     "at":"2026-01-31T12:00:00.250Z","took":1500},
    {"ref":"ci.longer","enabled":false,"action":{},"at":null,"took":null}])");
  return parsed->as_list();
}

TEST(Rows, ATableIsAlignedAndEmptyWhereNothingIs) {
  EXPECT_EQ(Style{}.rows(kRowColumns, rows()),
            "REF        ON   ACTION     AT                    TOOK\n"
            "ci.a       yes  core.echo  2026-01-31 12:00:00Z  1.5 s\n"
            "ci.longer  no                                    \n");
}

TEST(Rows, WithoutRowsThereIsTheHeader) {
  EXPECT_EQ(Style{}.rows(kRowColumns, {}), "REF  ON  ACTION  AT  TOOK\n");
}

TEST(Rows, JsonAndYamlAreReadBack) {
  auto json = parse_json(Style{.format = Format::Json}.rows(kRowColumns, rows()));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->as_list().size(), 2u);
  EXPECT_EQ(json->as_list()[0]["action"]["ref"], Value("core.echo"));
  auto yaml = Style{.format = Format::Yaml}.rows(kRowColumns, rows());
  EXPECT_NE(yaml.find("ref: ci.a"), std::string::npos) << yaml;
}

TEST(Rows, JsonLinesAreOneObjectALine) {
  auto text = Style{.format = Format::JsonLines}.rows(kRowColumns, rows());
  auto end = text.find('\n');
  EXPECT_TRUE(parse_json(text.substr(0, end)).ok()) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
}

TEST(Rows, ControlCharactersDoNotReachTheTerminal) {
  ValueList evil{Value::map({{"ref", "a\033[31mb\nc"}})};
  constexpr Column kRef[] = {{"REF", "ref"}};
  EXPECT_EQ(Style{}.rows(kRef, evil), "REF\na [31mb c\n");
}

TEST(Rows, WidthsCountCharacters) {
  ValueList names{Value::map({{"a", "\u00e4\u00f6"}, {"b", "x"}}),
                  Value::map({{"a", "abc"}, {"b", "y"}})};
  constexpr Column kTwo[] = {{"A", "a"}, {"B", "b"}};
  EXPECT_EQ(Style{}.rows(kTwo, names), "A    B\n\u00e4\u00f6   x\nabc  y\n");
}

TEST(Object, EachEntryIsALineAndWhatIsNestedStandsBelow) {
  auto value = parse_json(R"({"id":"1","status":"failed","empty":"","none":null,"tags":["a"],
                              "text":"one\ntwo"})");
  EXPECT_EQ(Style{}.object(*value),
            "id:      1\nstatus:  failed\ntags:\n  - a\ntext:\n  one\n  two\n");
}

TEST(Colour, SaysHowItWentAndOnlyWhereAsked) {
  EXPECT_EQ(painted("ok", "succeeded", true), "\033[32mok\033[0m");
  EXPECT_EQ(painted("ok", "failed", true), "\033[31mok\033[0m");
  EXPECT_EQ(painted("ok", "running", true), "\033[33mok\033[0m");
  EXPECT_EQ(painted("ok", "failed", false), "ok");
  EXPECT_EQ(painted("no", "no", true), "no");
}

TEST(Duration, ChoosesItsUnit) {
  EXPECT_EQ(duration_text(0), "0 ms");
  EXPECT_EQ(duration_text(999), "999 ms");
  EXPECT_EQ(duration_text(1500), "1.5 s");
  EXPECT_EQ(duration_text(125'000), "2 m 05 s");
  EXPECT_EQ(duration_text(7'500'000), "2 h 05 m");
}

TEST(Format, UnknownNamesAreATable) {
  EXPECT_EQ(parse_format(""), Format::Table);
  EXPECT_EQ(parse_format("table"), Format::Table);
  EXPECT_EQ(parse_format("json"), Format::Json);
  EXPECT_EQ(parse_format("yaml"), Format::Yaml);
  EXPECT_EQ(parse_format("jsonl"), Format::JsonLines);
}

}  // namespace
}  // namespace millrace::cli
