// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/sql.h"

namespace millrace::store {

// Reads the columns of the current row one after the other.
class RowReader {
 public:
  explicit RowReader(sql::Statement& statement) : statement_(statement) {}
  template <typename T>
  RowReader& operator>>(T& out) {
    if constexpr (std::is_same_v<T, std::string>) {
      out = statement_.column_bytes(column_++);
    } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      out = static_cast<T>(statement_.column_int(column_++));
    } else {
      out = T{statement_.column_int(column_++)};
    }
    return *this;
  }

 private:
  sql::Statement& statement_;
  int column_ = 0;
};

// Resets a statement when the read is over, however it ends.
class ResetAtExit {
 public:
  explicit ResetAtExit(sql::Statement& statement) : statement_(statement) {}
  ~ResetAtExit() { statement_.reset(); }
  ResetAtExit(const ResetAtExit&) = delete;
  ResetAtExit& operator=(const ResetAtExit&) = delete;

 private:
  sql::Statement& statement_;
};

// All rows of a query: `read` turns the current row into a Row. `text` must be a literal.
template <typename Row, typename... Args>
Result<std::vector<Row>> query(sql::Connection& db, std::string_view text,
                               void (*read)(RowReader, Row&), const Args&... args) {
  TRY(auto* statement, db.prepare(text));
  ResetAtExit reset(*statement);
  statement->bind(args...);
  std::vector<Row> rows;
  for (;;) {
    TRY(bool more, statement->step());
    if (!more) return rows;
    read(RowReader(*statement), rows.emplace_back());
  }
}

template <typename Row, typename... Args>
Result<std::optional<Row>> query_one(sql::Connection& db, std::string_view text,
                                     void (*read)(RowReader, Row&), const Args&... args) {
  TRY(auto* statement, db.prepare(text));
  ResetAtExit reset(*statement);
  statement->bind(args...);
  TRY(bool found, statement->step());
  std::optional<Row> row;
  if (found) read(RowReader(*statement), row.emplace());
  return row;
}

// Tells the connection that `text` is soon run with the parameters that `add` binds for each.
template <typename Each, typename Add>
Result<void> read_ahead(sql::Connection& db, std::string_view text, std::span<const Each> all,
                        Add add) {
  if (all.empty()) return {};
  TRY(auto batch, db.ahead(text));
  if (!batch) return {};
  for (const auto& each : all) add(*batch, each);
  return batch->put_off({});
}

// The same of a query that is run once.
template <typename... Args>
Result<void> ahead_of_one(sql::Connection& db, std::string_view text, const Args&... args) {
  TRY(auto batch, db.ahead(text));
  if (!batch) return {};
  batch->add(args...);
  return batch->put_off({});
}

template <typename... Args>
Result<int64_t> query_int(sql::Connection& db, std::string_view text, const Args&... args) {
  TRY(auto* statement, db.prepare(text));
  ResetAtExit reset(*statement);
  statement->bind(args...);
  TRY(bool found, statement->step());
  return found ? statement->column_int(0) : int64_t{0};
}

}  // namespace millrace::store
