// SPDX-License-Identifier: Apache-2.0
#include "store/copy.h"

#include <fmt/format.h>

#include <variant>

#include "store/migrate.h"
#include "store/read.h"
#include "store/row_reader.h"
#include "store/tables.h"

namespace millrace::store {
namespace {

constexpr size_t kRowsPerCommit = 2'000;
constexpr size_t kBytesPerCommit = 8 << 20;

using Cell = std::variant<int64_t, std::string>;
using Cells = std::vector<Cell>;

struct Columns {
  std::string_view table;
  std::vector<ColumnText> all;  // those of the key first
  size_t keys;
};

template <typename Row>
Columns columns_of(size_t keys) {
  auto texts = column_texts<Row>();
  return {Table<Row>::kName, {texts.begin(), texts.end()}, keys};
}

std::vector<Columns> tables() {
  using namespace kernel;
  return {
      columns_of<DedupeRow>(3),      columns_of<RecentKeyRow>(1),     columns_of<EventRow>(1),
      columns_of<EnforcementRow>(1), columns_of<ExecutionRow>(1),     columns_of<QueueRow>(1),
      columns_of<OutputRow>(3),      columns_of<ResultBlobRow>(1),    columns_of<MessageRow>(1),
      columns_of<TimerRow>(1),       columns_of<OutboxRow>(1),        columns_of<QuarantineRow>(1),
      columns_of<ChangeRow>(1),      columns_of<RuleRow>(2),          columns_of<WebhookRow>(1),
      columns_of<TokenRow>(1),       columns_of<PackReleaseRow>(3),   columns_of<WorkerRow>(1),
      columns_of<WorkflowRow>(1),    columns_of<WorkflowPieceRow>(3), columns_of<WorkflowRunRow>(4),
      columns_of<InquiryRow>(1),     columns_of<KeyRow>(3),           columns_of<CatalogRow>(1),
      columns_of<OperationRow>(1)};
}

// "a, b, c", or "$1, $2, $3".
template <typename Item>
std::string list(size_t count, Item item) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", item(i));
  return text;
}
std::string names(const Columns& columns, size_t count) {
  return list(count, [&](size_t i) { return columns.all[i].name; });
}
std::string numbers(size_t count) {
  return list(count, [](size_t i) { return fmt::format("${}", i + 1); });
}

void bind_cell(sql::Binder& to, int index, std::string_view type, const Cell& cell) {
  if (type == "INTEGER") return to.bind_int(index, std::get<int64_t>(cell));
  const auto& bytes = std::get<std::string>(cell);
  return type == "TEXT" ? to.bind_text(index, bytes) : to.bind_blob(index, bytes);
}

size_t read_cells(sql::Statement& row, const Columns& columns, size_t count, Cells& cells) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    int column = static_cast<int>(i);
    if (columns.all[i].type == "INTEGER") {
      cells.emplace_back(row.column_int(column));
    } else {
      bytes +=
          std::get<std::string>(cells.emplace_back(std::string(row.column_bytes(column)))).size();
    }
  }
  return bytes;
}

class TableCopy {
 public:
  TableCopy(sql::Connection& from, sql::Connection& to, const Columns& columns)
      : from_(from), to_(to), columns_(columns) {
    auto keys = names(columns_, columns_.keys);
    std::string all = fmt::format("SELECT {} FROM {} /*every tenant: backup*/",
                                  names(columns_, columns_.all.size()), columns_.table);
    first_ = fmt::format("{} ORDER BY {} LIMIT $1", all, keys);
    next_ = fmt::format("{} WHERE ({}) > ({}) ORDER BY {} LIMIT ${}", all, keys,
                        numbers(columns_.keys), keys, columns_.keys + 1);
    insert_ = fmt::format("INSERT INTO {} ({}) VALUES ({})", columns_.table,
                          names(columns_, columns_.all.size()), numbers(columns_.all.size()));
    std::string backwards =
        list(columns_.keys, [&](size_t i) { return fmt::format("{} DESC", columns_.all[i].name); });
    last_ = fmt::format("SELECT {} FROM {} /*every tenant: backup*/ ORDER BY {} LIMIT 1", keys,
                        columns_.table, backwards);
    count_ = fmt::format("SELECT count(*) FROM {} /*every tenant: backup*/", columns_.table);
  }

