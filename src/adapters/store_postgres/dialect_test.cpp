// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/dialect.h"

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

TEST(Dialect, KnowsWhoseFaultAnErrorIs) {
  EXPECT_EQ(code_of("53100"), sql::kFull);
  EXPECT_EQ(code_of("XX001"), sql::kDamaged);
  for (const char* passing : {"40P01", "53200", "55P03", "57014", "58030"}) {
    EXPECT_EQ(code_of(passing), sql::kBusy) << passing;
  }
  for (const char* gone : {"08006", "25006", "28P01", "53300", "57P01", ""}) {
    EXPECT_EQ(code_of(gone), sql::kAway) << gone;
  }
  for (const char* of_rows : {"22021", "23505", "54000"}) {
    EXPECT_EQ(code_of(of_rows), sql::kConstraint) << of_rows;
  }
  for (const char* of_text : {"42P01", "42601", "XX000", "0A000"}) {
    EXPECT_EQ(code_of(of_text), sql::kStatement) << of_text;
  }
  EXPECT_EQ(error_of(sql::kBusy, "SELECT 1", "gone\n").message(), "postgres: SELECT 1: gone");
}

}  // namespace
}  // namespace millrace::store_postgres
