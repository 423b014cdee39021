// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/statement.h"
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
  Result<std::unique_ptr<sql::Batch>> ahead(std::string_view text) override;
  Result<void> await() override;
  sql::Committed commit() override;
  Result<void> run(std::string_view script) override;
  bool in_transaction() const override { return open_; }
  Result<void> lock_numbering() override;
  void notify(const sql::Hint& hint) override;

  // Cursors live in transactions.
  bool reads_in_pieces() const { return kind_.reads_much && open_; }
  // As long as this connection lives.
  void keep(std::shared_ptr<void> place) { place_ = std::move(place); }
  // Puts it into the next message, once for each row.
  Result<void> put(Prepared& prepared, const Rows& rows, Pipeline::Take take);
  // The same of a plain insert whose outcome only is that it has not failed.
  Result<void> put_arrays(const Prepared& prepared, Prepared& arrays, const Rows& rows);
  // The same of a query that is run anyway when this one's answers are lost.
  Result<void> put_ahead(Prepared& prepared, const Rows& rows, Pipeline::Take take);
  // Runs it for each row, with what was put before it, in one message. Its results, or the error of
  // the first that failed, behind which none was run.
  Result<std::vector<ResultPtr>> run(Prepared& prepared, const Rows& rows);

 private:
  using Results = Result<std::vector<ResultPtr>>;

  PgConnection(const Options& options, Session::Kind kind);
  Result<PgStatement*> statement(std::string_view text);
  Result<void> connect();
  bool is_cut() const;
  Result<void> be_ready(Verb verb);
  Result<void> begin(Prepared& prepared);
  void end_who_stand_still();
  Result<void> put_begin();
  Results run_once(Prepared& prepared, const Rows& rows);
  Result<void> begin_again(bool was_begun);
  Result<void> exchange();
  Result<void> end_reading(Prepared& prepared);
  Result<void> end_writing();
  Result<void> put_hints();
  Result<void> roll_back(Prepared& prepared);
  Result<void> settle(const Error& lost);
  Result<bool> mark_is_there();
  void note_loss(const Error& error);
  void forget_ahead();
  Moment deadline() const;

  const Options options_;
  const Session::Kind kind_;
  std::shared_ptr<void> place_;
  std::unique_ptr<Session> session_;
  Pipeline pipeline_;
  bool open_ = false;  // a transaction is; it may be that only its BEGIN was put
  bool lost_in_transaction_ = false;
  int tries_ = 0;  // to connect, since it last was
  Moment next_try_;
  Prepared* begin_ = nullptr;  // what has begun the transaction
  bool is_fresh_ = false;      // nothing has been done in it yet that could not be done again
  bool numbers_ = false;       // it numbers the change feed
  bool is_judged_ = false;     // how many rows were touched is looked at before COMMIT
  std::vector<PgStatement*> ahead_;
  // Of a writer: what BEGIN leaves in `commit_mark`, where only its COMMIT makes it stay.
  const int64_t writer_;
  int64_t mark_ = 0;
  const std::string channel_;
  std::vector<std::string> hints_;  // go with the COMMIT of this transaction
  Moment tells_from_;
  Prepared notify_;
  Prepared commit_;
  Prepared lock_;
  Prepared lock_shared_;
  Prepared end_still_;
  Prepared leave_mark_;
  Prepared look_at_mark_;
  std::unordered_map<std::string, std::unique_ptr<PgStatement>, StringHash, std::equal_to<>>
      statements_;
};

// A number of the database for `what` of a schema: an advisory lock's.
int64_t lock_number(std::string_view schema, std::string_view what);
// Where the commits of a schema are told.
std::string channel_of(std::string_view schema);

}  // namespace millrace::store_postgres
