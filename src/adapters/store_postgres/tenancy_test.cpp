// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/tenancy.h"

#include <gtest/gtest.h>

namespace millrace::store_postgres {
namespace {

using Of = Tenancy::Of;

TEST(TenancyOfAStatement, IsToldByItsText) {
  struct Case {
    const char* text;
    Of of;
    int parameter;
  };
  const Case cases[] = {
      {"SELECT id FROM event WHERE id = $1 AND tenant = $2", Of::Bound, 2},
      {"SELECT 1 FROM workflow_run AS w WHERE w.tenant = $12", Of::Bound, 12},
      {"UPDATE workflow SET head = $5 WHERE execution = $1 AND tenant = $2", Of::Bound, 2},
      {"DELETE FROM key_value WHERE tenant = $1 AND name = $3", Of::Bound, 1},
      {"INSERT INTO queue (execution, tenant, shard) VALUES ($1, $2, $3)", Of::Bound, 2},
      {"INSERT INTO dedupe (tenant, key) VALUES ($1, $2) ON CONFLICT (tenant, key) DO NOTHING",
       Of::Bound, 1},
      {"SELECT due FROM timer /*every tenant: sweep*/ WHERE due < $1", Of::Every, 0},
      {"DECLARE c1 CURSOR FOR SELECT key FROM dedupe /*every tenant: doctor*/", Of::Every, 0},
      {"SELECT count(*) FROM event", Of::Unbound, 0},
      {"UPDATE rule SET enabled = $1 WHERE id = $2", Of::Unbound, 0},
      {"INSERT INTO event (id, tenant) SELECT 1, 1", Of::Unbound, 0},
      {"INSERT INTO meta (name, value) VALUES ($1, $2)", Of::Nobody, 0},
      {"SELECT coalesce(max(epoch), 0) FROM shard", Of::Nobody, 0},
      {"SELECT pg_advisory_xact_lock($1)", Of::Nobody, 0},
      {"FETCH 16 FROM c1", Of::Nobody, 0},
      {"CLOSE c1", Of::Nobody, 0},
      {"COMMIT", Of::Nobody, 0},
  };
  for (const auto& each : cases) {
    auto found = tenancy_of(each.text);
    EXPECT_EQ(found.of, each.of) << each.text;
    EXPECT_EQ(found.parameter, each.parameter) << each.text;
  }
}

TEST(TenancyOfAStatement, GivesTheTenantsOfItsRows) {
  Rows rows;
  for (int64_t tenant : {7, 1, 7}) {
    rows.put_int(1, 99);
    rows.put_int(2, tenant);
    rows.end_row();
  }
  EXPECT_EQ(tenants_of({Of::Bound, 2}, rows), "{1,7}");
  EXPECT_EQ(tenants_of({Of::Bound, 3}, rows), "{}");
  EXPECT_EQ(tenants_of({Of::Every}, rows), "*");
  EXPECT_EQ(tenants_of({Of::Unbound}, rows), "{}");
  EXPECT_EQ(tenants_of({Of::Nobody}, rows), std::nullopt);
}

}  // namespace
}  // namespace millrace::store_postgres
