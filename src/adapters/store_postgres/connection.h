// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/session.h"
#include "base/hash.h"

namespace millrace::store_postgres {

// A connection of the port: a session, made again when it is lost, and what of transactions must
// hold over that.
class PgConnection final : public sql::Connection {
 public:
  static Result<std::unique_ptr<PgConnection>> open(const Options& options, Session::Kind kind);
  ~PgConnection() override;
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  Result<sql::Statement*> prepare(std::string_view text) override;
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override;
  Result<void> run(std::string_view script) override;
  bool in_transaction() const override { return session_ && session_->in_transaction(); }
  Result<void> lock_numbering() override;
  void notify(const sql::Hint& hint) override;

  // A text that the server parses when it is first run: only then the kinds of its parameters are
  // known. (`$1 >> shard` would be read as a shift of 32 bits otherwise.)
  struct Prepared {
    explicit Prepared(std::string text_) : text(std::move(text_)) {}
    std::string text;
    std::string name;
    std::vector<Rows::Kind> kinds;
    int64_t session = 0;  // by which it is known; 0: by none
  };
  // Runs it for each row, in one message. Their results, or the error of the first that failed,
  // behind which none was run.
  Result<std::vector<ResultPtr>> run(Prepared& prepared, const Rows& rows);

 private:
  struct Call {
    Prepared& prepared;
    const Rows& rows;
  };
  PgConnection(const Options& options, Session::Kind kind);
  Result<void> connect();
  Result<void> be_ready(Verb verb);
  Result<std::vector<ResultPtr>> exchange(std::span<const Call> calls);
  Result<std::vector<ResultPtr>> run_verb(Prepared& prepared, const Rows& rows, Verb verb);
  Result<std::vector<ResultPtr>> commit_and_tell(Call commit);
  Result<void> settle(const Error& lost);
  Result<bool> mark_is_there();
  Moment deadline() const;

  const Options options_;
  const Session::Kind kind_;
  std::unique_ptr<Session> session_;
  int64_t number_ = 0;  // of the session, from 1
  bool lost_in_transaction_ = false;
  int tries_ = 0;  // to connect, since it last was
  Moment next_try_;
  // Of a writer: what BEGIN leaves in `commit_mark`, where only its COMMIT makes it stay.
  const int64_t writer_;
  int64_t mark_ = 0;
  const std::string channel_;
  std::vector<std::string> hints_;  // go with the COMMIT of this transaction
  Moment tells_from_;
  Prepared notify_;
  Prepared lock_;
  Prepared lock_shared_;
  Prepared leave_mark_;
  Prepared look_at_mark_;
  int64_t names_ = 0;
  std::unordered_map<std::string, std::unique_ptr<class PgStatement>, StringHash, std::equal_to<>>
      statements_;
};

// A number of the database for `what` of a schema: an advisory lock's.
int64_t lock_number(std::string_view schema, std::string_view what);
// Where the commits of a schema are told.
std::string channel_of(std::string_view schema);

}  // namespace millrace::store_postgres
