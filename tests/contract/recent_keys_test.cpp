// SPDX-License-Identifier: Apache-2.0
// The dedupe keys of events where a store has one writer: in memory first, then moved in order.
#include "store/recent_keys.h"

#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;
using enum WriteEnd;
using Ends = std::vector<WriteEnd>;

Order with_keys(int64_t event_id, std::vector<std::string> names) {
  Order order;
  order.changes.events = {event(event_id)};
  for (const auto& name : names) {
    order.changes.dedupe.push_back(key(name, std::to_string(event_id)));
  }
  return order;
}

class RecentKeysContract : public StoreContract {
 protected:
  void SetUp() override { restart(4); }
  void restart(size_t recent_keys) {
    desk_ = nullptr;
    Committer::Options options;
    options.full_retry_ms = 1;
    options.recent_keys = recent_keys;
    desk_ = std::make_unique<Desk>(*store_, options);
  }
  WriteEnd take(int64_t event_id, std::vector<std::string> names) {
    return desk_->commit({with_keys(event_id, std::move(names))}).at(0).end;
  }
  int64_t moved() { return count("SELECT count(*) FROM dedupe"); }
  int64_t recent() { return count("SELECT count(*) FROM dedupe_recent"); }
};
STORE_CONTRACT(RecentKeysContract);

std::string name_of(int64_t i) { return "k" + std::to_string(i * 7919 % 1000); }  // in no order

// K4, wherever the key stands: in memory, on its way, where all are.
TEST_P(RecentKeysContract, ADuplicateIsFoundWhereverItsKeyIs) {
  constexpr int64_t kMany = 60;
  for (int64_t i = 1; i <= kMany; ++i) {
    ASSERT_EQ(take(i, {name_of(i)}), Committed);
    for (int64_t before = 1; before <= i; ++before) {
      ASSERT_EQ(take(1000 + before, {name_of(before)}), Duplicate) << i << ", " << before;
    }
  }
  EXPECT_GT(moved(), 0) << "nothing has moved: the test shows less than it says";
  EXPECT_LT(recent(), 20) << "what has moved stays";
  EXPECT_EQ(count("SELECT count(*) FROM event"), kMany);
}

TEST_P(RecentKeysContract, ARestartAtAnyTimeKnowsThemAll) {
  for (int64_t i = 1; i <= 30; ++i) {
    ASSERT_EQ(take(i, {name_of(i)}), Committed);
    restart(4);
    for (int64_t before = 1; before <= i; ++before) {
      ASSERT_EQ(take(1000 + before, {name_of(before)}), Duplicate) << i << ", " << before;
    }
  }
}

TEST_P(RecentKeysContract, WhoWritesWithoutThemFindsThemByName) {
  for (int64_t i = 1; i <= 11; ++i) take(i, {name_of(i)});
  EXPECT_GT(recent(), 0);
  restart(0);
  EXPECT_EQ(recent(), 0);
  EXPECT_EQ(moved(), 11);
  for (int64_t i = 1; i <= 11; ++i) {
    EXPECT_EQ(take(100 + i, {name_of(i)}), Duplicate);
    EXPECT_EQ(must(find_dedupe(*reader_, kTenant, "event:webhook:github", name_of(i)))->value,
              std::to_string(i));
  }
}

TEST_P(RecentKeysContract, AKeyIsFreeAgainWhenItHasExpired) {
  auto again = [&](int64_t event_id, const std::string& name) {
    auto order = with_keys(event_id, {name});
    order.changes.dedupe[0].expires = desk_->now + 7 * kDay;
    return desk_->commit({order}).at(0).end;
  };
  for (int64_t i = 1; i <= 21; ++i) take(i, {name_of(i)});  // some moved, some on their way
  desk_->now = kNow + 7 * kDay - 1;
  for (int64_t i = 1; i <= 21; ++i) EXPECT_EQ(again(100 + i, name_of(i)), Duplicate);
  desk_->now = kNow + 7 * kDay;
  for (int64_t i = 1; i <= 21; ++i) EXPECT_EQ(again(200 + i, name_of(i)), Committed);
  for (int64_t i = 1; i <= 21; ++i) EXPECT_EQ(again(300 + i, name_of(i)), Duplicate);
  restart(4);
  desk_->now = kNow + 7 * kDay;
  for (int64_t i = 1; i <= 21; ++i) EXPECT_EQ(again(400 + i, name_of(i)), Duplicate);
  restart(0);
  for (int64_t i = 1; i <= 21; ++i) {
    EXPECT_EQ(must(find_dedupe(*reader_, kTenant, "event:webhook:github", name_of(i)))->value,
              std::to_string(200 + i));
  }
}

