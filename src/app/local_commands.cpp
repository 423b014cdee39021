// SPDX-License-Identifier: Apache-2.0
#include "app/local_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "adapters/store_sqlite/store_sqlite.h"
#include "app/config.h"
#include "app/core_pack.h"
#include "app/pack_store.h"
#include "app/server.h"
#include "base/config.h"
#include "base/time.h"
#include "engine/machine/catalog.h"
#include "packs/folder.h"
#include "packs/load.h"
#include "rules/check.h"
#include "store/doctor.h"
#include "store/migrate.h"
#include "store/read.h"

namespace millrace::app {
namespace {

std::vector<std::string> environment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry; ++entry) entries.emplace_back(*entry);
  return entries;
}

Result<Config> read_config(const UpOptions& options) {
  TRY(auto config,
      load_config<Config>(
          {.file = options.config_file, .environment = environment(), .flags = options.settings}));
  config.packs.folders.insert(config.packs.folders.end(), options.packs.begin(),
                              options.packs.end());
  return config;
}

Result<std::unique_ptr<sql::Store>> open_existing(const std::string& data) {
  if (!std::filesystem::exists(data + "/millrace.db")) {
    return Error(ErrorKind::NotFound, "APP-0010",
                 fmt::format("no store in data folder '{}': give the folder of a server with "
                             "--data",
                             data));
  }
  return store_sqlite::open(data);
}

// What the store needs of the data folder's staged releases.
Result<void> examine_packs(sql::Connection& reader, const PackStore& packs,
                           std::vector<store::Finding>& findings) {
  TRY(auto current, store::current_releases(reader));
  for (const auto& release : current) {
    if (release.state != kernel::PackState::SourceGone) continue;
    findings.push_back(
        {"store", store::Severity::Warning, "pack " + release.pack,
         fmt::format("its source is gone, its release {} goes on: give the folder back "
                     "(packs.folders), or `millrace pack uninstall {}`",
                     release.digest.substr(0, 12), release.pack)});
  }
  TRY(auto pinned, packs.load_pinned(reader, {}));
  for (const auto& release : pinned.missing) {
    findings.push_back(
        {"store", store::Severity::Broken, "pack " + release.pack,
         fmt::format("release {}, which {} open executions are pinned to, cannot be read ({}): "
                     "put {} back",
                     release.digest.substr(0, 12), release.executions, release.why,
                     packs.folder_of(release.pack, release.digest))});
  }
  return {};
}

Result<std::vector<store::Finding>> examine(const UpOptions& options) {
  TRY(auto config, read_config(options));
  TRY(auto store, open_existing(options.data));
  TRY(auto reader, store_sqlite::open_file_reader(options.data + "/millrace.db"));
  TRY(auto findings,
      store::examine(*reader,
                     {.now_ms = unix_ms(),
                      .event_retention_ms = config.retention.events_days * kDayMs,
                      .execution_retention_ms = config.retention.executions_days * kDayMs}));
  TRY(int64_t schema, store::schema_version(*reader));
  if (schema == store::newest_schema_version()) {
    TRY(examine_packs(*reader, PackStore(options.data, {}), findings));
  }
  return findings;
}

}  // namespace

Result<int> up(const UpOptions& options) {
  TRY(auto config, read_config(options));
  TRY(open_log({.level = config.log.level, .format = config.log.format, .file = config.log.file}));
  // Runs have working folders of their own: what they are told of the data folder must hold there.
  auto data = std::filesystem::absolute(options.data).lexically_normal().string();
  TRY(run_server(config, data, [&] { return read_config(options); }));
  return 0;
}

Result<int> config_check(const UpOptions& options) {
  TRY(auto config, read_config(options));
  fmt::print("{}", print_config(config, ConfigDocs::With));
  return 0;
}

Result<int> doctor(const UpOptions& options) {
  TRY(auto findings, examine(options));
  bool broken = false;
  for (const auto& finding : findings) {
    broken |= finding.severity == store::Severity::Broken;
    fmt::print("{} {}{}{}: {}\n", finding.promise, store::to_string(finding.severity),
               finding.entity.empty() ? "" : " ", finding.entity, finding.message);
  }
  fmt::print("doctor: {} findings\n", findings.size());
  return broken ? 1 : 0;
}

Result<int> backup(const std::string& data, const std::string& target) {
  TRY(auto store, open_existing(data));
  TRY(store->backup(target));
  fmt::print("backup: {} ({} bytes)\n", target, std::filesystem::file_size(target));
  return 0;
}

Result<int> pack_check(const std::string& folder) {
  TRY(auto files, packs::read_pack_folder(folder));
  expr::Engine engine;
  auto core = packs::check(core_pack(), engine);
  auto own = packs::check(files, engine);
  rules::Catalog names;
  names.add(core.pack);
  names.add(own.pack);
  auto report = packs::check(files, engine, [&](const RuleSpec& rule, const Pack&) {
    return rules::check_rule(rule, names, engine);
  });
  for (const auto& action : report.pack.actions) {
    if (!action.workflow) continue;  // what is wrong with its file is told already
    std::ranges::move(engine::workflow_problems(action, engine), std::back_inserter(report.errors));
  }
  for (const auto& error : report.errors) {
    fmt::print("{}/{}: {}\n", folder, error.path, error.message);
  }
  for (const auto& warning : report.warnings) {
    fmt::print("{}/{}: warning: {}\n", folder, warning.path, warning.message);
  }
  fmt::print("pack '{}' {}: {} errors, {} warnings\n", report.pack.ref, report.pack.version,
             report.errors.size(), report.warnings.size());
  return report.errors.empty() ? 0 : 1;
}

}  // namespace millrace::app
