// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "adapters/store_postgres/pipeline.h"
#include "base/hash.h"

namespace millrace::store_postgres {

class PgConnection;

// A query over a connection that reads much (Session::Kind) is brought in pieces, by a cursor: its
// rows are never all in memory.
class PgStatement final : public sql::Statement {
 public:
  // `number`: no two of a connection have the same.
  PgStatement(PgConnection& connection, std::string_view text, size_t number);

  void bind_int(int index, int64_t value) override { rows_.put_int(index, value); }
  void bind_text(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Text, value);
  }
  void bind_blob(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Blob, value);
  }
  Result<bool> step() override;
  void reset() override;
  int64_t affected() const override { return affected_; }
  int64_t column_int(int column) const override;
  std::string_view column_bytes(int column) const override;

  Prepared& prepared() { return prepared_; }
  // The same with an array per column; null: it is no plain insert.
  Prepared* arrays(size_t columns);
  // Brings the results for these parameters along with the next message, for when it is run.
  Result<void> read_ahead(const Rows& rows);
  void forget_ahead() { ahead_.clear(); }

 private:
  Result<ResultPtr> run();
  Result<ResultPtr> open_cursor();
  Result<ResultPtr> next_piece();
  void close_cursor();

  PgConnection& connection_;
  Prepared prepared_;
  std::optional<Prepared> arrays_;
  bool is_no_insert_ = false;
  Rows rows_;
  ResultPtr result_;
  int row_ = 0;
  int64_t affected_ = 0;
  Prepared& helper(std::string text);

  const std::string cursor_;                              // its name
  bool has_cursor_ = false;                               // it is open
  int piece_ = 0;                                         // rows that were asked for last
  std::map<std::string, Prepared, std::less<>> helpers_;  // what is said of the cursor
  // By its parameters; null: it is on its way.
  std::unordered_multimap<std::string, ResultPtr, StringHash, std::equal_to<>> ahead_;
};

class PgBatch final : public sql::Batch {
 public:
  enum class For : uint8_t { Writing, ReadingAhead };
  PgBatch(PgConnection& connection, PgStatement& statement, For purpose)
      : connection_(connection), statement_(statement), purpose_(purpose) {}

  void bind_int(int index, int64_t value) override { rows_.put_int(index, value); }
  void bind_text(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Text, value);
  }
  void bind_blob(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Blob, value);
  }
  void end_row() override { rows_.end_row(); }
  Result<std::span<const int64_t>> flush() override;
  Result<void> put_off(Check check) override;

 private:
  PgConnection& connection_;
  PgStatement& statement_;
  const For purpose_;
  Rows rows_;
  std::vector<int64_t> touched_;
};

// What a result says.
int64_t number_in(const ResultPtr& result, int row, int column);
int64_t touched_by(const ResultPtr& result);

}  // namespace millrace::store_postgres
