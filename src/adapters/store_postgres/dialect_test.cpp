// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/dialect.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace millrace::store_postgres {
namespace {

TEST(Dialect, WritesTypesAsPostgresKnowsThem) {
  EXPECT_EQ(to_dialect("CREATE TABLE t (\n  id BIGINT_KEY PRIMARY KEY,\n  name TEXT NOT NULL,\n"
                       "  n BIGINT NOT NULL,\n  body BYTES NOT NULL\n) /*norowid*/;"),
            "CREATE TABLE t (\n  id BIGINT PRIMARY KEY,\n  name TEXT COLLATE \"C\" NOT NULL,\n"
            "  n BIGINT NOT NULL,\n  body BYTEA NOT NULL\n) /*norowid*/;");
  EXPECT_EQ(to_dialect("BEGIN IMMEDIATE"), "BEGIN");
  EXPECT_EQ(to_dialect("BEGIN EXCLUSIVE"), kBeginAlone);
}

TEST(Dialect, AsksForAPageAsRows) {
  auto page = [](std::string_view where, std::string_view order) {
    return fmt::format("SELECT id FROM t WHERE tenant = $1 AND {} AND x = 8 ORDER BY {} LIMIT $5",
                       where, order);
  };
  EXPECT_EQ(to_dialect(page("status = $2 AND id > $3 AND id < $4", "status DESC, id DESC")),
            page("(status, id) > ($2, $3) AND (status, id) < ($2, $4)", "status DESC, id DESC"));
  EXPECT_EQ(to_dialect(page("parent = $2 AND id > 0 AND id < $3", "parent, id")),
            page("(parent, id) > ($2, 0) AND (parent, id) < ($2, $3)", "parent, id"));
  for (const auto& other :
       {page("status = $2 AND id > $3 AND id < $4", "id"),
        page("status = $2 AND id < $4", "status, id"), page("id > $3 AND id < $4", "id")}) {
    EXPECT_EQ(to_dialect(other), other);
  }
}

TEST(Dialect, KnowsWhoseFaultAnErrorIs) {
  EXPECT_EQ(code_of("53100"), sql::kFull);
  for (const char* damaged : {"XX001", "XX002"}) {
    EXPECT_EQ(code_of(damaged), sql::kDamaged) << damaged;
  }
  for (const char* passing :
       {"40001", "40P01", "53200", "53400", "55006", "55P03", "57014", "58030"}) {
    EXPECT_EQ(code_of(passing), sql::kBusy) << passing;
  }
  for (const char* gone : {"08000", "08006", "25006", "25P02", "25P03", "53300", "57P01", "57P02",
                           "57P03", "57P04", "57P05", ""}) {
    EXPECT_EQ(code_of(gone), sql::kAway) << gone;
  }
  for (const char* of_rows : {"22021", "23505", "23514", "54000", "44000"}) {
    EXPECT_EQ(code_of(of_rows), sql::kConstraint) << of_rows;
  }
  // What would fail again is not tried again: everything else.
  for (const char* terminal :
       {"0A000", "21000", "25001", "26000", "28P01", "2BP01", "3D000", "40002", "42501", "42601",
        "42P01", "55000", "57000", "F0000", "P0001", "XX000", "ZZZZZ"}) {
    EXPECT_EQ(code_of(terminal), sql::kStatement) << terminal;
  }
  EXPECT_EQ(error_of(sql::kBusy, "SELECT 1", "gone\n").message(), "postgres: SELECT 1: gone");
}

}  // namespace
}  // namespace millrace::store_postgres
