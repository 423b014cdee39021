// SPDX-License-Identifier: Apache-2.0
#include "store/servers.h"

#include <atomic>
#include <future>
#include <thread>

#include "store/doctor.h"
#include "store/watched_store.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

class ServersContract : public StoreContract {
 protected:
  ServersContract() : db_(must(store_->open_writer())) {}
  ServerRow join_as(const std::string& name, const std::string& home = "") {
    return must(join(*db_, {.name = name,
                            .home = home.empty() ? name : home,
                            .roles = "api,executor",
                            .http = "http://127.0.0.1:1",
                            .since = kNow}));
  }
  Owned claim(const ServerRow& server, ShardSet wanted) {
    return must(reassign(*db_, server, {.seen = must(look(*reader_)), .wanted = wanted}));
  }
  std::unique_ptr<sql::Connection> db_;
};
STORE_CONTRACT(ServersContract);

TEST_P(ServersContract, EachGetsTheLowestFreeNodeAndAnEpochOfItsOwn) {
  auto a = join_as("a");
  auto b = join_as("b");
  EXPECT_EQ(a.node, 0);
  EXPECT_EQ(b.node, 1);
  EXPECT_GT(b.epoch, a.epoch);
  must(leave(*db_, a));
  auto c = join_as("c");
  EXPECT_EQ(c.node, 0);
  EXPECT_GT(c.epoch, b.epoch);
  EXPECT_TRUE(c.has_role("executor"));
  EXPECT_FALSE(c.has_role("exec"));
}

TEST_P(ServersContract, ANameIsTakenOverInTheSameHomeOrFromTheDead) {
  auto first = join_as("a", "one");
  auto other = join(*db_, {.name = "a", .home = "two"});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code(), kNameTaken);
  auto again = join_as("a", "one");
  EXPECT_EQ(again.node, first.node);
  EXPECT_FALSE(must(beat(*db_, first)));
  EXPECT_TRUE(must(beat(*db_, again)));
  auto heir = must(join(*db_, {.name = "a", .home = "two"}, again.epoch));
  EXPECT_EQ(heir.node, again.node);
  EXPECT_FALSE(must(beat(*db_, again)));
}

TEST_P(ServersContract, ABeatIsSeenByOthers) {
  auto a = join_as("a");
  a.seen = kNow + 5;
  a.draining = true;
  a.http = "http://127.0.0.1:2";
  must(beat(*db_, a));
  auto seen = must(look(*reader_)).servers.at(0);
  EXPECT_EQ(seen.beat, 1);
  EXPECT_EQ(seen.seen, kNow + 5);
  EXPECT_TRUE(seen.draining);
  EXPECT_EQ(seen.http, "http://127.0.0.1:2");
}

TEST_P(ServersContract, ForgetsOnlyWhoHasNotBeatenSince) {
  auto a = join_as("a");
  must(beat(*db_, a));
  must(forget(*db_, a));
  EXPECT_EQ(must(look(*reader_)).servers.size(), 1U);
  a.beat = 1;
  must(forget(*db_, a));
  EXPECT_TRUE(must(look(*reader_)).servers.empty());
}

TEST_P(ServersContract, OfTwoThatClaimTheSameShardsTheFirstGetsThem) {
  auto a = join_as("a");
  auto b = join_as("b");
  auto seen = must(look(*reader_));
  auto of_a = must(reassign(*db_, a, {.seen = seen, .wanted = ShardSet::range(0, 40)}));
  auto of_b = must(reassign(*db_, b, {.seen = seen, .wanted = ShardSet::range(30, 64)}));
  EXPECT_EQ(of_a.shards, ShardSet::range(0, 40));
  EXPECT_EQ(of_b.shards, ShardSet::range(40, 64));
  EXPECT_GT(of_b.epoch, of_a.epoch);
  auto now = must(look(*reader_));
  EXPECT_EQ(now.shards_of(a.node), of_a.shards);
  EXPECT_EQ(now.shards_of(b.node), of_b.shards);
}

