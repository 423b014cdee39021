// SPDX-License-Identifier: Apache-2.0
// What is SQLite's own: error codes, `$N`, time limits, plans.
#include "adapters/store_sqlite/connection.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "adapters/store_sqlite/fault_vfs.h"
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

// Passes every text on to EXPLAIN QUERY PLAN.
class PlanSpy final : public sql::Connection {
 public:
  PlanSpy(std::unique_ptr<sql::Connection> inner, std::map<std::string, std::string>& plans)
      : inner_(std::move(inner)), plans_(plans) {}
  Result<sql::Statement*> prepare(std::string_view text) override {
    if (!plans_.contains(std::string(text))) {
      auto* explain = must(inner_->prepare("EXPLAIN QUERY PLAN " + std::string(text)));
      std::string plan;
      while (must(explain->step())) plan += std::string(explain->column_bytes(3)) + "\n";
      explain->reset();
      plans_.emplace(text, plan);
    }
    return inner_->prepare(text);
  }
  Result<void> run(std::string_view script) override { return inner_->run(script); }
  bool in_transaction() const override { return inner_->in_transaction(); }

 private:
  std::unique_ptr<sql::Connection> inner_;
  std::map<std::string, std::string>& plans_;
};

class SpyStore final : public sql::Store {
 public:
  explicit SpyStore(sql::Store& inner) : inner_(inner) {}
  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    return spy(inner_.open_writer());
  }
  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    return spy(inner_.open_reader());
  }
  Result<void> backup(const std::string& target) override { return inner_.backup(target); }
  Result<int64_t> checkpoint() override { return inner_.checkpoint(); }

  std::map<std::string, std::string> plans;

 private:
  Result<std::unique_ptr<sql::Connection>> spy(Result<std::unique_ptr<sql::Connection>> inner) {
    return std::unique_ptr<sql::Connection>(
        std::make_unique<PlanSpy>(must(std::move(inner)), plans));
  }
  sql::Store& inner_;
};

// No query of the server reads a whole table that grows, or sorts what an index could give.
TEST_F(SqliteTest, EveryStatementUsesAnIndex) {
  auto store = must(open(folder_.path()));
  {
    Desk prepare_schema(*store);
  }
  SpyStore spied(*store);
  {
    store::Committer::Options options;
    auto writer = must(store->open_writer());
    options.owner_epoch = must(store::claim_shards(*writer, "test", kAllShards));
    Desk desk(spied, options, false);
    kernel::Changes all = whole_step(1);
    all.executions = {running(execution(1))};
    all.dequeue = {{kTenant, ExecutionId{1}}};
    all.outputs = {{.execution = ExecutionId{1}, .tenant = kTenant}};
    all.result_blobs = {{ExecutionId{1}, kTenant, "x"}};
    all.acked = {{kTenant, MessageId{1}}};
    all.timers = {timer(1, kNow, 1, "named")};
    all.timers_done = {{kTenant, TimerId{9}}};
    all.timers_of_done = {{kTenant, ExecutionId{9}}};
    all.outbox = {outbox_row(1, 1)};
    all.outbox_done = {{kTenant, OutboxId{1}}};
    all.quarantine = {{.id = 1, .tenant = kTenant}};
    all.rules = {{.id = RuleId{1}, .tenant = kTenant}};
    all.webhooks = {{.id = WebhookId{1}, .tenant = kTenant}};
    all.tokens = {{.id = TokenId{1}, .tenant = kTenant}};
    all.tokens_done = {{kTenant, TokenId{1}}};
    all.pack_releases = {{.tenant = kTenant}};
    all.keys = {{.key = {kTenant, "system", "k"}}};
    all.workers = {{.id = WorkerId{1}, .tenant = kTenant}};
    using enum kernel::Expirable;
    for (auto kind : {Events, Executions, Changes, Dedupe, Quarantine, Keys}) {
      all.expire.push_back({kind, kNow, 1});
    }
    desk.write(all);
    auto db = must(spied.open_reader());
    for (auto kind : {Events, Executions, Changes, Dedupe, Quarantine, Keys}) {
      must(store::anything_to_expire(*db, kind, kNow));
    }
    must(store::find_execution(*db, kTenant, ExecutionId{1}));
    must(store::find_execution(*db, kTenant, ExecutionId{1}));
    for (const store::ExecutionFilter& filter :
         std::vector<store::ExecutionFilter>{{},
                                             {.status = ExecutionStatus::Running},
                                             {.action = "a"},
                                             {.parent = ExecutionId{1}},
                                             {.open_only = true}}) {
      must(store::list_executions(*db, kTenant, filter, {}));
    }
    must(store::children_of(*db, kTenant, ExecutionId{1}));
    must(store::open_descendants(*db, kTenant, ExecutionId{1}));
    std::vector<ExecutionStatus> live{ExecutionStatus::Running};
    must(store::executions_in(*db, kAllShards, live));
    must(store::pinned_releases(*db));
    must(store::find_result_blob(*db, kTenant, ExecutionId{1}));
    must(store::outputs_of(*db, kTenant, ExecutionId{1}));
    must(store::find_event(*db, kTenant, EventId{1}));
    must(store::find_event(*db, kTenant, EventId{1}));
    must(store::list_events(*db, kTenant, "", {}));
    must(store::list_events(*db, kTenant, "t", {}));
    must(store::find_enforcement(*db, kTenant, EnforcementId{1}));
    must(store::enforcements_of(*db, kTenant, EventId{1}));
    must(store::list_enforcements(*db, kTenant, RuleId{1}, {}));
    must(store::list_enforcements(*db, kTenant, {}, {}));
    must(store::queue_head(*db, kAllShards, kTenant, 1));
    must(store::find_dedupe(*db, kTenant, "s", "k"));
    must(store::load_timer(*db, kTenant, TimerId{1}));
    must(store::timers_until(*db, kAllShards, kNow, 1));
    must(store::messages(*db, kAllShards, 0, 1));
    must(store::outbox(*db, kAllShards, 0, 1));
    must(store::list_quarantine(*db, kTenant, {}));
    must(store::changes_after(*db, kTenant, 0, 1));
    must(store::last_change(*db));
    must(store::newest_id(*db));
    must(store::rule_revisions(*db, kTenant, RuleId{1}));
    must(store::find_rule(*db, kTenant, "r"));
    must(store::find_key(*db, {kTenant, "system", "k"}));
    must(store::list_keys(*db, {kTenant, "", ""}, "", 1));
    must(store::list_keys(*db, {kTenant, "", ""}, "system", 1));
  }
  EXPECT_GT(spied.plans.size(), 60U);
  for (const auto& [text, plan] : spied.plans) {
    EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << text << "\n" << plan;
    // A walk in the order of the ids ends at its LIMIT.
    if (text.find("LIMIT") != std::string::npos) continue;
    for (std::string table : {"event", "enforcement", "execution", "queue", "output", "timer",
                              "dedupe", "change_feed", "rule", "key_value", "old", "x", "n"}) {
      EXPECT_EQ(plan.find("SCAN " + table + "\n"), std::string::npos) << text << "\n" << plan;
    }
  }
}

}  // namespace
}  // namespace millrace::store_sqlite
