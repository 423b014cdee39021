// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/arrays.h"

#include "adapters/store_postgres/test_support.h"
#include "store/row_reader.h"

namespace millrace::store::testing {
namespace {

using store_postgres::insert_of_arrays;

TEST(Arrays, AreOfPlainInsertsOnly) {
  EXPECT_EQ(insert_of_arrays("INSERT INTO t (a, b) VALUES ($1, $2)", 2),
            "INSERT INTO t (a, b) SELECT * FROM unnest($1, $2)");
  for (const char* other :
       {"INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO NOTHING",
        "INSERT INTO t (a, b) VALUES ($2, $1)", "INSERT INTO t (a, b, c) VALUES ($1, $2, 0)",
        "DELETE FROM t WHERE a = $1 AND b = $2"}) {
    EXPECT_EQ(insert_of_arrays(other, 2), std::nullopt) << other;
  }
}

// As many as it takes, with values of each kind, and one row that is wrong among them.
TEST(Arrays, WriteWhatTheRowsWouldHaveWritten) {
  TempFolder folder;
  auto store = must(PostgresCluster::of_this_process().open(folder.path()));
  auto db = must(store->open_writer());
  must(
      db->run("CREATE TABLE t (id BIGINT PRIMARY KEY, small INT NOT NULL, name TEXT NOT NULL, "
              "body BYTEA NOT NULL)"));
  constexpr std::string_view kInsert =
      "INSERT INTO t (id, small, name, body) VALUES ($1, $2, $3, $4)";
  auto write = [&](int64_t from, int64_t count, int64_t twice) {
    must(db->run("BEGIN IMMEDIATE"));
    auto batch = must(db->batch(kInsert));
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i) names.push_back("n'\"{" + std::to_string(i) + ",\xc3\xa4");
    for (int64_t i = 0; i < count; ++i) {
      int64_t id = from + (i == twice ? 0 : i);
      batch->add(id, -i, i % 3 == 0 ? std::string_view() : names[static_cast<size_t>(i)],
                 sql::Blob{kBytes});
    }
    must(batch->put_off({}));
    return db->commit();
  };
  auto written = write(1, 100, -1);
  must(std::move(written.rows));
  must(std::move(written.commit));
  EXPECT_EQ(must(query_int(*db, "SELECT count(*) FROM t WHERE small = 1 - id")), 100);
  EXPECT_EQ(must(query_int(*db,
                           "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE "
                           "'INSERT INTO t %unnest%'")),
            1);
  auto* row = must(db->prepare("SELECT name, body FROM t WHERE id = $1"));
  row->bind(int64_t{2});
  ASSERT_TRUE(must(row->step()));
  EXPECT_EQ(row->column_bytes(0), "n'\"{1,\xc3\xa4");
  EXPECT_EQ(row->column_bytes(1), kBytes);
  row->reset();
  auto refused = write(1000, 50, 20);
  ASSERT_FALSE(refused.rows.ok());
  EXPECT_EQ(refused.rows.error().code(), sql::kConstraint);
  must(db->run("ROLLBACK"));
  EXPECT_EQ(must(query_int(*db, "SELECT count(*) FROM t")), 100);
}

}  // namespace
}  // namespace millrace::store::testing
