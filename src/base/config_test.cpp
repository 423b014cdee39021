// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

struct ApiConfig {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;
  bool docs = true;
  std::vector<std::string> origins;
  Secret token;
  std::optional<int64_t> limit;

  static const Fields& fields() {
    static const Field lines[] = {
        field("address", &ApiConfig::address, "Where to listen."),
        field("port", &ApiConfig::port, "Port to listen on."),
        field("docs", &ApiConfig::docs, ""),
        field("origins", &ApiConfig::origins, ""),
        field("token", &ApiConfig::token, "The admin's token."),
        field("limit", &ApiConfig::limit, "Largest body.").unit("bytes"),
    };
    static const auto table = fields_of<ApiConfig>("ApiConfig", "", lines);
    return table;
  }
};

struct StoreConfig {
  std::string version = "1";
  int64_t timeout_ms = 5000;

  static const Fields& fields() {
    static const Field lines[] = {
        field("version", &StoreConfig::version, ""),
        field("timeout_ms", &StoreConfig::timeout_ms, "").range(1, 60'000).unit("ms"),
    };
    static const auto table = fields_of<StoreConfig>("StoreConfig", "", lines);
    return table;
  }
};

struct Config {
  ApiConfig api;
  StoreConfig store;

  static const Fields& fields() {
    static const Field lines[] = {
        field("api", &Config::api, "The REST API."),
        field("store", &Config::store, ""),
    };
    static const auto table = fields_of<Config>("Config", "", lines);
    return table;
  }
};

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, std::string_view text) {
    std::string path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  std::vector<std::string> problems_of(const ConfigSources& sources) {
    auto config = load_config<Config>(sources);
    std::vector<std::string> lines;
    if (config.ok()) return lines;
    for (const auto& p : config.error().problems()) {
      std::string path = p.path;
      if (path.starts_with(folder_.string())) path.erase(0, folder_.string().size() + 1);
      lines.push_back(path + ": " + p.message);
    }
    return lines;
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigTest, LaterLayersWin) {
  std::string file = write("m.yaml",
                           "api:\n  address: 0.0.0.0\n  port: 1\n  docs: no\n  origins: [a, b]\n"
                           "store:\n  version: 1.10\n  timeout_ms: 1_000\n");
  auto config = load_config<Config>(
      {.file = file,
       .environment = {"HOME=/x", "MILLRACE__API__PORT=2", "MILLRACE__STORE__TIMEOUT_MS=7"},
       .flags = {"api.port=3", "api.origins=c,d,e"}});
  ASSERT_TRUE(config.ok()) << config.error().describe();
  EXPECT_EQ(config->api.address, "0.0.0.0");
  EXPECT_EQ(config->api.port, 3);
  EXPECT_FALSE(config->api.docs);
  EXPECT_EQ(config->api.origins.size(), 3U);
  EXPECT_EQ(config->store.version, "1.10");
  EXPECT_EQ(config->store.timeout_ms, 7);
}

TEST_F(ConfigTest, NothingGivenMeansDefaults) {
  auto config = load_config<Config>({.file = write("m.yaml", "# api:\n"), .environment = {}});
  ASSERT_TRUE(config.ok()) << config.error().describe();
  EXPECT_EQ(config->api.port, 8080);
  EXPECT_TRUE(load_config<Config>({.file = write("n.yaml", "api:\n#  port: 1\n")}).ok());
}

TEST_F(ConfigTest, ProblemsNameTheirOriginAndTheNearestKey) {
  std::string file =
      write("m.yaml", "api:\n  prot: 1\n  port: many\nstore:\n  timeout_ms: 0\nstroe: {}\n");
  EXPECT_EQ(problems_of({.file = file,
                         .environment = {"MILLRACE__API__ADDRES=x", "MILLRACE__STORE__VERSION=1"},
                         .flags = {"api.docs=maybe", "oops"}}),
            (std::vector<std::string>{
                "flag oops: expected section.key=value",
                "m.yaml:6: 'stroe': unknown field (did you mean 'store'?)",
                "m.yaml:2: 'api.prot': unknown field (did you mean 'port'?)",
                "environment MILLRACE__API__ADDRES: 'api.addres': unknown field (did you mean "
                "'address'?)",
                "m.yaml:3: 'api.port': expected integer, found 'many'",
                "flag api.docs: 'api.docs': expected 'true' or 'false', found 'maybe'",
                "m.yaml:5: 'store.timeout_ms': expected at least 1, found 0",
            }));
  EXPECT_EQ(problems_of({.file = write("n.yaml", "api: 7\n")}),
            (std::vector<std::string>{"n.yaml:1: 'api': expected object, found string"}));
}

TEST_F(ConfigTest, ASecretMayComeFromAFile) {
  std::string secret = write("token", "s3cret\n");
  auto config = load_config<Config>({.environment = {"MILLRACE__API__TOKEN_FILE=" + secret}});
  ASSERT_TRUE(config.ok()) << config.error().describe();
  EXPECT_EQ(config->api.token.reveal(), "s3cret");
  EXPECT_EQ(problems_of(
                {.environment = {"MILLRACE__API__TOKEN_FILE=" + secret}, .flags = {"api.token=x"}}),
            (std::vector<std::string>{"environment MILLRACE__API__TOKEN_FILE: 'token' and "
                                      "'token_file' are both set: keep one"}));
  EXPECT_EQ(problems_of({.flags = {"api.token_file=/no/such"}}),
            (std::vector<std::string>{"flag api.token_file: 'token_file': cannot read '/no/such': "
                                      "No such file or directory"}));
}

TEST_F(ConfigTest, AMissingOrBrokenFileIsAnError) {
  auto missing = load_config<Config>({.file = "/no/such.yaml"});
  EXPECT_EQ(missing.error().message(), "cannot read '/no/such.yaml': No such file or directory");
  EXPECT_FALSE(load_config<Config>({.file = write("m.yaml", "api: [")}).ok());
  EXPECT_FALSE(load_config<Config>({.file = write("m.yaml", "- a\n")}).ok());
}

TEST_F(ConfigTest, PrintedConfigIsRedactedAndReadsBack) {
  Config config;
  config.api.port = 99;
  config.api.address = "a: b";
  std::string text = print_config(config);
  auto again = load_config<Config>({.file = write("m.yaml", text)});
  ASSERT_TRUE(again.ok()) << again.error().describe() << text;
  EXPECT_EQ(print_config(*again), text);
  config.api.token = Secret("s3cret");
  EXPECT_NE(print_config(config).find("  token: \"***\"\n"), std::string::npos);
}

TEST_F(ConfigTest, DocsTellUnitAndDefault) {
  Config config;
  config.api.port = 99;
  std::string text = print_config(config, ConfigDocs::With);
  EXPECT_NE(text.find("# The REST API.\napi:\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  # Port to listen on. Default: 8080.\n  port: 99\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("  # Largest body. In bytes.\n  limit:\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace millrace
