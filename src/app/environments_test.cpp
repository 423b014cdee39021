// SPDX-License-Identifier: Apache-2.0
#include "app/environments.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "app/test_support.h"
#include "base/subprocess.h"

namespace millrace::app {
namespace {

// Wheels and virtualenvs are the real ones; nothing is asked of a registry.
class EnvironmentsTest : public DataFolder {
 protected:
  void SetUp() override {
    write(home_ + "/pack/requirements.txt", "--no-index\n--find-links wheels\ntea==1.0\n");
    auto made = run({"python3", "-c", R"(
import os, sys, zipfile
os.makedirs(sys.argv[1] + "/wheels")
with zipfile.ZipFile(sys.argv[1] + "/wheels/tea-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tea.py", "kind = 'green'\n")
    info = "tea-1.0.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tea\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
)",
                     home_ + "/pack"});
    ASSERT_EQ(made.exit_code, 0) << made.tail;
  }

  CommandEnd run(std::vector<std::string> argv) {
    auto end = run_command({.argv = std::move(argv), .env = env_, .cwd = home_});
    EXPECT_TRUE(end.ok()) << end.error().message();
    return end.ok() ? *end : CommandEnd{-1, {}};
  }
  Environments::Wanted wanted() const {
    return {.folder = home_ + "/envs/pack/key",
            .pack_dir = home_ + "/pack",
            .recipe = {.manifest = "requirements.txt",
                       .create = {"{interpreter}", "-m", "venv", "{env_dir}"},
                       .install = {"{interpreter}", "-m", "pip", "install", "--quiet", "-r",
                                   "{manifest_path}"},
                       .interpreter = "{env_dir}/bin/python"},
            .interpreter = "/usr/bin/python3",
            .of_stackstorm = false};
  }

  std::vector<std::string> env_ = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent"};
  std::atomic<bool> stop_ = false;
};

TEST_F(EnvironmentsTest, HoldsWhatIsRequiredAndIsBuiltOnce) {
  auto built = Environments::build(wanted(), env_, stop_);
  ASSERT_TRUE(built.ok()) << built.error().message();
  auto python = wanted().folder + "/bin/python";
  EXPECT_EQ(run({python, "-c", "import tea; print(tea.kind)"}).tail, "green\n");
  write(home_ + "/pack/requirements.txt", "--no-index\nnothing-of-this-name\n");
  EXPECT_TRUE(Environments::build(wanted(), env_, stop_).ok()) << "it is there";
  // Its interpreter is gone: Python was upgraded.
  std::filesystem::remove(python);
  std::filesystem::create_symlink("/nowhere/python", python);
  auto failed = Environments::build(wanted(), env_, stop_);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), "APP-0044");
  EXPECT_NE(
      failed.error().message().find("No matching distribution found for nothing-of-this-name"),
      std::string::npos)
      << failed.error().message();
}

// What npm would do is done by a shell here: e2e node_pack_test asks npm itself.
TEST_F(EnvironmentsTest, WithoutACommandThatMakesItTheFilesBesideTheManifestLieInIt) {
  write(home_ + "/pack/package.json", R"({"dependencies":{"tea":"file:tea.tgz"}})");
  Environments::Wanted node{.folder = home_ + "/envs/pack/node",
                            .pack_dir = home_ + "/pack",
                            .recipe = {.manifest = "package.json",
                                       .create = {},
                                       .install = {"sh", "-c",
                                                   "cd {env_dir} && grep -q tea package.json && "
                                                   "mkdir node_modules"},
                                       .interpreter = {}},
                            .interpreter = "/usr/bin/node"};
  auto built = Environments::build(node, env_, stop_);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_TRUE(std::filesystem::is_directory(node.folder + "/node_modules"));
  node.folder += "2";
  node.recipe.install = {"sh", "-c", "echo npm error code E404 >&2; exit 1"};
  auto failed = Environments::build(node, env_, stop_);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message().find("npm error code E404"), std::string::npos);
}

TEST_F(EnvironmentsTest, ThePythonOfAReleaseIsCompiledBesideItOnce) {
  std::string data = home_ + "/data", release = data + "/packs/tea/d1";
  write(release + "/actions/brew.py", "kind = 'green'\n");
  write(home_ + "/sdk/lib.py", "x = 1\n");
  Environments environments(data);
  worker::WorkerConfig config;
  config.run.sdk = [this](Sdk) { return Result<std::string>(home_ + "/sdk"); };
  environments.serve(config);
  kernel::WorkOrder order;
  order.pack = "tea";
  order.release = "d1";
  order.runner = Runner::Script;
  order.sdk = Sdk::Python;
  order.runtime.interpreter = {"python3", "-u"};
  order.runtime.environment = wanted().recipe;
  EXPECT_EQ(config.run.environment(order), "") << "it requires nothing";
  auto is_compiled = [](const std::string& folder) {
    std::error_code ec;
    return !std::filesystem::is_empty(folder + "/__pycache__", ec) && !ec;
  };
  for (int i = 0; i < 2000 && !is_compiled(home_ + "/sdk"); ++i) usleep(10'000);
  EXPECT_TRUE(is_compiled(release + "/actions"));
  EXPECT_TRUE(is_compiled(home_ + "/sdk"));
}

TEST_F(EnvironmentsTest, IsGivenUpWhenTheServerStops) {
  stop_ = true;
  EXPECT_FALSE(Environments::build(wanted(), env_, stop_).ok());
}

}  // namespace
}  // namespace millrace::app
