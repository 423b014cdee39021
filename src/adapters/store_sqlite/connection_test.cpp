// SPDX-License-Identifier: Apache-2.0
// What is SQLite's own: error codes, `$N`, time limits.
#include "adapters/store_sqlite/connection.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "adapters/store_sqlite/fault_vfs.h"
#include "adapters/store_sqlite/grouped_insert.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "adapters/store_sqlite/whole_steps.h"

namespace millrace::store_sqlite {
namespace {

using namespace store::testing;

class SqliteTest : public ::testing::Test {
 protected:
  std::string file() const { return folder_.path() + "/millrace.db"; }
  std::unique_ptr<SqliteConnection> connect(const std::string& vfs = "") {
    return must(SqliteConnection::open(folder_.path() + "/t.db",
                                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs));
  }

  TempFolder folder_;
};

TEST_F(SqliteTest, ParametersAreNumberedWhereverTheyStand) {
  auto db = connect();
  auto* select = must(db->prepare("SELECT $2 || '-' || $1 || '-' || $2"));
  select->bind("one", "two");
  ASSERT_TRUE(must(select->step()));
  EXPECT_EQ(select->column_bytes(0), "two-one-two");
}

TEST_F(SqliteTest, AStatementIsPreparedOncePerText) {
  auto db = connect();
  std::string text = "SELECT 1";
  auto* first = must(db->prepare(text));
  EXPECT_EQ(must(db->prepare(std::string("SELECT 1"))), first);
  // The same memory with another text is another statement.
  text = "SELECT 2";
  EXPECT_NE(must(db->prepare(text)), first);
}

TEST_F(SqliteTest, RowsOfAPlainInsertGoInGroupsWhateverTheirNumber) {
  constexpr std::string_view kInsert = "INSERT INTO t (a, b, c) VALUES ($1, $2, $3)";
  auto db = connect();
  must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c BLOB NOT NULL)"));
  auto* select = must(db->prepare("SELECT count(*), sum(a), min(b), typeof(c) FROM t"));
  auto* last = must(db->prepare("SELECT b, c FROM t WHERE a = $1"));
  int64_t rows = 0;
  int64_t sum = 0;
  for (int64_t more : {0, 1, 15, 16, 17, 40}) {
    auto batch = must(db->batch(kInsert));
    for (int64_t i = 0; i < more; ++i) {
      batch->add(++rows, i % 2 == 0 ? "even" : "odd", sql::Blob{i % 2 == 0 ? "" : "x"});
      sum += rows;
    }
    auto touched = must(batch->flush());
    EXPECT_EQ(std::vector<int64_t>(touched.begin(), touched.end()),
              std::vector<int64_t>(static_cast<size_t>(more), 1));
    ASSERT_TRUE(must(select->step()));
    EXPECT_EQ(select->column_int(0), rows);
    EXPECT_EQ(select->column_int(1), sum);
    select->reset();
  }
  last->bind(rows);
  ASSERT_TRUE(must(last->step()));
  EXPECT_EQ(last->column_bytes(0), "odd");
  EXPECT_EQ(last->column_bytes(1), "x");
}

TEST_F(SqliteTest, OfAGroupWithARowThatCannotBeNothingIsWritten) {
  auto db = connect();
  must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL)"));
  for (int64_t repeated : {3, 20}) {
    must(db->run("BEGIN IMMEDIATE"));
    auto batch = must(db->batch("INSERT INTO t (a, b) VALUES ($1, $2)"));
    for (int64_t i = 0; i < 24; ++i) batch->add(i == repeated ? i - 1 : i, "x");
    auto flushed = batch->flush();
    ASSERT_FALSE(flushed.ok());
    EXPECT_EQ(flushed.error().code(), sql::kConstraint);
    must(db->run("ROLLBACK"));
    batch->add(int64_t{1}, "y");
    EXPECT_EQ(must(batch->flush()).size(), 1U) << "its failure is forgotten";
    must(db->run("DELETE FROM t"));
  }
}

TEST_F(SqliteTest, WhatIsMoreThanAnInsertGoesRowByRow) {
  EXPECT_TRUE(GroupedInsert::group_text("INSERT INTO t (a) VALUES ($1)").ends_with("($15), ($16)"));
  for (const char* text : {"INSERT INTO t (a, b) VALUES ($2, $1)", "UPDATE t SET a = $1",
                           "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO NOTHING",
                           "INSERT INTO t (a, b) VALUES ($1, 0)", "INSERT INTO t DEFAULT VALUES"}) {
    EXPECT_EQ(GroupedInsert::group_text(text), "") << text;
  }
}

