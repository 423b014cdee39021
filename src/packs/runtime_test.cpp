// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "packs/load.h"

namespace millrace::packs {
namespace {

Report runtimes_checked(PackFiles files) {
  expr::Engine engine;
  files.emplace("pack.yaml", "ref: tea\nversion: 1.0.0\n");
  files.emplace("actions/a", "");
  return check(files, engine);
}

std::string first_of(const std::vector<Problem>& problems) {
  return problems.empty() ? "" : fmt::format("{}: {}", problems[0].path, problems[0].message);
}

Action action_of(const std::string& yaml, PackFiles more = {}) {
  more.emplace("actions/a.yaml", "name: a\nentry_point: a\n" + yaml);
  Report report = runtimes_checked(std::move(more));
  EXPECT_EQ(first_of(report.errors), "");
  return report.pack.actions.empty() ? Action() : report.pack.actions[0];
}

TEST(Runtimes, AreNamedInAnyCase) {
  EXPECT_EQ(action_of("runner_type: Python\n").runtime, "python");
  EXPECT_EQ(action_of("runner_type: Node.js\n").runtime, "node");
  EXPECT_EQ(action_of("runner_type: SHELL\n").runtime, "shell");
  EXPECT_EQ(action_of("runner_type: node-script\n").sdk, Sdk::Node);
  PackFiles own = {{"runtimes/r.yaml", "ref: tea.Ruby\nname: Ruby 3\naliases: [rb]\n"}};
  for (const char* name : {"ruby", "RB", "tea.ruby", "'ruby 3'"}) {
    EXPECT_EQ(action_of(fmt::format("runner_type: {}\n", name), own).runtime, "tea.Ruby") << name;
  }
  PackFiles python = {{"runtimes/r.yaml", "ref: tea.python\n"}};
  EXPECT_EQ(action_of("runner_type: Python\n", python).runtime, "tea.python");
  EXPECT_EQ(action_of("runner_type: python-script\n", python).runtime, "python")
      << "StackStorm's is no name of a runtime";
}

TEST(Runtimes, SayHowTheirEnvironmentIsMade) {
  std::string execution =
      "  interpreter: {binary: ruby, args: [-W]}\n"
      "  environment: {env_type: x, create_command: [mk, '{env_dir}'],\n"
      "                interpreter_path: '{env_dir}/ruby'}\n"
      "  dependencies: {manifest_file: Gemfile, install_command: [bundle]}\n"
      "  env_vars:\n    A: b\n    PATH: {operation: append, value: c, separator: ;}\n";
  Report report =
      runtimes_checked({{"runtimes/r.yaml", "ref: tea.ruby\nexecution_config:\n" + execution}});
  EXPECT_EQ(first_of(report.errors), "");
  EXPECT_EQ(first_of(report.warnings), "");
  ASSERT_EQ(report.pack.runtimes.size(), 1U);
  Runtime expected{.ref = "tea.ruby",
                   .interpreter = {"ruby", "-W"},
                   .env = {{"A", "b"}, {"PATH", "c", RuntimeVariable::How::Append, ";"}},
                   .environment = {"Gemfile", {"mk", "{env_dir}"}, {"bundle"}, "{env_dir}/ruby"}};
  EXPECT_EQ(report.pack.runtimes[0], expected);
  report = runtimes_checked(
      {{"runtimes/r.yaml", "ref: tea.ruby\nenv: {A: {operation: add, value: b}}\n"}});
  EXPECT_EQ(first_of(report.errors),
            "runtimes/r.yaml:2: runtime 'tea.ruby': 'A': 'operation': expected set, prepend or "
            "append, found 'add'");
}

TEST(Runtimes, KeepProcessesWhereThePackOrTheActionSaysSo) {
  EXPECT_EQ(action_of("runner_type: python-script\n").reuse, Reuse::None);
  EXPECT_EQ(action_of("runner_type: python-script\nreuse: fork\n").reuse, Reuse::Fork);
  PackFiles pack = {{"pack.yaml", "ref: tea\nversion: 1.0.0\nreuse: fork\n"}};
  EXPECT_EQ(action_of("runner_type: python-script\n", pack).reuse, Reuse::Fork);
  EXPECT_EQ(action_of("runner_type: python-script\nreuse: none\n", pack).reuse, Reuse::None);
  EXPECT_EQ(action_of("runner_type: node-script\n", pack).reuse, Reuse::None) << "it cannot fork";
  EXPECT_EQ(action_of("runner_type: shell\n", pack).reuse, Reuse::None);
  auto refused = [](const std::string& yaml) {
    return first_of(
        runtimes_checked({{"actions/a.yaml", "name: a\nentry_point: a\n" + yaml}}).errors);
  };
  EXPECT_EQ(refused("runner_type: node-script\nreuse: fork\n"),
            "actions/a.yaml:4: action 'tea.a': 'reuse': Node.js cannot fork: expected none or "
            "process");
  EXPECT_EQ(refused("runner_type: shell\nreuse: process\n"),
            "actions/a.yaml:4: action 'tea.a': 'reuse': processes of python-script and node-script "
            "actions alone are kept");
}

}  // namespace
}  // namespace millrace::packs
