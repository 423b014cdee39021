// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "store/sql.h"

namespace millrace::store_sqlite {

struct Options {
  int64_t reader_limit_ms = 5000;  // a reader's query that takes longer is cut off with kBusy
  std::string vfs;                 // name of a registered SQLite VFS; empty: the system's
};

// The store in one SQLite file: WAL, synchronous=FULL, one writer, checkpoints off the commit
// path. `folder` must exist. Opening creates `millrace.db` in it, for its user only.
Result<std::unique_ptr<sql::Store>> open(const std::string& folder, Options options = {});

// Opens an existing database file read-only and without a time limit (doctor, copies).
Result<std::unique_ptr<sql::Connection>> open_file_reader(const std::string& file);

}  // namespace millrace::store_sqlite
