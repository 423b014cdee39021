// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/local_commands.h"

namespace millrace::app {

struct BackupOptions {
  UpOptions server;             // its data folder and configuration
  std::string target;           // the new set; must not exist
  std::string passphrase_file;  // seals the key ring into the set; empty: it stays out
};

// Copies what a data folder holds to a new set (app/backup_set.h). A server may run meanwhile; its
// sweep of files waits. The set has its name only when it is whole and synced.
// Errors: Conflict, APP-0023 (the target exists); those of files and of the store.
Result<int> backup(const BackupOptions& options);

// Sums, the store itself, and whether all is there that it needs. 1: something is wrong.
Result<int> backup_verify(const std::string& set);

// The first line of a file, or of the terminal for "-". Errors: Invalid, APP-0024 (empty).
Result<Secret> read_passphrase(const std::string& file);

}  // namespace millrace::app