  Result<CopiedTable> run() {
    TRY(auto last, last_key());
    CopiedTable done{.name = columns_.table};
    for (bool more = true; more;) {
      TRY(auto rows, page(last));
      if (rows.empty()) break;
      more = !is_last_;
      done.copied += static_cast<int64_t>(rows.size());
      TRY(write(rows));
      rows.back().resize(columns_.keys);
      last = std::move(rows.back());
    }
    TRY(done.rows, query_int(to_, count_));
    TRY(int64_t expected, query_int(from_, count_));
    if (done.rows == expected) return done;
    return Error(ErrorKind::Internal, sql::kDamaged,
                 fmt::format("{}: the copy has {} rows, expected {}: empty the target and begin "
                             "again",
                             columns_.table, done.rows, expected));
  }

 private:
  // Of what an earlier call has copied; empty: nothing.
  Result<Cells> last_key() {
    TRY(auto* statement, to_.prepare(last_));
    ResetAtExit reset(*statement);
    TRY(bool found, statement->step());
    Cells key;
    if (found) read_cells(*statement, columns_, columns_.keys, key);
    return key;
  }

  // In a transaction: then an engine over a network brings it in pieces.
  Result<std::vector<Cells>> page(const Cells& after) {
    TRY(begin_snapshot(from_));
    auto rows = read_page(after);
    TRY(end_snapshot(from_));
    return rows;
  }

  Result<std::vector<Cells>> read_page(const Cells& after) {
    TRY(auto* statement, from_.prepare(after.empty() ? first_ : next_));
    ResetAtExit reset(*statement);
    int index = 0;
    for (size_t i = 0; i < after.size(); ++i) {
      bind_cell(*statement, ++index, columns_.all[i].type, after[i]);
    }
    statement->bind_int(++index, kRowsPerCommit);
    std::vector<Cells> rows;
    for (size_t bytes = 0; bytes < kBytesPerCommit;) {
      TRY(bool more, statement->step());
      if (!more) {
        is_last_ = rows.size() < kRowsPerCommit;
        break;
      }
      bytes += read_cells(*statement, columns_, columns_.all.size(), rows.emplace_back());
    }
    return rows;
  }

  Result<void> write(const std::vector<Cells>& rows) {
    TRY(to_.run("BEGIN IMMEDIATE"));
    auto written = [&]() -> Result<void> {
      TRY(auto batch, to_.batch(insert_));
      for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) {
          bind_cell(*batch, static_cast<int>(i) + 1, columns_.all[i].type, row[i]);
        }
        batch->end_row();
      }
      TRY(batch->flush());
      return to_.run("COMMIT");
    }();
    if (!written.ok() && to_.in_transaction()) (void)to_.run("ROLLBACK");
    return written;
  }

  sql::Connection& from_;
  sql::Connection& to_;
  const Columns& columns_;
  bool is_last_ = false;
  std::string first_, next_, insert_, last_, count_;
};

Result<void> begin_copy(sql::Connection& to, const std::string& state) {
  TRY(auto begun, copy_under_way(to));
  if (begun == state) return {};
  if (begun) {
    return Error(ErrorKind::Conflict, sql::kUnfinished,
                 fmt::format("the target holds a part of another copy ({}, this one is {}): empty "
                             "it and begin again",
                             *begun, state));
  }
  TRY(int64_t id, newest_id(to));
  if (id > 0) {
    return Error(ErrorKind::Conflict, sql::kUnfinished,
                 "the target is not empty: name a new data folder or another store.schema");
  }
  return mark_copy(to, state);
}

}  // namespace

Result<std::string> state_of_copy(sql::Connection& from) {
  TRY(int64_t id, newest_id(from));
  TRY(int64_t change, last_change(from));
  return fmt::format("id {}, change {}", id, change);
}

Result<void> copy_rows(sql::Connection& from, sql::Connection& to,
                       const std::function<void(const CopiedTable&)>& told) {
  TRY(auto state, state_of_copy(from));
  TRY(begin_copy(to, state));
  for (const auto& columns : tables()) {
    TRY(auto done, TableCopy(from, to, columns).run());
    told(done);
  }
  return mark_copy(to, {});
}

}  // namespace millrace::store
