// SPDX-License-Identifier: Apache-2.0
#include "app/restore.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "adapters/store_sqlite/store_sqlite.h"
#include "app/backup.h"
#include "app/backup_set.h"
#include "app/examination.h"
#include "app/recover.h"
#include "app/sealed_rows.h"
#include "app/server.h"
#include "auth/key_ring.h"
#include "auth/passphrase.h"
#include "base/config.h"
#include "base/files.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "store/backup.h"
#include "store/migrate.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxKeys = 1 << 20;

Result<void> check_target(const std::string& data) {
  std::error_code ec;
  if (!fs::exists(fs::symlink_status(data)) || (fs::is_directory(data) && fs::is_empty(data, ec))) {
    return {};
  }
  return Error(ErrorKind::Conflict, "APP-0025",
               fmt::format("'{}' is not empty: a backup is restored into a new data folder", data));
}

Result<Manifest> check_set(const std::string& set) {
  TRY(auto manifest, read_manifest(set));
  if (manifest.schema > store::newest_schema_version()) {
    return Error(
        ErrorKind::Unsupported, "APP-0022",
        fmt::format("backup '{}' has schema {} of Millrace {}, this binary knows {}: "
                    "restore it with that version",
                    set, manifest.schema, manifest.version, store::newest_schema_version()));
  }
  TRY(auto problems, check_files(set, manifest));
  if (problems.empty()) return manifest;
  return Error(ErrorKind::Invalid, "APP-0026",
               fmt::format("backup '{}' is not as it was written: {} files", set, problems.size()))
      .with_problems(std::move(problems));
}

// The key ring of the set; none: it is not in it, or stays sealed.
Result<std::optional<auth::KeyRing>> open_ring(const RestoreOptions& options,
                                               const Manifest& manifest) {
  if (options.passphrase_file.empty()) return std::optional<auth::KeyRing>();
  if (!manifest.holds(kKeysFile)) {
    return Error(
        ErrorKind::NotFound, "APP-0028",
        fmt::format("backup '{}' holds no keys: it was made without --with-keys", options.set));
  }
  TRY(auto passphrase, read_passphrase(options.passphrase_file));
  TRY(auto sealed, read_file(options.set + "/" + kKeysFile, kMaxKeys));
  TRY(auto clear, auth::open_with_passphrase(passphrase, sealed));
  TRY(auto ring, auth::KeyRing::parse(clear.reveal()));
  return std::optional<auth::KeyRing>(std::move(ring));
}

// Says what going on from here means. True: somebody should think about it first.
Result<bool> tell(const RestoreOptions& options, const Manifest& manifest,
                  const std::optional<auth::KeyRing>& ring) {
  TRY(auto reader, store_sqlite::open_file_reader(options.set + "/" + kStoreFile));
  TRY(auto open, store::unfinished(*reader));
  TRY(auto sealed, look_at_sealed_rows(*reader, ring ? &*ring : nullptr));
  TRY(auto pinned, PackStore(options.set, {}).load_pinned(*reader, {}));
  cli::put("backup of {} by Millrace {}: what came after is not in it\n",
           to_rfc3339(manifest.created.ms), manifest.version);
  if (open.deliveries > 0) {
    cli::put("{} deliveries were owed and may be sent a second time\n", open.deliveries);
  }
  if (open.runs > 0) {
    cli::put(
        "{} runs were under way: {} will run again, {} wait for `millrace execution "
        "resolve`\n",
        open.runs, open.runs - open.runs_to_decide, open.runs_to_decide);
  }
  for (const auto& release : pinned.missing) {
    cli::put(
        "release {} of pack {} is not in the set: {} executions wait until it is put into "
        "{}\n",
        release.digest.substr(0, 12), release.pack, release.executions,
        PackStore(options.data, {}).folder_of(release.pack, release.digest));
  }
  for (const auto& name : sealed.closed) {
    cli::put("cannot be opened without its keys.json: {}\n", name);
  }
  if (sealed.all > 0 && sealed.closed.size() == sealed.all) {
    cli::put("without that file a server starts only with store.keys_are_lost=true\n");
  }
  return open.deliveries > 0 || open.runs > 0 || !sealed.closed.empty() || !pinned.missing.empty();
}

