// SPDX-License-Identifier: Apache-2.0
#include "app/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <set>
#include <thread>

#include "adapters/store_sqlite/store_sqlite.h"
#include "app/backup_set.h"
#include "app/examination.h"
#include "app/open_store.h"
#include "app/server.h"
#include "app/version.h"
#include "auth/crypto.h"
#include "auth/passphrase.h"
#include "base/config.h"
#include "base/files.h"
#include "base/stderr.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "store/backup.h"
#include "store/migrate.h"
#include "store/read.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr auto kSweepLimit = std::chrono::seconds(60);
constexpr size_t kMaxSecretFile = 64 << 10;

// While this is held the server's sweep removes no output files.
Result<std::optional<FolderLock>> hold_sweep(const std::string& folder) {
  if (!fs::exists(folder)) return std::optional<FolderLock>();
  auto end = std::chrono::steady_clock::now() + kSweepLimit;
  for (;;) {
    auto lock = lock_folder(folder);
    if (lock.ok()) return std::optional<FolderLock>(std::move(*lock));
    if (lock.error().kind() != ErrorKind::Conflict || std::chrono::steady_clock::now() > end) {
      return std::move(lock).error();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// A set on its way, under another name than the one that it will have.
class SetWriter {
 public:
  SetWriter(const BackupOptions& options, std::string part)
      : options_(options), data_(options.server.data), part_(std::move(part)) {}

  Result<Manifest> write() {
    TRY(auto config, read_config(options_.server));
    TRY(auto store, store_sqlite::open(data_));
    TRY(store->backup(part_ + "/" + kStoreFile));
    TRY(auto reader, store_sqlite::open_file_reader(part_ + "/" + kStoreFile));
    TRY(add(kStoreFile));
    manifest_.version = kVersion;
    manifest_.created = {unix_ms()};
    TRY(manifest_.schema, store::schema_version(*reader));
    TRY(manifest_.feed_seq, store::last_change(*reader));
    TRY(write_text(kConfigFile, print_config(config)));
    TRY(add_packs(*reader));
    TRY(add_output(*reader));
    if (!options_.passphrase_file.empty()) TRY(add_keys());
    TRY(write_file(kManifestFile, encode_json(manifest_)));
    return std::move(manifest_);
  }

 private:
  Result<void> write_file(const std::string& path, std::string_view text) {
    return replace_file(part_ + "/" + path, text, 0600);
  }
  Result<void> add(const std::string& path) {
    if (::chmod((part_ + "/" + path).c_str(), 0600) != 0) {
      return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: chmod failed", path));
    }
    TRY(auto file, describe_file(part_, path));
    manifest_.files.push_back(std::move(file));
    return {};
  }
  Result<void> write_text(const std::string& path, std::string_view text) {
    TRY(write_file(path, text));
    return add(path);
  }
  Result<void> copy(const std::string& path) {
    TRY(auto file, copy_file(data_ + "/" + path, part_, path, 0600));
    manifest_.files.push_back(std::move(file));
    return {};
  }

  Result<void> add_packs(sql::Connection& reader) {
    TRY(auto releases, store::named_releases(reader));
    for (const auto& release : releases) {
      std::string folder = fmt::format("packs/{}/{}", release.pack, release.digest);
      std::error_code ec;
      if (manifest_.holds(folder + "/pack.yaml")) continue;  // of another tenant, too
      fs::recursive_directory_iterator it(data_ + "/" + folder, ec);
      if (ec) {
        put_stderr("backup: {} is not there: {}\n", folder, ec.message());
        continue;
      }
      for (const auto& entry : it) {
        if (!entry.is_regular_file()) continue;
        TRY(copy(entry.path().lexically_relative(data_).string()));
      }
    }
    return {};
  }

  Result<void> add_output(sql::Connection& reader) {
    TRY(auto blobs, store::output_blobs(reader));
    for (const auto& ref : blobs) TRY(copy(ref));  // where the folder of blobs keeps it
    return {};
  }

  Result<void> add_keys() {
    TRY(auto passphrase, read_passphrase(options_.passphrase_file));
    TRY(std::string ring, read_file(DataPaths(data_).keys, kMaxSecretFile));
    Secret clear(std::move(ring));
    TRY(std::string sealed,
        auth::seal_with_passphrase(passphrase, clear.reveal(), auth::system_random()));
    return write_text(kKeysFile, sealed);
  }

  const BackupOptions& options_;
  const std::string data_;
  const std::string part_;
  Manifest manifest_;
};

Result<void> sync_all(const std::string& folder) {
  TRY(auto opened, open_folder(folder));
  if (::syncfs(opened.get()) == 0) return {};
  return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: cannot be synced", folder));
}

Result<Manifest> write_set(const BackupOptions& options, const std::string& part) {
  TRY(auto held, hold_sweep(DataPaths(options.server.data).sweep));
  if (::mkdir(part.c_str(), 0700) != 0) {
    return Error(ErrorKind::Unavailable, "APP-0001",
                 fmt::format("{}: {}", part, std::generic_category().message(errno)));
  }
  return SetWriter(options, part).write();
}

}  // namespace

Result<int> backup(const BackupOptions& options) {
  TRY(auto config, read_config(options.server));
  if (!is_in_folder(config.store)) {
    return Error(ErrorKind::Unsupported, "APP-0034",
                 fmt::format("the rows are in PostgreSQL, a backup copies those of a data folder: "
                             "stop the server, copy schema '{}' by pg_dump and the data folder "
                             "beside it",
                             config.store.schema));
  }
  TRY(check_store_is_there(config.store, options.server.data));
  std::string target = fs::absolute(options.target).lexically_normal().string();
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  if (fs::exists(fs::symlink_status(target))) {
    return Error(ErrorKind::Conflict, "APP-0023",
                 fmt::format("'{}' exists: a backup is a new folder", target));
  }
  std::string part = target + ".part";
  std::error_code ec;
  fs::remove_all(part, ec);  // of a backup that did not end
  auto manifest = write_set(options, part);
  if (!manifest.ok()) {
    fs::remove_all(part, ec);
    return std::move(manifest).error();
  }
  TRY(sync_all(part));
  fs::rename(part, target, ec);
  if (ec) {
    return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: {}", target, ec.message()));
  }
  TRY(sync_folder(fs::path(target).parent_path().string()));
  int64_t bytes = 0;
  for (const auto& file : manifest->files) bytes += file.size;
  cli::put("backup: {} ({} files, {} bytes)\n", target, manifest->files.size(), bytes);
  if (options.passphrase_file.empty()) {
    cli::put("backup: without keys.json: keep a copy of it elsewhere, or use --with-keys\n");
  }
  return 0;
}

Result<int> backup_verify(const std::string& set) {
  TRY(auto manifest, read_manifest(set));
  TRY(auto problems, check_files(set, manifest));
  for (const auto& problem : problems) cli::put("{}: {}\n", problem.path, problem.message);
  if (!problems.empty()) {
    cli::put("backup {}: {} files are not as they were written\n", set, problems.size());
    return 1;
  }
  bool is_bad = false;
  TRY(auto config, load_config<Config>({.file = set + "/" + kConfigFile}));
  std::string store = set + "/" + kStoreFile;
  TRY(auto reader, store_sqlite::open_file_reader(store));
  TRY(auto blobs, store::output_blobs(*reader));
  std::set<std::string> held;
  for (const auto& file : manifest.files) held.insert(file.path);
  for (const auto& ref : blobs) {
    if (held.contains(ref)) continue;
    cli::put("{}: a row names it, and it is not in the set\n", ref);
    is_bad = true;
  }
  TRY(auto findings, examine(*reader, PackStore(set, {}), config.retention, manifest.created.ms));
  is_bad |= print_findings(findings);
  cli::put("backup {}: {} files of {}, schema {}, feed {}: {}\n", set, manifest.files.size(),
           to_rfc3339(manifest.created.ms), manifest.schema, manifest.feed_seq,
           is_bad ? "something is wrong" : "whole");
  return is_bad ? 1 : 0;
}

Result<Secret> read_passphrase(const std::string& file) {
  std::string text;
  if (file == "-") {
    if (::isatty(STDIN_FILENO) != 0) {
      Secret typed(::getpass("Passphrase: "));
      text = typed.reveal();
    } else {
      std::getline(std::cin, text);
    }
  } else {
    TRY(text, read_file(file, kMaxSecretFile));
  }
  Secret whole(std::move(text));
  Secret line(std::string(trim(whole.reveal().substr(0, whole.reveal().find('\n')))));
  if (!line.empty()) return line;
  return Error(ErrorKind::Invalid, "APP-0024",
               fmt::format("'{}' holds no passphrase: expected it in the first line", file));
}

}  // namespace millrace::app
