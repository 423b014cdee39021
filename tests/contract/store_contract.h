// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/store_postgres/test_support.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "store/test_support.h"

namespace millrace::store::testing {

struct StoreAdapter {
  const char* name;
  Result<std::unique_ptr<sql::Store>> (*open)(const std::string& folder);
};

// Every adapter of the SQL port. The tests below run against each.
inline const StoreAdapter kStoreAdapters[] = {
    {"sqlite", [](const std::string& folder) { return store_sqlite::open(folder); }},
    {"postgres",
     [](const std::string& folder) { return PostgresCluster::of_this_process().open(folder); }},
};

// An open store with the newest schema, a desk that writes to it and a connection that reads.
class StoreContract : public ::testing::TestWithParam<StoreAdapter> {
 protected:
  StoreContract()
      : store_(must(GetParam().open(folder_.path()))),
        desk_(std::make_unique<Desk>(*store_)),
        reader_(must(store_->open_reader())) {}

  // An int of the store, by a query of the test's own.
  int64_t count(std::string_view query) {
    auto* statement = must(reader_->prepare(query));
    EXPECT_TRUE(must(statement->step())) << query;
    int64_t value = statement->column_int(0);
    statement->reset();
    return value;
  }

  TempFolder folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<sql::Connection> reader_;
};

inline std::string adapter_name(const ::testing::TestParamInfo<StoreAdapter>& info) {
  return info.param.name;
}

}  // namespace millrace::store::testing

#define STORE_CONTRACT(Suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(Adapters, Suite,                                                 \
                           ::testing::ValuesIn(::millrace::store::testing::kStoreAdapters), \
                           ::millrace::store::testing::adapter_name)
