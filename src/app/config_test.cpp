// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/local_commands.h"
#include "app/open_files.h"
#include "base/config.h"

namespace millrace::app {
namespace {

TEST(ServerConfig, ItsDefaultsRunOnALaptop) {
  auto config = load_config<Config>({});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->server.address, "127.0.0.1");
  EXPECT_EQ(config->server.port, 8680);
  EXPECT_EQ(config->server.drain_timeout_ms, 30'000);
  EXPECT_TRUE(config->packs.folders.empty());
  EXPECT_EQ(config->log.level, LogLevel::Info);
}

TEST(ServerConfig, WhatIsPrintedIsReadAgain) {
  auto config = load_config<Config>(
      {.flags = {"server.port=1", "retention.events_days=3", "log.format=text", "worker.name=w"}});
  ASSERT_TRUE(config.ok()) << config.error().describe();
  for (auto docs : {ConfigDocs::With, ConfigDocs::Without}) {
    char name[] = "/tmp/millrace-config-XXXXXX";
    int fd = mkstemp(name);
    ASSERT_GE(fd, 0);
    close(fd);
    std::ofstream(name) << print_config(*config, docs);
    auto again = load_config<Config>({.file = name});
    std::filesystem::remove(name);
    ASSERT_TRUE(again.ok()) << again.error().describe();
    EXPECT_EQ(print_config(*again), print_config(*config));
    EXPECT_EQ(again->retention.events_days, 3);
  }
}

TEST(ServerConfig, EveryKeyRefusesWhatIsOutOfItsRange) {
  for (const char* flag :
       {"server.port=65536", "server.drain_timeout_ms=-1", "server.max_connections=0",
        "server.webhook_body_bytes=1", "server.max_connections_per_address=-1",
        "server.max_requests_per_address=65001", "server.webhook_budget_bytes=-1",
        "worker.slots=4097", "worker.name=", "intake.max_waiting=0", "retention.dedupe_days=0",
        "log.level=loud", "server.prot=1", "server=1"}) {
    auto config = load_config<Config>({.flags = {flag}});
    EXPECT_FALSE(config.ok()) << flag;
    if (!config.ok()) EXPECT_EQ(config.error().kind(), ErrorKind::Invalid) << flag;
  }
}

TEST(ServerConfig, TrustedProxiesAreAddressesAndNetworks) {
  Config config;
  config.server.trusted_proxies = {"127.0.0.1", "10.0.0.0/8", "2001:db8::/32"};
  auto good = trusted_proxies(config.server);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->size(), 3u);
  config.server.trusted_proxies.emplace_back("proxy.example");
  auto bad = trusted_proxies(config.server);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message(),
            "server.trusted_proxies: expected an IP address or a network such as 10.0.0.0/8, "
            "found 'proxy.example'");
}

TEST(ServerConfig, EveryKeyHasItsDoc) {
  auto text = print_config(Config{}, ConfigDocs::With);
  for (const char* doc : {"Runs at the same time", "How long a stop waits", "change feed"}) {
    EXPECT_NE(text.find(doc), std::string::npos) << doc;
  }
}

TEST(ReadConfig, OptionsComeOverTheEnvironmentAndPacksAreAdded) {
  setenv("MILLRACE__SERVER__PORT", "11", 1);
  setenv("MILLRACE__WORKER__NAME", "env", 1);
  auto config = read_config({.settings = {"server.port=12", "packs.folders=/a"}, .packs = {"/b"}});
  unsetenv("MILLRACE__SERVER__PORT");
  unsetenv("MILLRACE__WORKER__NAME");
  ASSERT_TRUE(config.ok()) << config.error().describe();
  EXPECT_EQ(config->server.port, 12);
  EXPECT_EQ(config->worker.name, "env");
  EXPECT_EQ(config->packs.folders, (std::vector<std::string>{"/a", "/b"}));
}

TEST(OpenFilesOfTheServer, ConnectionsFitIntoWhatTheSystemAllows) {
  EXPECT_EQ(connections_within(1'000'000, 4096), 4096);
  EXPECT_EQ(connections_within(1024, 4096), 1024 - kOwnFiles);
  EXPECT_EQ(connections_within(1024, 100), 100);
  EXPECT_EQ(connections_within(100, 4096), 1) << "it starts, and says so";
}

TEST(OpenFilesOfTheServer, TheSoftLimitIsRaisedToTheHardOne) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low{256, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  auto files = raise_open_files();
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(files.before, 256);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
  EXPECT_EQ(static_cast<rlim_t>(files.now), before.rlim_max);
}

}  // namespace
}  // namespace millrace::app