// What deleted rows leave goes back to the disk, in small commits; some of it stays.
TEST_F(SqliteTest, FreePagesAreGivenBackUntilATenthIsLeft) {
  auto store = must(open(folder_.path()));
  auto writer = must(store->open_writer());
  must(writer->run("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB NOT NULL)"));
  EXPECT_FALSE(must(writer->give_back(100))) << "nothing is free";
  constexpr std::string_view kFill =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
      "INSERT INTO t SELECT i, zeroblob(3900) FROM n";
  must(writer->run(kFill));
  must(writer->run("DELETE FROM t WHERE a % 100 > 0"));
  must(store->checkpoint());
  auto before = std::filesystem::file_size(file());
  EXPECT_GT(before, 19'000'000u);
  int steps = 0;
  while (must(writer->give_back(256))) ++steps;
  EXPECT_GE(steps, 17);
  EXPECT_FALSE(must(writer->give_back(256)));
  must(store->checkpoint());
  EXPECT_LT(std::filesystem::file_size(file()), 1'600'000u);
  EXPECT_TRUE(must(writer->check_integrity()).empty());
}

TEST_F(SqliteTest, ErrorsHaveStableCodes) {
  auto db = connect();
  must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL)"));
  auto code = [&](std::string_view text) {
    auto prepared = db->prepare(text);
    if (!prepared.ok()) return prepared.error().code();
    auto done = (*prepared)->execute();
    return done.ok() ? std::string("ok") : done.error().code();
  };
  EXPECT_EQ(code("INSERT INTO t VALUES (1, 'x')"), "ok");
  EXPECT_EQ(code("INSERT INTO t VALUES (1, 'y')"), sql::kConstraint);
  EXPECT_EQ(code("INSERT INTO t VALUES (2, NULL)"), sql::kConstraint);
  EXPECT_EQ(code("INSERT INTO t VALUES ('no id', 'x')"), sql::kConstraint);
  EXPECT_EQ(code("SELECT * FROM nowhere"), sql::kStatement);
  EXPECT_EQ(code("SELEC"), sql::kStatement);
}

TEST_F(SqliteTest, AFileThatIsNoDatabaseIsDamage) {
  std::ofstream(file()) << std::string(8192, 'x');
  auto store = open(folder_.path());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), sql::kDamaged);
}

TEST_F(SqliteTest, ADamagedPageIsFoundByTheIntegrityCheck) {
  {
    auto db = connect();
    must(db->run("CREATE TABLE t (a TEXT); CREATE INDEX i ON t (a)"));
    auto* insert = must(db->prepare("INSERT INTO t VALUES ($1)"));
    for (int i = 0; i < 500; ++i) must(insert->execute(std::string(100, 'a') + std::to_string(i)));
    EXPECT_TRUE(must(db->check_integrity()).empty());
  }
  std::fstream damage(folder_.path() + "/t.db", std::ios::in | std::ios::out | std::ios::binary);
  damage.seekp(4096 * 5);
  damage << std::string(4096, '\x7f');
  damage.close();
  auto db = connect();
  auto found = db->check_integrity();
  EXPECT_TRUE(!found.ok() || !found->empty());
}

// After SQLITE_FULL the engine may have rolled back by itself: going on would run in autocommit.
TEST_F(SqliteTest, AFullDiskEndsTheTransactionAndTheConnectionSaysSo) {
  FaultVfs::instance();
  auto db = connect(FaultVfs::kName);
  must(db->run("PRAGMA journal_mode=DELETE; CREATE TABLE t (a BLOB)"));
  must(db->run("PRAGMA cache_size=1; BEGIN IMMEDIATE"));
  EXPECT_TRUE(db->in_transaction());
  FaultVfs::instance().arm({.op = DiskOp::Write, .nth = 5, .error = ENOSPC});
  auto* insert = must(db->prepare("INSERT INTO t VALUES ($1)"));
  std::string failed_with;
  for (int i = 0; i < 100 && failed_with.empty(); ++i) {
    auto done = insert->execute(std::string(5000, 'x'));
    if (!done.ok()) failed_with = done.error().code();
  }
  FaultVfs::instance().disarm();
  EXPECT_EQ(failed_with, sql::kFull);
  EXPECT_FALSE(db->in_transaction());
}

TEST_F(SqliteTest, AReaderIsCutOffAndCanReadOn) {
  auto store = must(open(folder_.path(), {.reader_limit_ms = 20}));
  Desk desk(*store);
  auto reader = must(store->open_reader());
  auto* endless =
      must(reader->prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                           "SELECT max(i) FROM n"));
  auto cut = endless->step();
  endless->reset();
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code(), sql::kBusy);
  EXPECT_NE(cut.error().message().find("took longer than 20 ms"), std::string::npos)
      << cut.error().message();
  EXPECT_EQ(must(store::newest_id(*reader)), 0);
}

TEST_F(SqliteTest, WhoStopsWaitsForNoReader) {
  auto store = must(open(folder_.path()));
  Desk desk(*store);
  auto reader = must(store->open_reader());
  auto* endless =
      must(reader->prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                           "SELECT max(i) FROM n"));
  store->cut_reads(std::chrono::steady_clock::now());
  auto cut = endless->step();
  endless->reset();
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code(), sql::kBusy);
  EXPECT_NE(cut.error().message().find("the server is stopping"), std::string::npos)
      << cut.error().message();
  store->cut_reads(std::chrono::steady_clock::time_point::max());
  EXPECT_EQ(must(store::newest_id(*reader)), 0);
}