TEST_P(ServersContract, WhatIsNotWantedAnyMoreIsFreeAndItsOldEpochDead) {
  auto a = join_as("a");
  auto owned = claim(a, ShardSet::all());
  auto writer = must(Writer::open(
      *store_, {.shards = owned.shards, .owner_epoch = owned.epoch, .full_retry_ms = 1}));
  auto kept = must(reassign(*db_, a,
                            {.seen = must(look(*reader_)),
                             .held = owned.shards,
                             .held_epoch = owned.epoch,
                             .wanted = ShardSet::range(0, 8)}));
  EXPECT_EQ(kept.shards, ShardSet::range(0, 8));
  auto now = must(look(*reader_));
  EXPECT_EQ(now.shards_of(a.node), kept.shards);
  EXPECT_EQ(now.shards_of(kNobody), ShardSet::range(8, 64));
  std::vector<std::unique_ptr<Step>> late;
  late.push_back(std::make_unique<Step>());
  late.back()->changes.feed.push_back(change(1));
  EXPECT_EQ(writer->write(late, {kNow, 0}).at(0).end, WriteEnd::Unavailable);
}

// A process that takes its name's row over has to claim, also what it had before.
TEST_P(ServersContract, WhatAnEarlierProcessOfTheNodeHadIsFree) {
  auto a = join_as("a");
  claim(a, ShardSet::all());
  join_as("a");
  EXPECT_EQ(must(look(*reader_)).shards_of(kNobody), ShardSet::all());
}

TEST_P(ServersContract, WhoseRowIsGoneClaimsNothing) {
  auto a = join_as("a");
  must(fence(*db_));
  EXPECT_FALSE(must(beat(*db_, a)));
  auto claimed = reassign(*db_, a, {.seen = must(look(*reader_)), .wanted = ShardSet::all()});
  ASSERT_FALSE(claimed.ok());
  EXPECT_EQ(claimed.error().code(), sql::kStale);
  EXPECT_EQ(must(look(*reader_)).shards_of(kNobody), ShardSet::all());
}

// Each brings the same keys in another order.
TEST_P(ServersContract, TwoThatClaimTheSameKeysDoNotWaitForEachOther) {
  if (std::string(GetParam().name) == "sqlite") GTEST_SKIP() << "has one writer at a time";
  auto a = join_as("a");
  auto b = join_as("b");
  constexpr int kRounds = 60;
  constexpr int kKeys = 20;
  std::atomic<int> committed = 0;
  std::atomic<int> others = 0;
  auto write_all = [&](Owned owned, bool backwards) {
    auto writer = must(Writer::open(
        *store_, {.shards = owned.shards, .owner_epoch = owned.epoch, .full_retry_ms = 1}));
    for (int round = 0; round < kRounds; ++round) {
      std::vector<std::unique_ptr<Step>> steps;
      for (int i = 0; i < kKeys; ++i) {
        int number = backwards ? kKeys - 1 - i : i;
        steps.push_back(std::make_unique<Step>());
        steps.back()->changes.dedupe.push_back(
            key(std::to_string(round) + "/" + std::to_string(number)));
      }
      for (const auto& written : writer->write(steps, {kNow, 0})) {
        if (written.end == WriteEnd::Committed) ++committed;
        bool is_known = written.end == WriteEnd::Committed || written.end == WriteEnd::Duplicate;
        if (!is_known) ++others;
      }
    }
  };
  auto of_a = claim(a, ShardSet::range(0, 32));
  auto of_b = claim(b, ShardSet::range(32, 64));
  std::thread forwards([&] { write_all(of_a, false); });
  write_all(of_b, true);
  forwards.join();
  EXPECT_EQ(committed, kRounds * kKeys);
  EXPECT_EQ(others, 0);
}

