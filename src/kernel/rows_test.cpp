// SPDX-License-Identifier: Apache-2.0
#include "kernel/rows.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "kernel/changes.h"

namespace millrace::kernel {
namespace {

TEST(ShardOf, SpreadsIdsOfOneSourceEvenly) {
  IdSource ids(0);
  std::array<int, kShards> hits{};
  constexpr int kIds = 64'000;
  // Ten ids per millisecond: they differ in a few low bits only.
  for (int i = 0; i < kIds; ++i) {
    int shard = shard_of(kDefaultTenant, ids.next(1'800'000'000'000 + i / 10));
    ASSERT_GE(shard, 0);
    ASSERT_LT(shard, kShards);
    ++hits[static_cast<size_t>(shard)];
  }
  for (int count : hits) {
    EXPECT_GT(count, kIds / kShards * 8 / 10);
    EXPECT_LT(count, kIds / kShards * 12 / 10);
  }
}

TEST(ShardOf, TakesTheTenantIn) {
  std::set<int> shards;
  for (int64_t tenant = 1; tenant <= 200; ++tenant) shards.insert(shard_of(TenantId{tenant}, 42));
  EXPECT_GT(shards.size(), 50U);
}

// Stored rows carry it: the function may never change.
TEST(ShardOf, IsFixedForEver) {
  EXPECT_EQ(shard_of(TenantId{1}, 1), 1);
  EXPECT_EQ(shard_of(TenantId{1}, 0x0123456789ABCDEF), 29);
  EXPECT_EQ(shard_of(TenantId{7}, 123'456'789), 2);
}

TEST(EntityType, IsReadBackFromItsName) {
  for (int i = 0; i <= static_cast<int>(EntityType::Worker); ++i) {
    auto type = static_cast<EntityType>(i);
    EXPECT_EQ(parse_entity_type(to_string(type)), type);
  }
  EXPECT_EQ(parse_entity_type("nothing"), std::nullopt);
}

TEST(Changes, AreEmptyOnlyWithoutAnyRow) {
  EXPECT_TRUE(Changes{}.empty());
  int members = 0;
  ChangesMembers::all_of([&]<auto kMember>() {
    Changes changes;
    (changes.*kMember).emplace_back();
    EXPECT_FALSE(changes.empty()) << "member " << members;
    return ++members > 0;
  });
  EXPECT_EQ(members, static_cast<int>(ChangesMembers::kSize));
}

TEST(Destinations, StandAtTheirNumbers) {
  for (size_t i = 0; i < std::size(kDestinations); ++i) {
    EXPECT_EQ(static_cast<size_t>(kDestinations[i].id), i);
    EXPECT_FALSE(kDestinations[i].name.empty());
  }
}

}  // namespace
}  // namespace millrace::kernel
