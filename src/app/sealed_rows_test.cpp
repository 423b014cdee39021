// SPDX-License-Identifier: Apache-2.0
#include "app/sealed_rows.h"

#include <fmt/format.h>

#include "app/test_support.h"
#include "auth/crypto.h"

namespace millrace::app {
namespace {

class SealedRowsTest : public DataFolder {
 protected:
  void SetUp() override {
    open_store();
    db_ = reader();
  }
  // `count` keys of this ring, the later ones newer.
  void seal(const auth::KeyRing& ring, int count) {
    std::vector<kernel::KeyRow> rows;
    for (int i = 0; i < count; ++i) {
      kernel::KeyRow row{.key = {kDefaultTenant, "system", fmt::format("k{}", ++number_)}};
      row.version = 1;
      row.encrypted = true;
      row.created = row.updated = number_;
      row.value_json = ring.seal({row.key.tenant, row.key.scope, row.key.name, row.version}, "v",
                                 auth::system_random());
      rows.push_back(std::move(row));
    }
    std::vector<const kernel::KeyRow*> each;
    for (const auto& row : rows) each.push_back(&row);
    commit(
        [&](sql::Connection& db) { return store::write_rows<&kernel::Changes::keys>(db, each); });
  }
  size_t tried(const auth::KeyRing& ring) {
    auto found = try_ring(*db_, ring);
    EXPECT_TRUE(found.ok()) << found.error().describe();
    return found.ok() ? found->all : 0;
  }
  bool starts(const auth::KeyRing& ring) { return check_ring(*db_, ring, DataPaths(data_)).ok(); }

  int64_t number_ = 0;
  std::unique_ptr<sql::Connection> db_;
  auth::KeyRing own_ = auth::KeyRing::create(auth::system_random());
  auth::KeyRing other_ = auth::KeyRing::create(auth::system_random());
};

TEST_F(SealedRowsTest, OneThatOpensIsEnough) {
  EXPECT_TRUE(starts(own_)) << "nothing is sealed";
  seal(own_, 300);
  EXPECT_EQ(tried(own_), 1u);
  EXPECT_TRUE(starts(own_));
}

TEST_F(SealedRowsTest, ARingThatOpensNoneIsRefusedAfterABoundedNumber) {
  seal(own_, 300);
  EXPECT_EQ(tried(other_), static_cast<size_t>(kMostTried));
  auto refused = check_ring(*db_, other_, DataPaths(data_));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "APP-0043");
}

TEST_F(SealedRowsTest, WhatIsSetAnewByANewRingIsTriedFirst) {
  seal(own_, 300);
  seal(other_, 1);
  EXPECT_EQ(tried(other_), 1u);
  EXPECT_EQ(tried(own_), 2u);
  auto all = look_at_sealed_rows(*db_, &own_);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->all, 301u);
  EXPECT_EQ(all->closed, std::vector<std::string>{"key k301 of system"});
}

}  // namespace
}  // namespace millrace::app