TEST_F(SqliteTest, TheStoreIsForItsUserOnly) {
  auto store = must(open(folder_.path()));
  Desk desk(*store);
  for (const char* name : {"/millrace.db", "/millrace.db-wal", "/millrace.db-shm"}) {
    struct stat about{};
    ASSERT_EQ(stat((folder_.path() + name).c_str(), &about), 0) << name;
    EXPECT_EQ(about.st_mode & 0777, 0600U) << name;
  }
}

TEST_F(SqliteTest, TheLogStaysBelowItsBoundUnderLoad) {
  auto store = must(open(folder_.path()));
  store::Committer::Options options;
  options.checkpoint_bytes = 256 << 10;
  options.max_log_bytes = 1 << 20;
  Desk desk(*store, options);
  uintmax_t largest = 0;
  for (int64_t n = 0; n < 3000;) {
    std::vector<Order> orders;
    for (int i = 0; i < 50; ++i) orders.push_back({whole_step(++n), 0});
    desk.commit(std::move(orders));
    largest = std::max(largest, std::filesystem::file_size(file() + "-wal"));
  }
  // One batch may carry it over the bound.
  EXPECT_LT(largest, 2U << 20);
}

// SQLite's WAL-reset bug (log_marks.h) needs a checkpoint that has nothing to move.
TEST_F(SqliteTest, ALogThatWasMovedIsNotMovedAgainBesideACommit) {
  FaultVfs::instance();
  auto store = must(open(folder_.path(), {.vfs = FaultVfs::kName}));
  auto db = must(store->open_writer());
  auto asked_by_checkpoint = [&] {
    int64_t before = FaultVfs::instance().locks_asked();
    must(store->checkpoint());
    return FaultVfs::instance().locks_asked() - before;
  };
  must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  EXPECT_GT(asked_by_checkpoint(), 0);
  EXPECT_EQ(asked_by_checkpoint(), 0);
  for (int i = 0; i < 3; ++i) {  // it begins anew with the first of them
    must(db->run("INSERT INTO t DEFAULT VALUES"));
    EXPECT_GT(asked_by_checkpoint(), 0);
    EXPECT_EQ(asked_by_checkpoint(), 0);
  }
  EXPECT_TRUE(must(store->empty_log()));
  must(db->run("INSERT INTO t DEFAULT VALUES"));
  EXPECT_GT(must(store->checkpoint()), 0);
}

// Two connections in each other's way are nobody's fault.
TEST_F(SqliteTest, AWriterThatHasTheStoreMakesOthersBusy) {
  auto store = must(open(folder_.path()));
  Desk desk(*store);
  desk.close();
  auto first = must(SqliteConnection::open(file(), SQLITE_OPEN_READWRITE, ""));
  auto second = must(SqliteConnection::open(file(), SQLITE_OPEN_READWRITE, ""));
  sqlite3_busy_timeout(second->handle(), 1);
  must(first->run("BEGIN IMMEDIATE"));
  auto refused = second->run("BEGIN IMMEDIATE");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), sql::kBusy);
}

// What the files of the store hold, as they are on the disk.
class DeletedTest : public SqliteTest {
 protected:
  bool holds(const std::string& name, const std::string& what) const {
    std::ifstream in(name, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    return bytes.find(what) != std::string::npos;
  }
  bool is_there(const std::string& what) const {
    return holds(file(), what) || holds(file() + "-wal", what);
  }
};

TEST_F(DeletedTest, AValueThatWasDeletedOrReplacedIsNowhere) {
  auto store = must(open(folder_.path()));
  auto db = must(store->open_writer());
  must(db->run("CREATE TABLE t (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"));
  for (int i = 0; i < 200; ++i) {
    must(db->run("INSERT INTO t VALUES ('n" + std::to_string(i) + "', 'canary" +
                 std::to_string(i % 2) + "')"));
  }
  must(store->checkpoint());
  must(db->run("DELETE FROM t WHERE value = 'canary0'"));
  must(db->run("UPDATE t SET value = 'x' WHERE value = 'canary1'"));
  EXPECT_TRUE(is_there("canary"));
  EXPECT_TRUE(must(store->empty_log()));
  EXPECT_FALSE(is_there("canary"));
  EXPECT_EQ(std::filesystem::file_size(file() + "-wal"), 0U);
}

TEST_F(DeletedTest, AReaderKeepsTheLogAndNobodyWaits) {
  auto store = must(open(folder_.path()));
  auto db = must(store->open_writer());
  must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  auto reader = must(store->open_reader());
  must(reader->run("BEGIN"));
  must(must(reader->prepare("SELECT * FROM t"))->step());
  must(db->run("INSERT INTO t VALUES (1)"));
  EXPECT_FALSE(must(store->empty_log()));
  must(reader->run("COMMIT"));
  EXPECT_TRUE(must(store->empty_log()));
}

TEST_F(SqliteTest, StoreAndBackupAreTheirOwnersWhateverTheUmask) {
  auto before = ::umask(0);
  auto store = must(open(folder_.path()));
  must(store->backup(folder_.path() + "/copy.db"));
  ::umask(before);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    struct stat found{};
    ASSERT_EQ(::stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600U) << entry.path();
  }
}

}  // namespace
}  // namespace millrace::store_sqlite
