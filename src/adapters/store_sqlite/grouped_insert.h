// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/sql.h"

namespace millrace::store_sqlite {

// The rows of an INSERT, a group of them with each step: to open a table and its indexes anew for
// every row is a quarter of what a row costs. What is left below a group goes row by row.
class GroupedInsert final : public sql::Batch {
 public:
  static constexpr size_t kRows = 16;  // in a group

  // `text` for a group; empty: it is more than INSERT INTO ... VALUES ($1, ..., $N).
  static std::string group_text(std::string_view text);

  // `one` runs the text, `group` that of group_text().
  GroupedInsert(sql::Statement& one, sql::Statement& group) : one_(one), group_(group) {}
  void bind_int(int index, int64_t value) override {
    bound_.push_back({Kind::Int, index, value, {}});
  }
  void bind_text(int index, std::string_view value) override {
    bound_.push_back({Kind::Text, index, 0, value});
  }
  void bind_blob(int index, std::string_view value) override {
    bound_.push_back({Kind::Blob, index, 0, value});
  }
  void end_row() override;
  Result<std::span<const int64_t>> flush() override;

 private:
  enum class Kind : uint8_t { Int, Text, Blob };
  struct Bound {
    Kind kind;
    int index;
    int64_t number;
    std::string_view bytes;
  };
  // Binds a row of bound_, each column `shift` places further.
  void bind_row(sql::Statement& to, size_t row, size_t shift) const;
  void run(sql::Statement& statement, size_t rows);

  sql::Statement& one_;
  sql::Statement& group_;
  std::vector<Bound> bound_;
  size_t rows_ = 0;  // in bound_
  std::vector<int64_t> touched_;
  std::vector<int64_t> done_;
  std::optional<Error> failed_;
};

}  // namespace millrace::store_sqlite
