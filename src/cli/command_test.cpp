// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <gtest/gtest.h>

#include <set>

#include "cli/completion.h"
#include "cli/report.h"
#include "cli/tables.h"

namespace millrace::cli {
namespace {

std::string refusal_of(const std::vector<std::string>& words) {
  auto in = parse(remote_commands(), words);
  return in.ok() ? "" : in.error().message();
}

TEST(Parse, TakesArgumentsAndOptionsInAnyOrder) {
  auto commands = remote_commands();
  auto in = parse(commands, {"run", "core.echo", "a=1", "b=2", "--data", "/d", "-o", "json"});
  ASSERT_TRUE(in.ok()) << in.error().describe();
  EXPECT_EQ(in->command()->path, "run");
  EXPECT_EQ(in->get("ACTION"), "core.echo");
  EXPECT_EQ(in->all("KEY=VALUE"), (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_EQ(in->get("--data"), "/d");
  EXPECT_EQ(in->get("--output"), "json");
  EXPECT_FALSE(in->has("--async"));
}

TEST(Parse, GivesEachArgumentItsOwnWord) {
  auto commands = remote_commands();
  auto in = parse(commands, {"execution", "resolve", "12", "succeed", "--comment", "why not"});
  ASSERT_TRUE(in.ok()) << in.error().describe();
  EXPECT_EQ(in->get("ID"), "12");
  EXPECT_EQ(in->get("DECISION"), "succeed");
  EXPECT_EQ(in->get("--comment"), "why not");
}

TEST(Parse, NamesTheNearestCommandOptionAndChoice) {
  EXPECT_EQ(refusal_of({"rule", "lst"}),
            "millrace rule: unknown command 'lst' (did you mean 'list'?)");
  EXPECT_EQ(refusal_of({"execution", "list", "--stauts", "x"}),
            "millrace execution list: unknown option '--stauts' (did you mean '--status'?)");
  EXPECT_EQ(refusal_of({"execution", "resolve", "1", "retri"}),
            "DECISION: expected one of retry, succeed, fail, abandon, found 'retri' (did you mean "
            "'retry'?)");
}

TEST(Parse, RefusesTooFewAndTooManyWords) {
  EXPECT_NE(refusal_of({"execution", "show"}), "");
  EXPECT_NE(refusal_of({"execution", "show", "1", "2"}), "");
  EXPECT_NE(refusal_of({"rule", "create"}), "");
  EXPECT_NE(refusal_of({}), "");
}

TEST(Parse, HelpNamesWhatACommandTakes) {
  auto commands = remote_commands();
  auto help = parse(commands, {"execution", "resolve", "--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_EQ(help->command(), nullptr);
  EXPECT_NE(help->help.find("--comment TEXT"), std::string::npos) << help->help;
  EXPECT_EQ(path_in(commands, {"execution", "resolve", "x"}), "execution resolve");
}

TEST(CommandTable, EveryCommandHasHelpOneHandlerAndItsOwnPath) {
  std::set<std::string> paths;
  for (const auto& command : remote_commands()) {
    EXPECT_FALSE(command.help.empty()) << command.path;
    EXPECT_NE(command.local == nullptr, command.remote == nullptr) << command.path;
    EXPECT_TRUE(paths.insert(command.path).second) << command.path;
  }
}

TEST(Completion, OffersEveryCommandAndOptionInEveryShell) {
  auto commands = remote_commands();
  for (auto shell : {"bash", "zsh", "fish"}) {
    auto script = completion_script(commands, shell);
    ASSERT_TRUE(script.ok());
    for (const auto& command : commands) {
      auto word = command.path.substr(command.path.rfind(' ') + 1);
      EXPECT_NE(script->find(word), std::string::npos) << shell << " " << command.path;
      for (const auto& option : command.options) {
        EXPECT_NE(script->find(option.name.substr(2)), std::string::npos) << shell << option.name;
      }
    }
  }
  EXPECT_FALSE(completion_script(commands, "csh").ok());
}

TEST(ExitCode, SaysWhatKindOfErrorItWas) {
  auto code = [](ErrorKind kind) { return exit_code_of(Error(kind, "X-1", "x")); };
  EXPECT_EQ(code(ErrorKind::Conflict), 1);
  EXPECT_EQ(code(ErrorKind::Invalid), 2);
  EXPECT_EQ(code(ErrorKind::NotFound), 3);
  EXPECT_EQ(code(ErrorKind::Unauthorized), 4);
  EXPECT_EQ(code(ErrorKind::Forbidden), 4);
  EXPECT_EQ(code(ErrorKind::Unavailable), 5);
  EXPECT_EQ(code(ErrorKind::Timeout), 124);
  EXPECT_EQ(exit_code_of_status("succeeded"), 0);
  EXPECT_EQ(exit_code_of_status("timeout"), 124);
  EXPECT_EQ(exit_code_of_status("canceled"), 1);
}

TEST(Hint, IsThereForEveryKindOfErrorAndEveryCommand) {
  for (const auto& command : remote_commands()) {
    for (int kind = 0; kind <= static_cast<int>(ErrorKind::Internal); ++kind) {
      Error error(static_cast<ErrorKind>(kind), "X-1", "x");
      EXPECT_FALSE(hint_for(error, command.path).empty()) << command.path << " " << kind;
    }
  }
  EXPECT_EQ(hint_for(Error(ErrorKind::NotFound, "X-1", "x"), "rule show"),
            "`millrace rule list` shows what there is");
}

TEST(ErrorOfAnswer, TakesKindCodeAndProblemsFromTheBody) {
  net::ClientResponse answer{404, {}, R"({"code":"RUL-0101","detail":"no rule 'x'"})"};
  auto error = error_of_answer(answer);
  EXPECT_EQ(error.kind(), ErrorKind::NotFound);
  EXPECT_EQ(error.code(), "RUL-0101");
  EXPECT_EQ(error.message(), "no rule 'x'");
  answer = {400, {}, R"({"detail":"bad","errors":[{"path":"/a","message":"missing"}]})"};
  EXPECT_EQ(error_of_answer(answer).problems().size(), 1u);
  EXPECT_EQ(error_of_answer({503, {{"Retry-After", "7"}}, "gone"}).retry_after_ms(), 7000);
}

}  // namespace
}  // namespace millrace::cli
