// SPDX-License-Identifier: Apache-2.0
// Queries whose rows are never in memory as a whole.
#include "adapters/store_postgres/test_support.h"
#include "store/row_reader.h"

namespace millrace::store::testing {
namespace {

class Pieces : public ::testing::Test {
 protected:
  Pieces() {
    std::string schema = std::filesystem::path(folder_.path()).filename().string();
    const auto& cluster = PostgresCluster::of_this_process();
    auto store = must(cluster.open(folder_.path()));
    auto db = must(store->open_writer());
    must(db->run("CREATE TABLE t (id BIGINT PRIMARY KEY, body TEXT NOT NULL)"));
    must(db->run("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 30000) AS n"));
    reader_ = must(store_postgres::open_reader({.url = cluster.url(), .schema = schema}));
  }
  int64_t number(std::string_view text) { return must(query_int(*reader_, text)); }

  TempFolder folder_;
  std::unique_ptr<sql::Connection> reader_;
};

TEST_F(Pieces, AreReadOneAfterTheOther) {
  must(reader_->run("BEGIN"));
  auto* rows = must(reader_->prepare("SELECT id, body FROM t WHERE id > $1 ORDER BY id"));
  for (int round = 0; round < 2; ++round) {
    rows->bind(int64_t{10});
    int64_t id = 10;
    while (must(rows->step())) {
      ASSERT_EQ(rows->column_int(0), ++id);
      ASSERT_EQ(rows->column_bytes(1).size(), 1000U);
      // Others may be asked meanwhile. Only what holds it is open: it is not all in memory.
      if (id % 10'000 == 0)
        EXPECT_EQ(number("SELECT count(*) FROM pg_cursors WHERE name LIKE 'c%'"), 2);
    }
    EXPECT_EQ(id, 30'000);
    rows->reset();
    EXPECT_EQ(number("SELECT count(*) FROM pg_cursors WHERE name LIKE 'c%'"), 1);
  }
  must(reader_->run("COMMIT"));
}

TEST_F(Pieces, MayBeLeftInTheMiddle) {
  must(reader_->run("BEGIN"));
  auto* rows = must(reader_->prepare("SELECT id FROM t ORDER BY id"));
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(must(rows->step()));
    EXPECT_EQ(rows->column_int(0), 1);
    rows->reset();
  }
  EXPECT_EQ(number("SELECT count(*) FROM t WHERE id < 0"), 0);
  must(reader_->run("ROLLBACK"));
  // Outside of a transaction there are no cursors.
  ASSERT_TRUE(must(rows->step()));
  rows->reset();
}

}  // namespace
}  // namespace millrace::store::testing
