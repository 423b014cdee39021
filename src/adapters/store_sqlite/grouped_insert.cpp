// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/grouped_insert.h"

#include <algorithm>
#include <utility>

namespace millrace::store_sqlite {
namespace {

// ($1, $2), and of the next row ($3, $4).
std::string parameters(size_t first, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += i == 0 ? "($" : ", $";
    text += std::to_string(first + i + 1);
  }
  return text + ")";
}

}  // namespace

std::string GroupedInsert::group_text(std::string_view text) {
  constexpr std::string_view kValues = ") VALUES ";
  size_t at = text.find(kValues);
  if (!text.starts_with("INSERT INTO ") || at == std::string_view::npos) return {};
  std::string_view head = text.substr(0, at + kValues.size());
  auto columns = static_cast<size_t>(std::ranges::count(text, '$'));
  if (text.substr(head.size()) != parameters(0, columns)) return {};
  std::string group(head);
  for (size_t row = 0; row < kRows; ++row) {
    if (row > 0) group += ", ";
    group += parameters(row * columns, columns);
  }
  return group;
}

void GroupedInsert::end_row() {
  if (++rows_ < kRows) return;
  size_t columns = bound_.size() / rows_;
  for (size_t row = 0; row < rows_; ++row) bind_row(group_, row, row * columns);
  run(group_, rows_);
  bound_.clear();
  rows_ = 0;
}

Result<std::span<const int64_t>> GroupedInsert::flush() {
  for (size_t row = 0; row < rows_; ++row) {
    bind_row(one_, row, 0);
    run(one_, 1);
  }
  bound_.clear();
  rows_ = 0;
  done_.swap(touched_);
  touched_.clear();
  if (failed_) return *std::exchange(failed_, std::nullopt);
  return std::span<const int64_t>(done_);
}

void GroupedInsert::bind_row(sql::Statement& to, size_t row, size_t shift) const {
  size_t columns = bound_.size() / rows_;
  for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
    const Bound& bound = bound_[i];
    int index = bound.index + static_cast<int>(shift);
    switch (bound.kind) {
      case Kind::Int: to.bind_int(index, bound.number); break;
      case Kind::Text: to.bind_text(index, bound.bytes); break;
      case Kind::Blob: to.bind_blob(index, bound.bytes); break;
    }
  }
}

// Behind the first that failed nothing is run.
void GroupedInsert::run(sql::Statement& statement, size_t rows) {
  if (failed_) return;
  auto stepped = statement.step();
  statement.reset();
  if (!stepped.ok()) failed_ = std::move(stepped).error();
  touched_.resize(touched_.size() + rows, 1);
}

}  // namespace millrace::store_sqlite
