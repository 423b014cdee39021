// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "store/sql.h"

namespace millrace::store_postgres {

struct Options {
  // postgres://user@host:port/database?sslmode=verify-full. A password stands in ~/.pgpass, in the
  // file that `passfile=` names, or in the URL, which must then come from a file.
  std::string url;
  std::string schema = "millrace";   // where the tables lie; made when it is not there
  int64_t connect_limit_ms = 5'000;  // of one try, for each host and address
  int64_t reader_limit_ms = 5'000;   // a reader's query that takes longer is cut off with kBusy
  int64_t writer_limit_ms = 60'000;  // the same of a writer's
  int64_t lock_limit_ms = 5'000;     // how long a statement waits for another's lock
  // How long a transaction may stand still. A server that is stopped in a commit keeps its lock
  // from whoever takes its shards over, which may begin after the 10 s of a lease: so long, no
  // longer.
  int64_t idle_limit_ms = 10'000;
  int64_t start_wait_ms = 0;     // how long `open` waits for a server that is away
  size_t pool_max = 32;          // readers at the same time
  int64_t pool_wait_ms = 5'000;  // for one of them to be given back; then kBusy
  bool row_security = false;     // tenancy.h
  bool reads_much = false;       // by `open_reader`: queries come in pieces
  bool needs_tls = false;        // without a word in the URL; by `open` where a host is remote
};

// What the server ends by itself, whatever becomes of the client: a statement over its limit, a
// wait for another's lock, a transaction in which nothing was asked for `idle_limit_ms`.
//
// The store in one schema of a PostgreSQL database (13 or newer, UTF-8). Durability is the
// server's: `synchronous_commit` is on for writers. Of several hosts the one that can be written to
// is taken.
//
// A session that is lost is made again when the next transaction begins, or the next statement
// outside of one, after pauses that grow to 2 s; meanwhile statements answer kAway. A BEGIN and a
// reader's query outside of a transaction are run again at once on the new one.
//
// A COMMIT whose answer is lost is settled, not guessed: BEGIN has left a mark that only its COMMIT
// makes stay, and the server is asked for it until it tells. COMMIT returns what is true.
//
// "BEGIN EXCLUSIVE" waits until no other writer of the schema is in a transaction, and keeps new
// ones out: so a claim of shards finds all that was committed under the old epochs.
Result<std::unique_ptr<sql::Store>> open(Options options);
// Of one that is there, for whoever reads all of it: what a query finds in a transaction is never
// in memory as a whole.
Result<std::unique_ptr<sql::Connection>> open_reader(Options options);

struct UrlLook {
  bool has_password = false;  // or one that opens its TLS key
  bool is_remote = false;     // a host is neither a socket nor loopback
  bool checks_host = false;   // sslmode is verify-full
};
// Invalid, STO-0012: it is no URL of a PostgreSQL database. Never repeats what may be a password.
Result<UrlLook> look_at(const std::string& url);

}  // namespace millrace::store_postgres
