// SPDX-License-Identifier: Apache-2.0
//
// Who should own what, and who lives: pure.
#include "engine/cluster/roster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace millrace::engine {
namespace {

using kernel::kNobody;
using kernel::kShards;
using kernel::ShardSet;

Owners nobody() {
  Owners owners;
  owners.fill(kNobody);
  return owners;
}

int64_t count(const Owners& owners, int node) { return std::ranges::count(owners, node); }

int moves(const Owners& from, const Owners& to) {
  int moved = 0;
  for (size_t i = 0; i < from.size(); ++i) moved += from[i] != to[i] ? 1 : 0;
  return moved;
}

TEST(Spread, OneHasAll) {
  int nodes[] = {5};
  EXPECT_EQ(count(spread(nodes, nobody()), 5), kShards);
}

TEST(Spread, NobodyHasAnythingWhereNobodyDecides) {
  EXPECT_EQ(count(spread({}, nobody()), kNobody), kShards);
}

// Whatever stood before: even, and only those move that have to.
TEST(Spread, IsEvenAndMovesAsFewAsItCan) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    size_t size = 1 + random() % 70;
    std::vector<int> nodes;
    for (int node = 0; nodes.size() < size; node += 1 + static_cast<int>(random() % 3)) {
      nodes.push_back(node);
    }
    Owners now = nobody();
    for (int& owner : now) owner = static_cast<int>(random() % (size * 3)) - 1;
    Owners target = spread(nodes, now);
    EXPECT_EQ(spread(nodes, now), target);
    EXPECT_EQ(spread(nodes, target), target) << "it does not come to rest";
    // The fewest moves: each keeps what it may, and of the larger shares as many as there are.
    std::vector<int64_t> before;
    int64_t least = kShards;
    int64_t most = 0;
    for (int node : nodes) {
      before.push_back(count(now, node));
      least = std::min(least, count(target, node));
      most = std::max(most, count(target, node));
    }
    EXPECT_LE(most - least, 1);
    std::ranges::sort(before, std::greater());
    int64_t kept = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      int64_t quota = kShards / static_cast<int64_t>(size) + (i < kShards % size ? 1 : 0);
      kept += std::min(before[i], quota);
    }
    EXPECT_EQ(moves(now, target), kShards - kept);
  }
}

kernel::ServerRow server(int node, int64_t epoch, int64_t beat = 0, bool draining = false) {
  return {.node = node,
          .epoch = epoch,
          .name = std::to_string(node),
          .roles = "api,executor",
          .draining = draining,
          .beat = beat};
}

kernel::Cluster cluster(std::vector<kernel::ServerRow> servers, ShardSet of_first) {
  kernel::Cluster made{.servers = std::move(servers), .shards = {}};
  for (int shard = 0; shard < kShards; ++shard) {
    int owner = of_first.has(shard) ? made.servers.at(0).node : made.servers.at(1).node;
    made.shards[static_cast<size_t>(shard)] = {owner, 9};
  }
  return made;
}

TEST(Roster, WhoseBeatStandsStillIsDeadAfterTenSeconds) {
  Roster roster(server(0, 1), {});
  roster.saw(cluster({server(0, 1), server(1, 2, 7)}, ShardSet::range(0, 32)), 1'000);
  roster.saw(cluster({server(0, 1), server(1, 2, 7)}, ShardSet::range(0, 32)), 4'000);
  EXPECT_EQ(roster.wanted(10'999), ShardSet::range(0, 32));
  EXPECT_EQ(roster.next_change_ms(4'000), 11'000);
  EXPECT_EQ(roster.with_runs(40'999), std::nullopt);  // it has not looked for long enough
  EXPECT_EQ(roster.wanted(11'000), ShardSet::all());
  EXPECT_EQ(roster.living(11'000), std::vector<int64_t>{1});
  EXPECT_FALSE(roster.servers(11'000).at(1).lives);
  // Its spawner may still run something.
  EXPECT_EQ(roster.with_runs(41'000)->size(), 1U);
  // It has only been slow.
  roster.saw(cluster({server(0, 1), server(1, 2, 8)}, ShardSet::range(0, 32)), 41'000);
  EXPECT_EQ(roster.wanted(41'000), ShardSet::range(0, 32));
}

// A server that is started again has another epoch; its worker tells soon which runs go on.
TEST(Roster, RunsOfAProcessThatWasReplacedGoOnForAWhile) {
  Roster roster(server(0, 1), {});
  roster.saw(cluster({server(0, 1), server(1, 2, 7)}, ShardSet::all()), 0);
  roster.saw(cluster({server(0, 1), server(1, 2, 8)}, ShardSet::all()), 50'000);
  roster.saw(cluster({server(0, 1), server(1, 3, 0)}, ShardSet::all()), 51'000);
  EXPECT_EQ(roster.with_runs(89'999), (std::vector<int64_t>{1, 2, 3}));
  roster.saw(cluster({server(0, 1), server(1, 3, 9)}, ShardSet::all()), 90'000);
  EXPECT_EQ(roster.with_runs(90'000), (std::vector<int64_t>{1, 3}));
}

TEST(Roster, NeverTakesWhatALivingOneHas) {
  Roster roster(server(1, 2), {});
  roster.saw(cluster({server(0, 1), server(1, 2)}, ShardSet::all()), 0);
  EXPECT_TRUE(roster.wanted(0).empty());
  // The owner gives up half.
  Roster owner(server(0, 1), {});
  owner.saw(cluster({server(0, 1), server(1, 2)}, ShardSet::all()), 0);
  EXPECT_EQ(owner.wanted(0).size(), kShards / 2);
}

TEST(Roster, WhoDrainsWantsNothingAndOthersWaitForIt) {
  auto both = cluster({server(0, 1, 0, true), server(1, 2)}, ShardSet::range(0, 32));
  Roster draining(server(0, 1, 0, true), {});
  draining.saw(both, 0);
  EXPECT_TRUE(draining.wanted(0).empty());
  Roster heir(server(1, 2), {});
  heir.saw(both, 0);
  EXPECT_EQ(heir.wanted(0), ShardSet::range(32, 64));
  for (auto& shard : both.shards) shard.owner = shard.owner == 0 ? kNobody : shard.owner;
  heir.saw(both, 100);
  EXPECT_EQ(heir.wanted(100), ShardSet::all());
}

TEST(Roster, AnApiServerOwnsNothing) {
  auto row = server(0, 1);
  row.roles = "api";
  Roster roster(row, {});
  kernel::Cluster alone{.servers = {row}, .shards = {}};
  roster.saw(alone, 0);
  EXPECT_TRUE(roster.wanted(0).empty());
}

TEST(Roster, WhoHasBeenSilentForAnHourIsForgotten) {
  Roster roster(server(0, 1), {});
  roster.saw(cluster({server(0, 1), server(1, 2, 7)}, ShardSet::all()), 0);
  EXPECT_TRUE(roster.to_forget(3'599'999).empty());
  ASSERT_EQ(roster.to_forget(3'600'000).size(), 1U);
  EXPECT_EQ(roster.to_forget(3'600'000)[0].epoch, 2);
}

}  // namespace
}  // namespace millrace::engine
