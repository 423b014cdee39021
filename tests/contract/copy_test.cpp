// SPDX-License-Identifier: Apache-2.0
// A store into another, of each engine into each.
#include "store/copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "every_row.h"
#include "store/row_reader.h"
#include "store/tables.h"
#include "store/watched_store.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;
using Engines = std::tuple<StoreAdapter, StoreAdapter>;

class Copy : public ::testing::TestWithParam<Engines> {
 protected:
  Copy()
      : source_(must(std::get<0>(GetParam()).open(from_.path()))),
        target_(must(std::get<1>(GetParam()).open(to_.path()))) {
    fill(4);
  }
  void fill(int64_t rows) {
    Desk desk(*source_);
    desk.write(everything(rows));
    auto odd = event(7);
    odd.payload_json = kBytes;
    odd.source = "Ä, ü, and 'quotes'";
    // What `everything` takes away again.
    desk.write({.events = {odd, event(9'000'000'000'000'000'000)},
                .enqueue = {{ExecutionId{100}, kTenant, 1}},
                .messages = {message(5'000, 7)},
                .outbox = {outbox_row(5'001, 100)},
                .tokens = {{.id = TokenId{5'002}, .tenant = kTenant, .hash = "h"}}});
    desk.close();
    Committer::Options options;
    options.recent_keys = 8;
    Desk(*source_, options).write({.dedupe = {key("recent")}});
  }
  Result<void> copy(sql::Store& to) {
    auto from = must(source_->open_reader());
    auto writer = must(to.open_writer());
    auto migrated = migrate(*writer, PartialCopy::GoesOn);
    if (!migrated.ok()) return migrated;
    copied_.clear();
    return copy_rows(*from, *writer, [&](const CopiedTable& table) {
      copied_[std::string(table.name)] = table.copied;
    });
  }

  // Every value of every table, row by row; blobs in hex.
  template <typename Row>
  static void dump(sql::Connection& db, std::vector<std::string>& out) {
    auto text = fmt::format("SELECT * FROM {}", Table<Row>::kName);
    auto* statement = must(db.prepare(text));
    std::vector<std::string> rows;
    while (must(statement->step())) {
      std::string row(Table<Row>::kName);
      int column = 0;
      each_column<Row>([&](const auto& c) {
        row += c.text.type == "INTEGER" ? fmt::format("|{}", statement->column_int(column))
                                        : fmt::format("|{}", statement->column_bytes(column));
        ++column;
      });
      rows.push_back(std::move(row));
    }
    statement->reset();
    EXPECT_FALSE(rows.empty()) << Table<Row>::kName << ": the test says nothing of it";
    std::ranges::sort(rows);
    std::ranges::move(rows, std::back_inserter(out));
  }
  static std::vector<std::string> all_rows(sql::Store& store) {
    auto db = must(store.open_reader());
    std::vector<std::string> out;
    auto each = [&]<typename... Row>() { (dump<Row>(*db, out), ...); };
    each.template
    operator()<DedupeRow, RecentKeyRow, EventRow, EnforcementRow, ExecutionRow, QueueRow, OutputRow,
               ResultBlobRow, MessageRow, TimerRow, OutboxRow, QuarantineRow, ChangeRow, RuleRow,
               WebhookRow, TokenRow, PackReleaseRow, OperationRow, WorkerRow, WorkflowRow,
               WorkflowPieceRow, WorkflowRunRow, InquiryRow, KeyRow, CatalogRow>();
    return out;
  }

  TempFolder from_;
  TempFolder to_;
  std::unique_ptr<sql::Store> source_;
  std::unique_ptr<sql::Store> target_;
  std::map<std::string, int64_t> copied_;
};

TEST_P(Copy, HasEveryValueOfEveryRow) {
  must(copy(*target_));
  EXPECT_EQ(all_rows(*target_), all_rows(*source_));
  must(migrate(*must(target_->open_writer())));  // a server may start on it
  EXPECT_EQ(copied_.size(), 25U);                // as many as tables.h has
}

TEST_P(Copy, GoesOnWhereItWasCutOff) {
  for (const char* at : {"INSERT INTO event", "INSERT INTO message", "INSERT INTO key_value"}) {
    WatchedStore watched(*target_);
    watched.watch.fail = [&](std::string_view text) -> std::optional<Error> {
      if (!text.starts_with(at)) return std::nullopt;
      return Error(ErrorKind::Unavailable, sql::kBusy, "planted");
    };
    EXPECT_FALSE(copy(watched).ok()) << at;
    auto refused = migrate(*must(target_->open_writer()));
    ASSERT_FALSE(refused.ok()) << "half a copy is a store to start on";
    EXPECT_EQ(refused.error().code(), sql::kUnfinished);
  }
  must(copy(*target_));
  EXPECT_EQ(copied_["event"], 0) << "copied again";
  EXPECT_EQ(all_rows(*target_), all_rows(*source_));
}

TEST_P(Copy, OfAStoreThatHasChangedSinceIsRefused) {
  WatchedStore watched(*target_);
  watched.watch.fail = [&](std::string_view text) -> std::optional<Error> {
    if (!text.starts_with("INSERT INTO token")) return std::nullopt;
    return Error(ErrorKind::Unavailable, sql::kBusy, "planted");
  };
  EXPECT_FALSE(copy(watched).ok());
  Desk(*source_).write({.feed = {change(1)}});
  auto refused = copy(*target_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), sql::kUnfinished);
  EXPECT_NE(refused.error().message().find("another copy"), std::string::npos);
}

TEST_P(Copy, IntoAStoreWithRowsIsRefused) {
  Desk(*target_).write({.events = {event(1)}});
  auto before = must(query_int(*must(target_->open_reader()), "SELECT count(*) FROM event"));
  auto refused = copy(*target_);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("not empty"), std::string::npos);
  EXPECT_EQ(must(query_int(*must(target_->open_reader()), "SELECT count(*) FROM event")), before);
}

INSTANTIATE_TEST_SUITE_P(Adapters, Copy,
                         ::testing::Combine(::testing::ValuesIn(kStoreAdapters),
                                            ::testing::ValuesIn(kStoreAdapters)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_to_" +
                                  std::get<1>(info.param).name;
                         });

}  // namespace
}  // namespace millrace::store::testing
