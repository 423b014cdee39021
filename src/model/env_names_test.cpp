// SPDX-License-Identifier: Apache-2.0
#include "model/env_names.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

namespace millrace {
namespace {

std::string example_of(std::string_view pattern) {
  std::string name(pattern);
  if (name.ends_with('*')) name.replace(name.size() - 1, 1, "ANY_1");
  return name;
}

std::string in_other_case(std::string name) {
  for (char& c : name) {
    auto byte = static_cast<unsigned char>(c);
    c = static_cast<char>(std::isupper(byte) ? std::tolower(byte) : std::toupper(byte));
  }
  return name;
}

TEST(EnvNames, EveryNameOfTheTableIsRefusedWithWhyAndWhatToDo) {
  for (const auto& line : steering_env_names()) {
    std::string why = why_env_is_refused(example_of(line.name), {});
    EXPECT_NE(why.find(line.why), why.npos) << line.name << ": " << why;
    EXPECT_NE(why.find("worker.env_allowed"), why.npos) << line.name;
  }
}

TEST(EnvNames, TheConfigurationLetsNamesThrough) {
  for (const auto& line : steering_env_names()) {
    std::string name = example_of(line.name);
    EXPECT_EQ(why_env_is_refused(name, {name}), "") << name;
    EXPECT_EQ(why_env_is_refused(name, {"OTHER", std::string(line.name)}), "") << name;
    EXPECT_NE(why_env_is_refused(name, {name + "_"}), "") << name;
    EXPECT_EQ(why_env_is_refused(name, {"*"}), "") << name;
  }
}

// Who reads them tells `path` from `PATH`: another case is another variable.
TEST(EnvNames, OtherCasesAreOtherVariables) {
  for (const auto& line : steering_env_names()) {
    std::string name = in_other_case(example_of(line.name));
    // npm reads its settings in either case.
    bool is_listed = name.starts_with("npm_config_") || name.starts_with("NPM_CONFIG_");
    EXPECT_EQ(why_env_is_refused(name, {}).empty(), !is_listed) << name;
  }
}

TEST(EnvNames, OrdinaryNamesAreFree) {
  for (std::string_view name :
       {"LANG",     "LC_ALL",          "TZ",          "TMPDIR",     "USER",
        "NODE_ENV", "GIT_AUTHOR_NAME", "GIT_BRANCH",  "GIT_COMMIT", "MY_PATH",
        "PATHS",    "ENVIRONMENT",     "APP_HOME",    "LDAP_URL",   "PYTHO",
        "DEBUG",    "http_proxy",      "HTTPS_PROXY", "AWS_REGION", "",
        "lang"}) {
    EXPECT_EQ(why_env_is_refused(name, {}), "") << name;
  }
}

}  // namespace
}  // namespace millrace
