// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "store/sql.h"

namespace millrace::store_postgres {

struct Options {
  // What libpq takes: postgres://user@host:port/database?sslmode=verify-full, or name=value pairs.
  // A password stands in ~/.pgpass or in the file that `passfile=` names.
  std::string url;
  std::string schema = "millrace";   // where the tables lie; made when it is not there
  int64_t connect_limit_ms = 5'000;  // of one try
  int64_t reader_limit_ms = 5'000;   // a reader's query that takes longer is cut off with kBusy
  int64_t writer_limit_ms = 60'000;  // the same of a writer's
  int64_t lock_limit_ms = 5'000;     // how long a statement waits for another's lock
  int64_t settle_limit_ms = 60'000;  // how long the outcome of a commit is asked for
};

// The store in one schema of a PostgreSQL database (12 or newer, UTF-8). Durability is the
// server's: `synchronous_commit` is set to on for writers.
//
// A connection that is lost is made again when the next transaction begins, or the next statement
// outside of one; meanwhile statements answer kBusy. When it is lost while a COMMIT is under way
// the outcome is asked for by the transaction's id (pg_xact_status) until the server tells it:
// COMMIT then returns what is true. After `settle_limit_ms` without an answer it is kSyncFailed:
// the writer must exit, and the rows tell at the next start.
Result<std::unique_ptr<sql::Store>> open(Options options);

}  // namespace millrace::store_postgres
