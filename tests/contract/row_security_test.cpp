// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's row level security (adapters/store_postgres/tenancy.h): what our statements do is
// the same with it, and one that names no tenant finds nothing.
#include <algorithm>

#include "every_row.h"
#include "store/copy.h"
#include "store/doctor.h"
#include "store/row_reader.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

class RowSecurity : public ::testing::Test {
 protected:
  RowSecurity() {
    const auto& cluster = PostgresCluster::of_this_process();
    std::string schema = std::filesystem::path(folder_.path()).filename().string();
    auto admin = must(
        must(store_postgres::open({.url = cluster.url(), .schema = schema + "_a"}))->open_writer());
    must(
        admin->run("DO $$ BEGIN CREATE ROLE application LOGIN; EXCEPTION WHEN duplicate_object "
                   "THEN NULL; END $$; GRANT CREATE ON DATABASE postgres TO application"));
    // Of the owner of the tables, who is no superuser.
    std::string url = cluster.url();
    url.replace(url.find("user=millrace"), 13, "user=application");
    store_ = must(store_postgres::open({.url = url, .schema = schema, .row_security = true}));
    desk_ = std::make_unique<Desk>(*store_);
    reader_ = must(store_->open_reader());
  }
  template <typename... Args>
  int64_t number(std::string_view text, const Args&... args) {
    return must(query_int(*reader_, text, args...));
  }

  TempFolder folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<sql::Connection> reader_;
};

TEST_F(RowSecurity, AStatementThatNamesNoTenantFindsNothing) {
  desk_->write({.events = {event(1), event(2, kOtherTenant), event(3, kOtherTenant)}});
  EXPECT_EQ(number("SELECT count(*) FROM event WHERE tenant = $1", kTenant), 1);
  EXPECT_EQ(number("SELECT count(*) FROM event"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM event WHERE tenant = $1", kOtherTenant), 2);
  EXPECT_EQ(number("SELECT count(*) FROM event"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM event /*every tenant: doctor*/"), 3);
  // Where the tenant of the other table was forgotten.
  EXPECT_EQ(number("SELECT count(*) FROM event AS a JOIN event AS b ON b.id <> a.id "
                   "WHERE a.tenant = $1",
                   kTenant),
            0);
  auto db = must(store_->open_writer());
  auto* forget = must(db->prepare("DELETE FROM event WHERE id = $1"));
  EXPECT_EQ(must(forget->execute(int64_t{1})), 0);
  auto* steal = must(db->prepare("UPDATE event SET tenant = 2 WHERE id = $1 AND tenant = $2"));
  EXPECT_FALSE(steal->execute(int64_t{1}, kTenant).ok());
  EXPECT_EQ(number("SELECT count(*) FROM event WHERE tenant = $1", kTenant), 1);
}

// It would be refused for ever.
TEST_F(RowSecurity, ARowThatItRefusesIsNotTriedAgain) {
  auto db = must(store_->open_writer());
  auto* steal = must(db->prepare("UPDATE event SET tenant = 2 WHERE id = $1 AND tenant = $2"));
  desk_->write({.events = {event(1)}});
  auto refused = steal->execute(int64_t{1}, kTenant);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), sql::kConstraint) << refused.error().message();
  EXPECT_NE(refused.error().message().find("its tenant is none that the statement named"),
            std::string::npos)
      << refused.error().message();
  auto admin = must(PostgresCluster::of_this_process().open(folder_.path()));
  must(must(admin->open_writer())->run("REVOKE DELETE ON event FROM application"));
  auto taken = must(db->prepare("DELETE FROM event WHERE id = $1 AND tenant = $2"))
                   ->execute(int64_t{1}, kTenant);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), sql::kStatement) << taken.error().message();
}

// What was set in a transaction that is rolled back does not hold any more.
TEST_F(RowSecurity, HoldsBehindATransactionThatIsRolledBack) {
  desk_->write({.events = {event(1), event(2, kOtherTenant)}});
  auto db = must(store_->open_writer());
  auto count = [&](TenantId tenant) {
    return must(query_int(*db, "SELECT count(*) FROM event WHERE tenant = $1", tenant));
  };
  EXPECT_EQ(count(kTenant), 1);
  must(db->run("BEGIN IMMEDIATE"));
  EXPECT_EQ(count(kOtherTenant), 1);
  must(db->run("ROLLBACK"));
  EXPECT_EQ(count(kOtherTenant), 1);
  must(db->run("BEGIN IMMEDIATE"));
  EXPECT_EQ(count(kTenant), 1);
  EXPECT_FALSE(must(db->prepare("INSERT INTO event (id) VALUES ($1)"))->execute(int64_t{9}).ok());
  must(db->run("ROLLBACK"));
  EXPECT_EQ(count(kTenant), 1);
}

TEST_F(RowSecurity, ChangesNothingForOurStatements) {
  desk_->write(everything(20));
  auto findings = must(examine(*reader_, {.now_ms = kNow}));
  auto plain = must(PostgresCluster::of_this_process().open(folder_.path() + "_plain"));
  Desk(*plain).write(everything(20));
  auto there = must(plain->open_reader());
  EXPECT_EQ(findings.size(), must(examine(*there, {.now_ms = kNow})).size());
  auto rows_of = [](sql::Connection& from) {
    TempFolder folder;
    auto copy = must(store_sqlite::open(folder.path()));
    auto to = must(copy->open_writer());
    must(migrate(*to));
    std::vector<std::pair<std::string, int64_t>> rows;
    must(copy_rows(from, *to,
                   [&](const CopiedTable& table) { rows.emplace_back(table.name, table.rows); }));
    return rows;
  };
  auto expected = rows_of(*there);
  EXPECT_EQ(rows_of(*reader_), expected);
  auto is_filled = [](const auto& table) { return table.second > 0; };
  EXPECT_GT(std::ranges::count_if(expected, is_filled), 10);
}

TEST_F(RowSecurity, IsTakenAwayWhereItIsNotWanted) {
  desk_->write({.events = {event(1)}});
  std::string url = PostgresCluster::of_this_process().url();
  url.replace(url.find("user=millrace"), 13, "user=application");
  auto open = must(store_postgres::open(
      {.url = url, .schema = std::filesystem::path(folder_.path()).filename().string()}));
  auto reader = must(open->open_reader());
  EXPECT_EQ(must(query_int(*reader, "SELECT count(*) FROM event")), 1);
}

}  // namespace
}  // namespace millrace::store::testing