// A reader never passes the rows of a commit that is still under way.
TEST_P(ServersContract, TheFeedIsReadInTheOrderOfCommits) {
  if (std::string(GetParam().name) == "sqlite") GTEST_SKIP() << "has one writer at a time";
  auto a = join_as("a");
  auto b = join_as("b");
  auto of_a = claim(a, ShardSet::range(0, 32));
  auto of_b = claim(b, ShardSet::range(32, 64));
  // Held open behind its numbering.
  std::promise<void> numbered;
  std::promise<void> go_on;
  WatchedStore watched(*store_);
  auto slow = must(Writer::open(watched, {.shards = of_a.shards, .owner_epoch = of_a.epoch}));
  watched.watch.fail = [&](std::string_view text) -> std::optional<Error> {
    if (text == "COMMIT") {
      numbered.set_value();
      go_on.get_future().wait();
    }
    return std::nullopt;
  };
  auto write = [&](Writer& writer, int64_t id) {
    std::vector<std::unique_ptr<Step>> one;
    one.push_back(std::make_unique<Step>());
    one.back()->changes.feed.push_back(change(id));
    EXPECT_EQ(writer.write(one, {kNow, 0}).at(0).end, WriteEnd::Committed);
  };
  std::thread held([&] { write(*slow, 1); });
  numbered.get_future().wait();
  std::atomic<bool> is_written = false;
  std::thread quick([&] {
    auto writer = must(Writer::open(*store_, {.shards = of_b.shards, .owner_epoch = of_b.epoch}));
    write(*writer, 2);
    is_written = true;
  });
  // While the first is open nothing of the second is seen: it waits for its number.
  for (int look = 0; look < 50; ++look) {
    EXPECT_TRUE(must(all_changes_after(*reader_, 0, 10)).empty());
  }
  EXPECT_FALSE(is_written);
  go_on.set_value();
  held.join();
  quick.join();
  auto entries = must(all_changes_after(*reader_, 0, 10));
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].entity, 1);
  EXPECT_EQ(entries[1].entity, 2);
}

TEST_P(ServersContract, OneEpochOfTwoOwnersIsFoundByTheDoctor) {
  auto a = join_as("a");
  auto b = join_as("b");
  claim(a, ShardSet::range(0, 32));
  claim(b, ShardSet::range(32, 64));
  auto clean = must(examine(*reader_, {.check_bytes = false}));
  EXPECT_TRUE(clean.empty()) << clean[0].message;
  must(db_->run("UPDATE shard SET epoch = 9 WHERE shard IN (1, 40)"));
  auto findings = must(examine(*reader_, {.check_bytes = false}));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].promise, "K6");
}

TEST_P(ServersContract, ALeaseHasOneHolderUntilThatOneIsDeadOrGivesIt) {
  auto a = join_as("a");
  auto b = join_as("b");
  std::vector<int64_t> both{a.epoch, b.epoch};
  EXPECT_EQ(must(take_lease(*db_, "sensor x", a, both)), 1);
  EXPECT_EQ(must(take_lease(*db_, "sensor x", a, both)), 1);
  EXPECT_EQ(must(take_lease(*db_, "sensor x", b, both)), std::nullopt);
  EXPECT_EQ(must(take_lease(*db_, "sensor y", b, both)), 1);
  std::vector<int64_t> only_b{b.epoch};
  EXPECT_EQ(must(take_lease(*db_, "sensor x", b, only_b)), 2);
  EXPECT_EQ(must(take_lease(*db_, "sensor x", a, both)), std::nullopt);
  must(give_lease(*db_, "sensor x", a));  // not a's any more
  EXPECT_EQ(must(take_lease(*db_, "sensor x", a, both)), std::nullopt);
  must(give_lease(*db_, "sensor x", b));
  EXPECT_EQ(must(take_lease(*db_, "sensor x", a, both)), 3);
  EXPECT_EQ(must(find_lease(*reader_, "sensor x"))->holder, a.epoch);
}

}  // namespace
}  // namespace millrace::store::testing
