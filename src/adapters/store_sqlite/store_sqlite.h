// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "store/sql.h"

namespace millrace::store_sqlite {

// The store in one SQLite file: WAL, synchronous=FULL, one writer, checkpoints off the commit
// path. `folder` must exist. Opening creates `millrace.db` in it.
Result<std::unique_ptr<sql::Store>> open(const std::string& folder);

// Opens an existing database file read-only (doctor on a copy).
Result<std::unique_ptr<sql::Connection>> open_file_reader(const std::string& file);

}  // namespace millrace::store_sqlite