Result<void> ask(const RestoreOptions& options) {
  if (options.yes) return {};
  bool is_person = ::isatty(STDIN_FILENO) != 0;
  if (is_person) {
    cli::put("Go on? [y/N] ");
    std::string line;
    std::getline(std::cin, line);
    if (line == "y" || line == "yes") return {};
  }
  return Error(ErrorKind::Conflict, "APP-0027",
               is_person ? "nothing was restored"
                         : "nothing was restored: read what it says, then give --yes");
}

// Scripts are started through their interpreter or directly: all may be executed.
unsigned mode_of(const std::string& path) { return path.starts_with("packs/") ? 0555 : 0600; }

Result<void> copy_set(const std::string& set, const Manifest& manifest, const std::string& into) {
  for (const auto& file : manifest.files) {
    if (file.path == kKeysFile) continue;
    TRY(auto copied, copy_file(set + "/" + file.path, into, file.path, mode_of(file.path)));
    if (copied.sha256 == file.sha256) continue;
    return Error(ErrorKind::Invalid, "APP-0026",
                 fmt::format("backup '{}' changes while it is read: {}", set, file.path));
  }
  return {};
}

// The store becomes this binary's and nobody else's; its first token is a new one.
Result<void> take_over(const std::string& data) {
  TRY(auto store, store_sqlite::open(data));
  TRY(auto writer, store->open_writer());
  TRY(store::migrate(*writer));
  TRY(store::fence(*writer));
  TRY(make_admin_token(*writer, data));
  TRY(store->checkpoint());
  return {};
}

Result<void> make_data_folder(const RestoreOptions& options, const Manifest& manifest,
                              const std::optional<auth::KeyRing>& ring, const std::string& part) {
  if (::mkdir(part.c_str(), 0700) != 0) {
    return Error(ErrorKind::Unavailable, "APP-0001",
                 fmt::format("{}: {}", part, std::generic_category().message(errno)));
  }
  TRY(copy_set(options.set, manifest, part));
  if (ring) TRY(auth::write_key_file(DataPaths(part).keys, *ring));
  TRY(take_over(part));
  TRY(auto opened, open_folder(part));
  if (::syncfs(opened.get()) != 0) {
    return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: cannot be synced", part));
  }
  std::error_code ec;
  fs::rename(part, options.data, ec);  // over an empty folder, too
  if (ec) {
    return Error(ErrorKind::Unavailable, "APP-0001",
                 fmt::format("{}: {}", options.data, ec.message()));
  }
  return sync_folder(fs::path(options.data).parent_path().string());
}

}  // namespace

Result<int> restore(const RestoreOptions& given) {
  RestoreOptions options = given;
  options.data = fs::absolute(options.data).lexically_normal().string();
  while (options.data.size() > 1 && options.data.ends_with('/')) options.data.pop_back();
  TRY(check_target(options.data));
  TRY(auto manifest, check_set(options.set));
  TRY(auto ring, open_ring(options, manifest));
  TRY(bool should_ask, tell(options, manifest, ring));
  if (should_ask) TRY(ask(options));
  std::string part = options.data + ".part";
  std::error_code ec;
  fs::remove_all(part, ec);  // of a restore that did not end
  if (auto made = make_data_folder(options, manifest, ring, part); !made.ok()) {
    fs::remove_all(part, ec);
    return std::move(made).error();
  }
  TRY(auto config, load_config<Config>({.file = options.data + "/" + kConfigFile}));
  TRY(auto reader, store_sqlite::open_file_reader(options.data + "/" + kStoreFile));
  TRY(auto findings,
      examine(*reader, PackStore(options.data, {}), config.retention, manifest.created.ms));
  bool broken = print_findings(findings);
  cli::put("restored: {}; a new admin token is in {}; its configuration was {}/{}\n", options.data,
           DataPaths(options.data).admin_token, options.data, kConfigFile);
  return broken ? 1 : 0;
}

}  // namespace millrace::app
