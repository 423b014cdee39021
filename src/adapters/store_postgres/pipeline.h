// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "adapters/store_postgres/session.h"
#include "adapters/store_postgres/tenancy.h"

namespace millrace::store_postgres {

// A text that the server parses when it is first run: only then the kinds of its parameters are
// known. (`$1 >> shard` would be read as a shift of 32 bits otherwise.)
struct Prepared {
  explicit Prepared(std::string text_) : text(std::move(text_)) {}
  std::string text;
  std::string name;
  std::vector<Rows::Kind> kinds;
  int64_t session = 0;  // by which it is known; 0: by none
  const Tenancy tenancy = tenancy_of(text);
};

// The calls of one message to the server, and who gets their answers. The server runs each as it
// comes; all are answered by one exchange.
class Pipeline {
 public:
  // With row level security each statement is told whose rows it is about.
  explicit Pipeline(bool tells_tenants) : tells_tenants_(tells_tenants) {}

  // Gets the results of one call, one per row. An error ends the exchange: those behind it are told
  // nothing.
  using Take = std::function<Result<void>(std::vector<ResultPtr>)>;

  // For a new session: nothing is on its way, and it knows no text.
  void begin_session() {
    ++session_;
    calls_.clear();
    tenants_.clear();
  }
  // What was set in a transaction that is rolled back does not hold.
  void forget_tenants() { tenants_.clear(); }
  // Runs it for each row. `take` may be empty. Errors: kAway, the session was lost.
  Result<void> put(Session& session, Prepared& prepared, const Rows& rows, Moment until,
                   Take take = {});
  // The same of `arrays`, which is `prepared` with an array per column, for all rows at once.
  Result<void> put_arrays(Session& session, const Prepared& prepared, Prepared& arrays,
                          const Rows& rows, Moment until);
  // Gives the answers to whoever takes them, in order. Errors: the first of a call, behind which
  // nothing was run, or of who takes; kAway: the session was lost, and anything may have been run.
  Result<void> exchange(Session& session, Moment until);
  // Sends it and waits for nothing: the answers are dropped when they come.
  Result<void> send_off(Session& session, Moment until);

  // Of a session that was lost: nobody is told anything.
  void drop() { calls_.clear(); }

  size_t calls() const { return calls_.size(); }
  // Of the exchange that gave an error: which call it was of, from 0.
  size_t failed_call() const { return failed_call_; }

 private:
  struct Call {
    Prepared* prepared;
    bool is_parsed;  // its first answer is that of the parse
    size_t rows;
    Take take;
    size_t answers() const { return rows + (is_parsed ? 1 : 0); }
  };
  Result<void> tell_tenants(Session& session, const Prepared& prepared, const Rows& rows,
                            Moment until);
  Result<void> put_call(Session& session, Prepared& prepared, const Rows& rows, Moment until,
                        Take take);

  const bool tells_tenants_;
  std::string tenants_;  // the last that were told; empty: unknown
  Prepared set_tenants_{"SELECT set_config('millrace.tenants', $1, false)"};
  std::vector<Call> calls_;
  size_t failed_call_ = 0;
  int64_t session_ = 0;  // their number, from 1
  int64_t names_ = 0;
};

}  // namespace millrace::store_postgres
