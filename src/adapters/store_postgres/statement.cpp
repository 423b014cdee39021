// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/statement.h"

#include <endian.h>
#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "adapters/store_postgres/arrays.h"
#include "adapters/store_postgres/connection.h"
#include "adapters/store_postgres/dialect.h"

namespace millrace::store_postgres {
namespace {

template <typename T>
T big_endian(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (sizeof value == 8) return static_cast<T>(be64toh(static_cast<uint64_t>(value)));
  if constexpr (sizeof value == 4) return static_cast<T>(be32toh(static_cast<uint32_t>(value)));
  return static_cast<T>(be16toh(static_cast<uint16_t>(value)));
}

// No two rows of parameters have the same.
std::string key_of(std::span<const Rows::Value> row) {
  std::string key;
  for (const auto& value : row) {
    std::string_view bytes(value.number, sizeof value.number);
    if (value.kind != Rows::Kind::Int) bytes = value.bytes;
    uint64_t size = bytes.size();
    key += static_cast<char>(value.kind);
    key.append(reinterpret_cast<const char*>(&size), sizeof size);
    key += bytes;
  }
  return key;
}

}  // namespace

int64_t number_in(const ResultPtr& result, int row, int column) {
  if (PQgetisnull(result.get(), row, column)) return 0;
  const char* bytes = PQgetvalue(result.get(), row, column);
  switch (PQftype(result.get(), column)) {
    case kInt8Oid: return big_endian<int64_t>(bytes);
    case kInt4Oid: return big_endian<int32_t>(bytes);
    case kInt2Oid: return big_endian<int16_t>(bytes);
    case kBoolOid: return bytes[0];
    default: ASSERT_MSG(false, "a column that is no number");
  }
  return 0;
}

int64_t touched_by(const ResultPtr& result) {
  std::string_view digits = PQcmdTuples(result.get());
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

PgStatement::PgStatement(PgConnection& connection, std::string_view text, size_t number)
    : connection_(connection), prepared_(to_dialect(text)), cursor_(fmt::format("c{}", number)) {}

Result<bool> PgStatement::step() {
  if (!result_) {
    rows_.end_row();
    auto result = run();
    rows_.clear();
    if (!result.ok()) return std::move(result).error();
    result_ = std::move(*result);
    affected_ = touched_by(result_);
  } else {
    ++row_;
  }
  bool is_piece_over = row_ > 0 && row_ == PQntuples(result_.get()) && row_ == piece_;
  if (has_cursor_ && is_piece_over) {
    TRY(result_, next_piece());
    row_ = 0;
  }
  return row_ < PQntuples(result_.get());
}

Prepared& PgStatement::helper(std::string text) {
  return helpers_.try_emplace(text, text).first->second;
}

Result<ResultPtr> PgStatement::open_cursor() {
  auto& declare =
      helper(fmt::format("DECLARE {} NO SCROLL CURSOR FOR {}", cursor_, prepared_.text));
  TRY(connection_.run(declare, rows_));
  has_cursor_ = true;
  piece_ = 0;
  return next_piece();
}

// Larger ones as long as the rows are small.
Result<ResultPtr> PgStatement::next_piece() {
  constexpr int kFirst = 16;
  constexpr int kMost = 4096;
  constexpr size_t kBytes = 1 << 20;
  bool is_small = !result_ || PQresultMemorySize(result_.get()) < kBytes / 4;
  piece_ = piece_ == 0 ? kFirst : is_small ? std::min(piece_ * 4, kMost) : std::max(piece_ / 4, 1);
  result_.reset();
  TRY(auto piece,
      connection_.run(helper(fmt::format("FETCH {} FROM {}", piece_, cursor_)), Rows::none()));
  return std::move(piece.front());
}

void PgStatement::close_cursor() {
  has_cursor_ = false;
  // The end of the transaction closes it too.
  if (connection_.in_transaction()) {
    (void)connection_.run(helper("CLOSE " + cursor_), Rows::none());
  }
}

Prepared* PgStatement::arrays(size_t columns) {
  if (!arrays_ && !is_no_insert_) {
    auto text = insert_of_arrays(prepared_.text, columns);
    is_no_insert_ = !text;
    if (text) arrays_.emplace(std::move(*text));
  }
  return arrays_ ? &*arrays_ : nullptr;
}

Result<ResultPtr> PgStatement::run() {
  if (!ahead_.empty()) {
    auto key = key_of(rows_.row(0));
    auto found = ahead_.find(key);
    if (found != ahead_.end() && !found->second) {
      TRY(connection_.await());
      found = ahead_.find(key);
    }
    if (found != ahead_.end() && found->second) {
      auto result = std::move(found->second);
      ahead_.erase(found);
      return result;
    }
  }
  if (connection_.reads_in_pieces() && prepared_.text.find("SELECT") != std::string::npos) {
    return open_cursor();
  }
  TRY(auto results, connection_.run(prepared_, rows_));
  return std::move(results.front());
}

Result<void> PgStatement::read_ahead(const Rows& rows) {
  std::vector<ResultPtr*> places;
  for (size_t i = 0; i < rows.count(); ++i) {
    places.push_back(&ahead_.emplace(key_of(rows.row(i)), nullptr)->second);
  }
  auto take = [places = std::move(places)](std::vector<ResultPtr> results) -> Result<void> {
    for (size_t i = 0; i < places.size(); ++i) *places[i] = std::move(results[i]);
    return {};
  };
  return connection_.put_ahead(prepared_, rows, std::move(take));
}

void PgStatement::reset() {
  rows_.clear();
  if (has_cursor_) close_cursor();
  result_.reset();
  row_ = 0;
}

int64_t PgStatement::column_int(int column) const { return number_in(result_, row_, column); }

std::string_view PgStatement::column_bytes(int column) const {
  return {PQgetvalue(result_.get(), row_, column),
          static_cast<size_t>(PQgetlength(result_.get(), row_, column))};
}

Result<std::span<const int64_t>> PgBatch::flush() {
  touched_.clear();
  if (rows_.count() == 0) return std::span<const int64_t>();
  auto results = connection_.run(statement_.prepared(), rows_);
  rows_.clear();
  if (!results.ok()) return std::move(results).error();
  for (const auto& result : *results) touched_.push_back(touched_by(result));
  return std::span<const int64_t>(touched_);
}

Result<void> PgBatch::put_off(Check check) {
  if (rows_.count() == 0) return {};
  Result<void> done;
  if (purpose_ == For::ReadingAhead) {
    done = statement_.read_ahead(rows_);
  } else if (!check) {
    auto* arrays = are_worth_arrays(rows_) ? statement_.arrays(rows_.row(0).size()) : nullptr;
    done = arrays ? connection_.put_arrays(statement_.prepared(), *arrays, rows_)
                  : connection_.put(statement_.prepared(), rows_, {});
  } else {
    auto take = [check = std::move(check)](const std::vector<ResultPtr>& results) {
      std::vector<int64_t> touched;
      for (const auto& result : results) touched.push_back(touched_by(result));
      return check(touched);
    };
    done = connection_.put(statement_.prepared(), rows_, std::move(take));
  }
  rows_.clear();
  return done;
}

}  // namespace millrace::store_postgres