TEST_P(RecentKeysContract, WhoLosesAKeyGivesBackTheOthers) {
  take(1, {"taken"});
  auto outcomes =
      desk_->commit({with_keys(2, {"x", "taken"}), with_keys(3, {"x"}), with_keys(4, {"x"}),
                     with_keys(5, {"y", "x"}), with_keys(6, {"z"})});
  EXPECT_EQ(ends(outcomes), (Ends{Duplicate, Committed, Duplicate, Duplicate, Committed}));
  EXPECT_EQ(take(7, {"y"}), Committed);
  restart(4);
  for (const char* name : {"taken", "x", "y", "z"}) EXPECT_EQ(take(10, {name}), Duplicate) << name;
}

// Nobody can look up a key that is in memory: the duplicate is told whose it is.
TEST_P(RecentKeysContract, ADuplicateIsToldWhoseItsKeysAre) {
  auto writer = must(Writer::open(
      *store_, {.owner_epoch = must(claim_shards(*must(store_->open_writer()), 0, ShardSet::all())),
                .recent_keys = 4}));
  auto write = [&](std::vector<Order> orders) {
    std::vector<std::unique_ptr<Step>> steps;
    for (auto& order : orders) {
      steps.push_back(std::make_unique<Step>());
      steps.back()->changes = std::move(order.changes);
    }
    return writer->write(steps, {kNow, 0});
  };
  for (int64_t i = 1; i <= 20; ++i) write({with_keys(i, {name_of(i)})});
  for (int64_t i = 1; i <= 20; ++i) {
    auto written = write({with_keys(100, {"free", name_of(i)})});
    ASSERT_EQ(written.at(0).end, Duplicate);
    ASSERT_EQ(written[0].step->taken.size(), 1U);
    EXPECT_EQ(written[0].step->taken[0].key, name_of(i));
    EXPECT_EQ(written[0].step->taken[0].value, std::to_string(i));
  }
  auto written = write({with_keys(200, {"new"}), with_keys(201, {"new"})});
  ASSERT_EQ(written.at(1).end, Duplicate);
  EXPECT_EQ(written[1].step->taken.at(0).value, "200");
}

TEST_P(RecentKeysContract, ABatchThatFailsTakesNone) {
  desk_->write({.events = {event(2)}});
  auto outcomes =
      desk_->commit({with_keys(1, {"a"}), with_keys(2, {"of the culprit"}), with_keys(3, {"b"})});
  EXPECT_EQ(ends(outcomes), (Ends{Committed, Refused, Committed}));
  EXPECT_EQ(take(4, {"of the culprit"}), Committed);
  EXPECT_EQ(take(5, {"a"}), Duplicate);
  EXPECT_EQ(take(6, {"b"}), Duplicate);
  EXPECT_EQ(recent(), 3);
}

TEST_P(RecentKeysContract, KeysThatAreLookedUpFirstAreWhereTheyAreFound) {
  auto order = with_keys(1, {});
  order.changes.dedupe = {key("k", "1")};
  order.changes.dedupe[0].scope = "idem:ada";
  desk_->commit({order});
  EXPECT_TRUE(must(find_dedupe(*reader_, kTenant, "idem:ada", "k")).has_value());
  EXPECT_EQ(recent(), 0);
}

// What it is for: keys that come in no order cost a commit few pages.
TEST(RecentKeys, ManyKeysInNoOrderCostACommitFewPages) {
  constexpr int64_t kPage = 4096;
  TempFolder folder;
  auto store = must(store_sqlite::open(folder.path()));
  auto db = must(store->open_writer());
  must(migrate(*db));
  auto epoch = must(claim_shards(*db, 0, ShardSet::all()));
  auto writer = must(Writer::open(*store, {.owner_epoch = epoch, .recent_keys = 2000}));
  uint64_t name = 1;
  auto write = [&](int64_t keys) {
    std::vector<std::unique_ptr<Step>> steps;
    steps.push_back(std::make_unique<Step>());
    for (int64_t i = 0; i < keys; ++i) {
      name = name * 6364136223846793005ULL + 1442695040888963407ULL;
      steps[0]->changes.dedupe.push_back(key(std::to_string(name)));
    }
    int64_t before = writer->log_bytes();
    EXPECT_EQ(writer->write(steps, {kNow, 0}).at(0).end, Committed);
    return (writer->log_bytes() - before) / kPage;
  };
  for (int i = 0; i < 30; ++i) write(1000);
  int64_t pages = 0;
  constexpr int64_t kCommits = 100;
  for (int64_t i = 0; i < kCommits; ++i) pages += write(60);
  EXPECT_LT(pages / kCommits, 40) << "of 60 keys";
}

}  // namespace
}  // namespace millrace::store::testing
