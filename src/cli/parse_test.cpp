// SPDX-License-Identifier: Apache-2.0
// Command lines against a small table of commands.
#include <gtest/gtest.h>

#include "cli/command.h"

namespace millrace::cli {
namespace {

LocalHandler nothing() {
  return [](const Invocation&) -> Result<int> { return 0; };
}

CommandTable table() {
  return {
      {.path = "copy",
       .help = "Copy",
       .arguments = {{"DIR", ""}},
       .options = {{"--quick", "", ""}},
       .local = nothing()},
      {.path = "copy verify", .help = "Check", .arguments = {{"SET", ""}}, .local = nothing()},
      {.path = "send",
       .help = "Send",
       .arguments = {{"TO", ""}, {.name = "WORD", .optional = true, .many = true}},
       .options = {{.name = "--tag", .value = "T", .repeats = true},
                   {.name = "--file", .value = "F", .letter = 'f'},
                   {.name = "--level", .value = "L", .choices = {"low", "high"}},
                   {.name = "--must", .value = "M", .required = true}},
       .local = nothing()},
  };
}

std::string error_of(const std::vector<std::string>& words) {
  auto in = parse(table(), words);
  return in.ok() ? "" : in.error().message();
}

TEST(Words, TheLongerCommandIsMeant) {
  auto commands = table();
  auto verify = parse(commands, {"copy", "verify", "/set"});
  ASSERT_TRUE(verify.ok()) << verify.error().describe();
  EXPECT_EQ(verify->command()->path, "copy verify");
  EXPECT_EQ(verify->get("SET"), "/set");
  auto copy = parse(commands, {"copy", "/verify"});
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->command()->path, "copy");
  EXPECT_EQ(copy->get("DIR"), "/verify");
  auto named_so = parse(commands, {"copy", "./verify", "--quick"});
  ASSERT_TRUE(named_so.ok());
  EXPECT_TRUE(named_so->has("--quick"));
}

TEST(Words, AnArgumentIsNotEmpty) {
  EXPECT_EQ(error_of({"copy", ""}), "millrace copy: DIR: expected a text, found an empty one");
  EXPECT_EQ(error_of({"send", "ada", "--must=1", ""}), "") << "an optional one may be";
}

TEST(Words, AnArgumentMayTakeTheRest) {
  auto commands = table();
  auto in = parse(commands, {"send", "ada", "--must=1", "one", "two"});
  ASSERT_TRUE(in.ok()) << in.error().describe();
  EXPECT_EQ(in->get("TO"), "ada");
  EXPECT_EQ(in->all("WORD"), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(in->get("--must"), "1");
}

TEST(Words, OptionsRepeatHaveLettersAndChoices) {
  auto commands = table();
  auto in = parse(commands, {"send", "ada", "--must", "1", "--tag", "a", "--tag", "b", "-f", "x",
                             "--level", "low"});
  ASSERT_TRUE(in.ok()) << in.error().describe();
  EXPECT_EQ(in->all("--tag"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(in->get("--file"), "x");
  EXPECT_EQ(in->get("--level"), "low");
  EXPECT_FALSE(in->has("--quick"));
  EXPECT_EQ(in->get("--quick"), "");
}

TEST(Words, BehindTwoDashesNothingIsAnOption) {
  auto commands = table();
  auto in = parse(commands, {"send", "ada", "--must", "1", "--", "--help", "-x"});
  ASSERT_TRUE(in.ok()) << in.error().describe();
  ASSERT_NE(in->command(), nullptr);
  EXPECT_EQ(in->all("WORD"), (std::vector<std::string>{"--help", "-x"}));
}

TEST(Words, EveryMistakeIsUsageAndNamesItsPlace) {
  auto commands = table();
  const std::vector<std::vector<std::string>> mistakes = {
      {},
      {"cpy"},
      {"copy"},
      {"copy", "a", "b"},
      {"send", "ada"},            // --must is missing
      {"send", "ada", "--must"},  // and without a value
      {"send", "ada", "--must", "1", "--level", "middle"},
      {"send", "ada", "--must", "1", "--file", "a", "--file", "b"},
      {"copy", "a", "--quick=maybe-not"},
      {"copy", "a", "-z"},
  };
  for (const auto& words : mistakes) {
    auto in = parse(commands, words);
    std::string line;
    for (const auto& word : words) line += word + " ";
    ASSERT_FALSE(in.ok()) << line;
    EXPECT_EQ(in.error().code(), "CLI-0001") << line;
    EXPECT_EQ(in.error().kind(), ErrorKind::Invalid) << line;
  }
  EXPECT_EQ(error_of({"cpy"}), "millrace: unknown command 'cpy' (did you mean 'copy'?)");
  EXPECT_EQ(error_of({}), "millrace: expected a command: copy, send");
  EXPECT_EQ(error_of({"copy", "a", "b"}), "millrace copy: unexpected 'b'");
}

TEST(Help, OfAllOfAGroupAndOfACommand) {
  auto commands = table();
  for (const auto& words : std::vector<std::vector<std::string>>{{"--help"}, {"-h"}, {"help"}}) {
    auto in = parse(commands, words);
    ASSERT_TRUE(in.ok());
    EXPECT_EQ(in->command(), nullptr);
    EXPECT_NE(in->help.find("copy verify"), std::string::npos) << in->help;
  }
  auto one = parse(commands, {"copy", "--help"});
  ASSERT_TRUE(one.ok());
  EXPECT_NE(one->help.find("millrace copy DIR [OPTIONS]"), std::string::npos) << one->help;
  auto many = parse(commands, {"send", "--help"});
  ASSERT_TRUE(many.ok());
  EXPECT_NE(many->help.find("millrace send TO [WORD...]"), std::string::npos) << many->help;
  EXPECT_NE(many->help.find("-f, --file F"), std::string::npos) << many->help;
}

TEST(Completion, OffersWhatMayFollow) {
  auto commands = table();
  EXPECT_EQ(next_words(commands, ""), (std::vector<std::string>{"copy", "send"}));
  EXPECT_EQ(next_words(commands, "copy"), (std::vector<std::string>{"verify"}));
  EXPECT_EQ(path_in(commands, {"copy", "verify", "x"}), "copy verify");
  EXPECT_EQ(path_in(commands, {"copy", "x"}), "copy");
}

}  // namespace
}  // namespace millrace::cli
