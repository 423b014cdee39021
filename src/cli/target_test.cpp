// SPDX-License-Identifier: Apache-2.0
// Which server is meant, and as whom: the first source that says so.
#include "cli/target.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace millrace::cli {
namespace {

class TargetTest : public testing::Test {
 protected:
  TargetTest() {
    char name[] = "/tmp/millrace-cli-XXXXXX";
    home_ = mkdtemp(name);
    env_["HOME"] = home_;
    write("data/url", "http://127.0.0.1:1/\n");
    write("data/admin.token", "mr_data\n");
    env_["MILLRACE_DATA"] = home_ + "/data";
  }
  ~TargetTest() override { std::filesystem::remove_all(home_); }

  void write(const std::string& name, const std::string& text) {
    auto path = std::filesystem::path(home_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  Result<Target> find(std::map<std::string, std::string> options = {}) {
    Invocation in;
    for (auto& [name, value] : options) in.set(name, {value});
    return find_target(in, [this](const char* name) { return env_[name]; });
  }
  std::string found(std::map<std::string, std::string> options = {}) {
    auto target = find(std::move(options));
    if (!target.ok()) return std::string(target.error().code());
    return target->url + " " + target->token.reveal();
  }

  std::string home_;
  std::map<std::string, std::string> env_;
};

TEST_F(TargetTest, TheDataFolderOfTheUsersOwnServer) {
  EXPECT_EQ(found(), "http://127.0.0.1:1 mr_data");
}

TEST_F(TargetTest, TheDefaultProfileComesBeforeTheDataFolder) {
  write(".config/millrace/config.yaml",
        "profiles:\n  default: {url: \"http://p:1/\", token_file: ~/token}\n"
        "  other: {url: \"http://o:1\"}\n");
  write("token", " mr_profile \n");
  EXPECT_EQ(found(), "http://p:1 mr_profile");
  EXPECT_EQ(found({{"--profile", "other"}}), "http://o:1 ");
  EXPECT_EQ(found({{"--profile", "othr"}}), "CLI-0003");
  EXPECT_NE(find({{"--profile", "othr"}}).error().message().find("did you mean 'other'"),
            std::string::npos);
}

TEST_F(TargetTest, TheEnvironmentComesBeforeProfiles) {
  env_["MILLRACE_URL"] = "http://e:1";
  env_["MILLRACE_TOKEN"] = "mr_env";
  EXPECT_EQ(found(), "http://e:1 mr_env");
}

TEST_F(TargetTest, OptionsComeFirst) {
  env_["MILLRACE_URL"] = "http://e:1";
  env_["MILLRACE_TOKEN"] = "mr_env";
  write("token", "mr_file\n");
  EXPECT_EQ(found({{"--url", "http://u:1//"}}), "http://u:1 mr_env");
  EXPECT_EQ(found({{"--url", "http://u:1"}, {"--token-file", home_ + "/token"}}),
            "http://u:1 mr_file");
  EXPECT_EQ(found({{"--data", home_ + "/data"}}), "http://127.0.0.1:1 mr_data");
}

// Whoever comes first of each two, for the server and for the token.
TEST_F(TargetTest, OptionThenEnvironmentThenProfileThenFolder) {
  write("flag", "mr_flag");
  write("token", "mr_profile");
  write("data/url", "http://folder");
  write("data/admin.token", "mr_folder");
  const std::string profiles = "profiles:\n  named: {url: \"http://named\", token_file: ~/token}\n";
  const std::string with_default =
      profiles + "  default: {url: \"http://profile\", token_file: ~/token}\n";
  using Options = std::map<std::string, std::string>;
  struct Case {
    Options options;
    bool env_url, env_token, profile;
    std::string right;
  };
  const Options url{{"--url", "http://flag"}};
  const Options file{{"--token-file", home_ + "/flag"}};
  const Options data{{"--data", home_ + "/data"}};
  const Options named{{"--profile", "named"}};
  const Case cases[] = {
      // one alone
      {{}, false, false, false, "http://folder mr_folder"},
      {{}, false, false, true, "http://profile mr_profile"},
      {{}, true, true, false, "http://env mr_env"},
      // options and the rest
      {url, true, true, false, "http://flag mr_env"},
      {url, false, false, true, "http://flag "},
      {url, false, false, false, "http://flag "},
      {file, true, true, true, "http://env mr_flag"},
      {file, false, true, true, "http://profile mr_flag"},
      {file, false, false, true, "http://profile mr_flag"},
      {file, false, false, false, "http://folder mr_flag"},
      {data, true, true, true, "http://folder mr_folder"},
      {named, true, true, true, "http://named mr_profile"},
      // the environment and the rest
      {{}, true, false, true, "http://env "},
      {{}, true, false, false, "http://env "},
      {{}, false, true, true, "http://profile mr_env"},
      {{}, false, true, false, "http://folder mr_env"},
  };
  for (const auto& each : cases) {
    env_["MILLRACE_URL"] = each.env_url ? "http://env" : "";
    env_["MILLRACE_TOKEN"] = each.env_token ? "mr_env" : "";
    write(".config/millrace/config.yaml", each.profile ? with_default : profiles);
    EXPECT_EQ(found(each.options), each.right)
        << (each.options.empty() ? "" : each.options.begin()->first) << ' ' << each.env_url
        << each.env_token << each.profile;
  }
}

TEST_F(TargetTest, ATokenThatIsNotNeededIsNotRead) {
  std::filesystem::remove(home_ + "/data/admin.token");
  write("flag", "mr_flag");
  EXPECT_EQ(found({{"--data", home_ + "/data"}, {"--token-file", home_ + "/flag"}}),
            "http://127.0.0.1:1 mr_flag");
  env_["MILLRACE_TOKEN"] = "mr_env";
  EXPECT_EQ(found(), "http://127.0.0.1:1 mr_env");
}

TEST_F(TargetTest, TwoOptionsThatNameAServerAreRefused) {
  auto target = find({{"--url", "http://u"}, {"--profile", "named"}});
  EXPECT_EQ(target.error().message(), "expected one server, found --url and --profile");
}

TEST_F(TargetTest, AnAddressHasNoQuery) {
  for (const char* url : {"http://u:1?x", "http://u:1/#x"}) {
    EXPECT_EQ(find({{"--url", url}}).error().code(), "CLI-0001") << url;
  }
}

TEST_F(TargetTest, WithoutAnyItSaysWhereItHasLooked) {
  env_["MILLRACE_DATA"] = home_ + "/nowhere";
  EXPECT_EQ(found(), "CLI-0002");
  EXPECT_NE(find().error().message().find("/nowhere/url"), std::string::npos);
  EXPECT_EQ(find({{"--url", "http://u:1"}, {"--token-file", home_ + "/none"}}).error().kind(),
            ErrorKind::NotFound);
}

TEST_F(TargetTest, AFolderIsNamedByOptionEnvironmentOrDefault) {
  Invocation in;
  auto env = [this](const char* name) { return env_[name]; };
  EXPECT_EQ(data_folder(in, env), home_ + "/data");
  env_["MILLRACE_DATA"] = "";
  EXPECT_EQ(data_folder(in, env), "./millrace-data");
  in.set("--data", {"/d"});
  EXPECT_EQ(data_folder(in, env), "/d");
}

}  // namespace
}  // namespace millrace::cli
