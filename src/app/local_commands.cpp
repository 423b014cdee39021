// SPDX-License-Identifier: Apache-2.0
#include "app/local_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "app/config.h"
#include "app/examination.h"
#include "app/open_store.h"
#include "app/pack_store.h"
#include "app/server.h"
#include "base/config.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "model/labels.h"

namespace millrace::app {
namespace {

std::vector<std::string> environment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry; ++entry) entries.emplace_back(*entry);
  return entries;
}

}  // namespace

Result<Config> read_config(const UpOptions& options) {
  TRY(auto config,
      load_config<Config>(
          {.file = options.config_file, .environment = environment(), .flags = options.settings}));
  config.packs.folders.insert(config.packs.folders.end(), options.packs.begin(),
                              options.packs.end());
  TRY(trusted_proxies(config.server));
  TRY(check_store_section(config.store));
  for (const auto& label : config.worker.labels) {
    auto checked = check_label(label);
    if (!checked.ok()) return std::move(checked).error().with_context("worker.labels");
  }
  return config;
}

namespace {

constexpr int64_t kGrpcPort = 9090;

Result<int> run_roles(const UpOptions& options, Roles roles) {
  TRY(auto config, read_config(options));
  TRY(open_log({.level = config.log.level, .format = config.log.format, .file = config.log.file}));
  // Runs have working folders of their own: what they are told of the data folder must hold there.
  auto data = std::filesystem::absolute(options.data).lexically_normal().string();
  TRY(run_server(config, roles, data, [&] { return read_config(options); }));
  return 0;
}

}  // namespace

Result<int> up(const UpOptions& options) { return run_roles(options, Roles::all()); }

// What is not done here has to be done elsewhere, and others have to reach this one.
Result<int> serve(UpOptions options, const std::string& roles_text) {
  TRY(auto roles, roles_text.empty() ? Roles::all() : Roles::parse(roles_text));
  if (roles.has(Role::Worker) && !roles.has(Role::Executor)) {
    return Error(ErrorKind::Invalid, "APP-0038",
                 "a worker without an executor is an agent: millrace agent --server URL");
  }
  TRY(auto config, read_config(options));
  bool is_whole = roles.has(Role::Api) && roles.has(Role::Executor);
  if (!is_whole && config.store.url.empty() && config.store.url_file.empty()) {
    return Error(ErrorKind::Invalid, "APP-0037",
                 fmt::format("roles '{}': what is missing has to run elsewhere, on the same "
                             "PostgreSQL; give store.url or store.url_file",
                             roles.text()));
  }
  if (config.grpc.port < 0) {
    options.settings.push_back(fmt::format("grpc.port={}", kGrpcPort));
  }
  return run_roles(options, roles);
}

Result<int> config_check(const UpOptions& options) {
  TRY(auto config, read_config(options));
  cli::put("{}", print_config(config, ConfigDocs::With));
  return 0;
}

Result<int> doctor(const UpOptions& options) {
  TRY(auto config, read_config(options));
  TRY(check_store_is_there(config.store, options.data));
  TRY(auto reader, open_store_reader(config.store, options.data));
  TRY(auto findings, examine(*reader, PackStore(options.data, {}), config.retention, unix_ms()));
  examine_in_hand(DataPaths(options.data).in_hand, findings);
  return print_findings(findings) ? 1 : 0;
}

}  // namespace millrace::app
