// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

Command shell_command(std::string script) {
  return {
      .argv = {"sh", "-c", std::move(script)}, .env = {"PATH=/bin:/usr/bin", "A=b c"}, .cwd = "/"};
}

TEST(Subprocess, TellsHowItEndedAndItsLastWords) {
  auto end = run_command(shell_command("echo out; echo err >&2; pwd; echo \"$A\"; exit 3"));
  ASSERT_TRUE(end.ok()) << end.error().message();
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_EQ(end->tail, "out\nerr\n/\nb c\n");
  EXPECT_EQ(run_command(shell_command("kill -9 $$"))->exit_code, 128 + 9);
}

TEST(Subprocess, KeepsTheEndOfMuchOutput) {
  auto end = run_command(shell_command("seq 1 200000"));
  ASSERT_TRUE(end.ok());
  EXPECT_LE(end->tail.size(), kCommandTail);
  EXPECT_TRUE(end->tail.ends_with("199999\n200000\n"));
}

TEST(Subprocess, IsKilledWithItsGroupWhenTheTimeIsOver) {
  auto command = shell_command("echo begun; sleep 600 & sleep 600");
  command.within_ms = 300;
  auto end = run_command(command);
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code(), "BAS-0014");
  EXPECT_NE(end.error().message().find("begun"), std::string::npos) << end.error().message();
}

TEST(Subprocess, WhatItLeavesRunningHoldsNobodyUp) {
  auto end =
      run_command(shell_command("sleep 300 & echo done; echo $!"));  // shorter than the limit
  ASSERT_TRUE(end.ok()) << end.error().message();
  EXPECT_EQ(run_command(shell_command("kill " + end->tail.substr(5)))->exit_code, 0);
}

TEST(Subprocess, IsKilledWhenItIsStopped) {
  std::atomic<bool> stop = true;
  auto command = shell_command("sleep 600");
  command.stop = &stop;
  auto end = run_command(command);
  ASSERT_FALSE(end.ok());
  EXPECT_NE(end.error().message().find("it was stopped"), std::string::npos);
}

TEST(Subprocess, SaysWhyItCannotBeStarted) {
  auto missing = run_command({.argv = {"no-such-program"}, .env = {"PATH=/bin"}, .cwd = {}});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
  EXPECT_NE(missing.error().message().find("no-such-program"), std::string::npos);
  EXPECT_FALSE(run_command({.argv = {"/etc/passwd"}, .env = {}, .cwd = {}}).ok());
}

}  // namespace
}  // namespace millrace
