// SPDX-License-Identifier: Apache-2.0
// A backup on disk, a folder that nothing changes once it has its name:
//   MANIFEST.json   what it is, and size and SHA-256 of every other file
//   millrace.db     the store
//   config.yaml     the configuration that was in force, secrets redacted
//   packs/          the staged releases that rows name
//   output/         the output files that rows name
//   keys.sealed     the key ring, sealed with a passphrase; only when asked for
// All files 0600, all folders 0700.
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "base/time.h"

namespace millrace::app {

struct SetFile {
  std::string path;  // below the set
  int64_t size = 0;
  std::string sha256;  // hex
  static const Fields& fields();
};

struct Manifest {
  int64_t format = 1;
  std::string version;  // of the Millrace that wrote it
  int64_t schema = 0;
  int64_t feed_seq = 0;  // the last entry of the change feed that is in it
  Timestamp created;
  std::vector<SetFile> files;
  static const Fields& fields();

  bool holds(const std::string& path) const;
};

inline constexpr int64_t kSetFormat = 1;
inline constexpr char kManifestFile[] = "MANIFEST.json";
inline constexpr char kStoreFile[] = "millrace.db";
inline constexpr char kConfigFile[] = "config.yaml";
inline constexpr char kKeysFile[] = "keys.sealed";

// Makes the folders above `path`, each 0700.
Result<void> make_folders_above(const std::string& path);
// Copies a file to a new one of `mode`, folders included. Not synced.
Result<SetFile> copy_file(const std::string& from, const std::string& root, const std::string& path,
                          unsigned mode);
// Size and sum of a file of the set.
Result<SetFile> describe_file(const std::string& root, const std::string& path);

// Errors: NotFound, APP-0020 (no manifest: it is no set, or the backup did not end); Invalid,
// APP-0021 (the manifest cannot be read); Unsupported, APP-0022 (of a later version).
Result<Manifest> read_manifest(const std::string& set);
// Every file of the set that is not as the manifest says, or that it does not name.
Result<std::vector<Problem>> check_files(const std::string& set, const Manifest& manifest);

}  // namespace millrace::app
