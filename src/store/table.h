// SPDX-License-Identifier: Apache-2.0
// One list of columns per row, from which its SQL, its binding and its reading come:
//
//   template <>
//   struct Table<kernel::EventRow> {
//     static constexpr std::string_view kName = "event";
//     static constexpr std::tuple kColumns{
//         column("id", &kernel::EventRow::id),
//         blob("payload", &kernel::EventRow::payload_json).body(),
//         ...};
//   };
//
//   static const auto text = select<EventRow>("WHERE id = $1 AND tenant = $2");
//   return read_one<EventRow>(db, text, id, tenant);
#pragma once

#include <array>
#include <concepts>
#include <span>
#include <string>
#include <tuple>

#include "store/row_reader.h"
#include "store/sql.h"

namespace millrace::store {

// In tables.h, in the order of the schema.
template <typename Row>
struct Table;

// What the texts need to know of a column.
struct ColumnText {
  std::string_view name;
  std::string_view type;  // "INTEGER", "TEXT" or "BLOB"
  bool is_read = true;    // false: written only
  bool changes = false;   // an update writes it again
  bool is_body = false;   // lists leave it out
};

// `Access` gives a reference to what the column holds, or, of one that is only written, a value.
template <typename Access, bool kBlob>
struct Column {
  ColumnText text;
  Access access;

  constexpr Column changing() const {
    auto copy = *this;
    copy.text.changes = true;
    return copy;
  }
  constexpr Column body() const {
    auto copy = *this;
    copy.text.is_body = true;
    return copy;
  }
  template <typename Row>
  void bind(sql::Binder& to, int index, const Row& row) const {
    if constexpr (kBlob) {
      to.bind_at(index, sql::Blob{access(row)});
    } else {
      to.bind_at(index, access(row));
    }
  }
  template <typename Row>
  void read(RowReader& from, Row& row) const {
    if constexpr (std::is_lvalue_reference_v<decltype(access(row))>) from >> access(row);
  }
};

template <typename T>
constexpr std::string_view kTypeOf = std::same_as<T, std::string> ? "TEXT" : "INTEGER";

template <typename Row, typename T>
struct Member {
  T Row::* member;
  constexpr const T& operator()(const Row& row) const { return row.*member; }
  constexpr T& operator()(Row& row) const { return row.*member; }
};
template <typename Row, typename Inner, typename T>
struct InnerMember {
  Inner Row::* inner;
  T Inner::* member;
  constexpr const T& operator()(const Row& row) const { return row.*inner.*member; }
  constexpr T& operator()(Row& row) const { return row.*inner.*member; }
};

template <typename Row, typename T>
constexpr auto column(std::string_view name, T Row::* member) {
  return Column<Member<Row, T>, false>{{name, kTypeOf<T>}, {member}};
}
template <typename Row, typename Inner, typename T>
constexpr auto column(std::string_view name, Inner Row::* inner, T Inner::* member) {
  return Column<InnerMember<Row, Inner, T>, false>{{name, kTypeOf<T>}, {inner, member}};
}
// Bytes that need not be text.
template <typename Row>
constexpr auto blob(std::string_view name, std::string Row::* member) {
  return Column<Member<Row, std::string>, true>{{name, "BLOB"}, {member}};
}
template <typename Row, typename Inner>
constexpr auto blob(std::string_view name, Inner Row::* inner, std::string Inner::* member) {
  return Column<InnerMember<Row, Inner, std::string>, true>{{name, "BLOB"}, {inner, member}};
}
// A number that follows from the row. Only written.
template <typename Row>
constexpr auto computed(std::string_view name, int64_t (*value)(const Row&)) {
  return Column<int64_t (*)(const Row&), false>{{name, "INTEGER", false}, value};
}

template <typename Row, typename Visit>
constexpr void each_column(Visit visit) {
  std::apply([&](const auto&... column) { (visit(column), ...); }, Table<Row>::kColumns);
}
template <typename Row>
constexpr auto column_texts() {
  return std::apply([](const auto&... column) { return std::array{column.text...}; },
                    Table<Row>::kColumns);
}

// Texts. `tail` follows what the columns give.
enum class Columns : uint8_t { All, Heads };  // Heads: without bodies
std::string select_text(std::string_view table, std::span<const ColumnText> columns, Columns which,
                        std::string_view tail);
std::string insert_text(std::string_view table, std::span<const ColumnText> columns,
                        std::string_view tail);
// `where` uses $1..$N; the columns that change are bound behind them.
std::string update_text(std::string_view table, std::span<const ColumnText> columns,
                        std::string_view where);
// For ON CONFLICT DO UPDATE SET: the columns that change, as they came.
std::string excluded_text(std::span<const ColumnText> columns);

template <typename Row>
std::string select(std::string_view tail) {
  return select_text(Table<Row>::kName, column_texts<Row>(), Columns::All, tail);
}
template <typename Row>
std::string select_heads(std::string_view tail) {
  return select_text(Table<Row>::kName, column_texts<Row>(), Columns::Heads, tail);
}
template <typename Row>
std::string insert(std::string_view tail = {}) {
  return insert_text(Table<Row>::kName, column_texts<Row>(), tail);
}
template <typename Row>
std::string update(std::string_view where) {
  return update_text(Table<Row>::kName, column_texts<Row>(), where);
}
template <typename Row>
std::string excluded() {
  return excluded_text(column_texts<Row>());
}

// Rows into statements.
template <typename Row>
void add_row(sql::Batch& batch, const Row& row) {
  int index = 0;
  each_column<Row>([&](const auto& column) { column.bind(batch, ++index, row); });
  batch.end_row();
}
// For update(): `keys` are the parameters of its `where`.
template <typename Row, typename... Keys>
void add_update(sql::Batch& batch, const Row& row, const Keys&... keys) {
  batch.bind(keys...);
  int index = sizeof...(keys);
  each_column<Row>([&](const auto& column) {
    if (column.text.changes) column.bind(batch, ++index, row);
  });
  batch.end_row();
}

// Rows out of queries.
template <typename Row>
void read_row(RowReader from, Row& row) {
  each_column<Row>([&](const auto& column) { column.read(from, row); });
}
template <typename Row>
void read_head(RowReader from, Row& row) {
  each_column<Row>([&](const auto& column) {
    if (!column.text.is_body) column.read(from, row);
  });
}
template <typename Row, typename... Args>
Result<std::vector<Row>> read_all(sql::Connection& db, std::string_view text, const Args&... args) {
  return query<Row>(db, text, read_row<Row>, args...);
}
template <typename Row, typename... Args>
Result<std::vector<Row>> read_heads(sql::Connection& db, std::string_view text,
                                    const Args&... args) {
  return query<Row>(db, text, read_head<Row>, args...);
}
template <typename Row, typename... Args>
Result<std::optional<Row>> read_one(sql::Connection& db, std::string_view text,
                                    const Args&... args) {
  return query_one<Row>(db, text, read_row<Row>, args...);
}

}  // namespace millrace::store
