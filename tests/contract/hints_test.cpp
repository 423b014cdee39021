// SPDX-License-Identifier: Apache-2.0
// What commits tell those who listen to the store.
#include "store/servers.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

// What one listener was told, as texts: "topic payload", and "missed".
class Told {
 public:
  sql::Listener listener() {
    return {.heard =
                [this](const sql::Hint& hint) {
                  add(std::string(hint.topic) + " " + std::string(hint.payload));
                },
            .missed = [this] { add("missed"); }};
  }
  // The next one.
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, std::chrono::seconds(60), [&] { return seen_ < all_.size(); })) {
      return "nothing";
    }
    return all_[seen_++];
  }

 private:
  void add(std::string told) {
    std::lock_guard lock(mutex_);
    all_.push_back(std::move(told));
    came_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> all_;
  size_t seen_ = 0;
};

class HintsContract : public StoreContract {
 protected:
  void commit(sql::Connection& db, const std::vector<sql::Hint>& hints, bool stays = true) {
    must(db.run("BEGIN IMMEDIATE"));
    for (const auto& hint : hints) db.notify(hint);
    must(db.run(stays ? "COMMIT" : "ROLLBACK"));
  }
  std::vector<WriteEnd> write(Writer& writer, std::vector<Changes> changes) {
    std::vector<std::unique_ptr<Step>> steps;
    for (auto& each : changes) {
      steps.push_back(std::make_unique<Step>());
      steps.back()->changes = std::move(each);
    }
    std::vector<WriteEnd> ends;
    for (const auto& written : writer.write(steps, {kNow, 0})) ends.push_back(written.end);
    return ends;
  }
  std::unique_ptr<Writer> owner(ShardSet shards, bool tells) {
    auto db = must(store_->open_writer());
    int64_t epoch = must(claim_shards(*db, 0, shards));
    return must(Writer::open(
        *store_, {.shards = shards, .owner_epoch = epoch, .full_retry_ms = 100, .tells = tells}));
  }
  Told told_;
};
STORE_CONTRACT(HintsContract);

TEST_P(HintsContract, AreHeardInCommitOrderByEachWhoListens) {
  Told other;
  auto listening = must(store_->listen(told_.listener()));
  auto also = must(store_->listen(other.listener()));
  EXPECT_EQ(told_.next(), "missed");
  EXPECT_EQ(other.next(), "missed");
  auto one = must(store_->open_writer());
  auto two = must(store_->open_writer());
  commit(*one, {{"feed", "1"}, {"shards", "a b"}});
  commit(*two, {{"feed", "2"}});
  commit(*one, {{"feed", ""}});
  for (auto* each : {&told_, &other}) {
    for (const char* expected : {"feed 1", "shards a b", "feed 2", "feed "}) {
      EXPECT_EQ(each->next(), expected);
    }
  }
}

TEST_P(HintsContract, OfWhatIsRolledBackAreNotHeard) {
  auto listening = must(store_->listen(told_.listener()));
  EXPECT_EQ(told_.next(), "missed");
  auto db = must(store_->open_writer());
  commit(*db, {{"feed", "1"}}, /*stays=*/false);
  db->notify({"feed", "2"});  // outside of a transaction
  commit(*db, {});
  commit(*db, {{"feed", "3"}});
  EXPECT_EQ(told_.next(), "feed 3");
}

TEST_P(HintsContract, AreNotHeardAnyMoreByWhoHasLeft) {
  auto leaves = must(store_->listen(told_.listener()));
  EXPECT_EQ(told_.next(), "missed");
  leaves.reset();
  Told stays;
  auto listening = must(store_->listen(stays.listener()));
  auto db = must(store_->open_writer());
  EXPECT_EQ(stays.next(), "missed");
  commit(*db, {{"feed", "1"}});
  EXPECT_EQ(stays.next(), "feed 1");
  leaves = must(store_->listen(told_.listener()));
  EXPECT_EQ(told_.next(), "missed");  // and not "feed 1"
}

TEST_P(HintsContract, OfAWriterTellTheLastChangeAndWhoseMessagesCame) {
  desk_->close();
  auto low = ShardSet::range(0, 32);
  auto listening = must(store_->listen(told_.listener()));
  EXPECT_EQ(told_.next(), "missed");
  auto silent = owner(ShardSet::range(32, kShards), /*tells=*/false);
  auto writer = owner(low, /*tells=*/true);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(told_.next(), "servers ");  // of the claims
  auto for_shard = [](int64_t id, int shard) {
    auto row = message(id, 1);
    row.shard = shard;
    return row;
  };
  std::vector<WriteEnd> both(2, WriteEnd::Committed);
  EXPECT_EQ(write(*silent, {{.feed = {change(1)}}, {.messages = {for_shard(1, 5)}}}), both);
  EXPECT_EQ(write(*writer, {{.messages = {for_shard(2, 5)}}, {.events = {event(1)}}}), both);
  EXPECT_EQ(write(*writer, {{.feed = {change(2), change(3)}}, {.feed = {change(4)}}}), both);
  EXPECT_EQ(write(*writer, {{.messages = {for_shard(3, 40)}}, {.messages = {for_shard(4, 63)}}}),
            both);
  EXPECT_EQ(told_.next(), "feed 4");
  auto others = ShardSet::of(40);
  others.add(63);
  EXPECT_EQ(told_.next(), "shards " + std::to_string(others.bits()));
}

TEST_P(HintsContract, AServerThatIsReachedElsewhereIsLookedForAtOnce) {
  auto db = must(store_->open_writer());
  auto server = must(join(*db, {.name = "a", .home = "a"}));
  auto listening = must(store_->listen(told_.listener()));
  EXPECT_EQ(told_.next(), "missed");
  must(beat(*db, server));
  server.internal = "127.0.0.1:2";
  EXPECT_TRUE(must(announce(*db, server)));
  EXPECT_EQ(told_.next(), "servers ");
  EXPECT_EQ(must(look(*reader_)).servers.at(0).internal, "127.0.0.1:2");
}

}  // namespace
}  // namespace millrace::store::testing
