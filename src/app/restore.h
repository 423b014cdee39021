// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace millrace::app {

struct RestoreOptions {
  std::string set;
  std::string data;             // the new data folder: empty, or not there yet
  std::string passphrase_file;  // opens the set's key ring; empty: it stays sealed
  bool yes = false;             // what it would ask is answered
};

// Makes a data folder of a backup. Nothing is left of one that fails. Says first what may happen a
// second time when a server goes on from it, and what it cannot bring back; asks, unless `yes`.
// The store is brought to this binary's schema and its shards are claimed, so that no server that
// is still about can write to what has been restored; there is a new admin token. 1: doctor finds
// a promise broken.
// Errors: Conflict, APP-0025 (the folder is not empty); Invalid, APP-0026 (the set is damaged);
// Conflict, APP-0027 (nobody has said yes).
Result<int> restore(const RestoreOptions& options);

}  // namespace millrace::app
