// SPDX-License-Identifier: Apache-2.0
// The writer without thread and clock: two owners of one store, errors that are nobody's fault, a
// full disk by the time that it is told.
#include "store/writer.h"

#include "store/watched_store.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;
using enum WriteEnd;

class WriterContract : public StoreContract {
 protected:
  WriterContract() : watched_(*store_) { desk_->close(); }

  std::unique_ptr<Writer> owner(ShardSet shards, int node = 0) {
    auto db = must(store_->open_writer());
    return must(Writer::open(watched_, {.shards = shards,
                                        .owner_epoch = must(claim_shards(*db, node, shards)),
                                        .full_retry_ms = 100}));
  }
  static std::vector<std::unique_ptr<Step>> steps(std::vector<Changes> changes) {
    std::vector<std::unique_ptr<Step>> made;
    for (auto& c : changes) {
      made.push_back(std::make_unique<Step>());
      made.back()->changes = std::move(c);
    }
    return made;
  }
  std::vector<WriteEnd> write(Writer& writer, std::vector<Changes> changes, Now now = {kNow, 0}) {
    auto made = steps(std::move(changes));
    std::vector<WriteEnd> ends;
    for (const auto& written : writer.write(made, now)) {
      ends.push_back(written.end);
      reason_ = written.reason;
    }
    return ends;
  }
  // The statement that begins like this fails once with this code.
  void fail_once(std::string beginning, std::string_view code) {
    watched_.watch.fail = [beginning, code,
                           left = 1](std::string_view text) mutable -> std::optional<Error> {
      if (left == 0 || !text.starts_with(beginning)) return std::nullopt;
      --left;
      return Error(ErrorKind::Internal, std::string(code), "planted");
    };
  }

  WatchedStore watched_;
  std::string reason_;
};
STORE_CONTRACT(WriterContract);

using Ends = std::vector<WriteEnd>;

TEST_P(WriterContract, TwoOwnersWriteToOneStoreEachForItsShards) {
  auto low = owner(ShardSet::range(0, 32), 0);
  auto high = owner(ShardSet::range(32, kShards), 1);
  for (int64_t i = 1; i <= 6; ++i) {
    auto& writer = i % 2 == 0 ? *low : *high;
    EXPECT_EQ(write(writer, {{.events = {event(i)}, .feed = {change(i), change(i)}}}),
              Ends{Committed});
  }
  // One numbering for both, in commit order.
  auto feed = must(changes_after(*reader_, kTenant, 0, 100));
  ASSERT_EQ(feed.size(), 12U);
  for (size_t i = 0; i < feed.size(); ++i) {
    EXPECT_EQ(feed[i].seq, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(feed[i].entity, static_cast<int64_t>(i / 2) + 1);
  }
}

// K6, for servers.
TEST_P(WriterContract, AnOwnerThatLostOneOfItsShardsWritesNothingAnyMore) {
  auto low = owner(ShardSet::range(0, 32), 0);
  auto high = owner(ShardSet::range(32, kShards), 1);
  EXPECT_EQ(write(*low, {{.events = {event(1)}}}), Ends{Committed});
  auto thief = owner(ShardSet::of(31), 2);
  EXPECT_EQ(write(*low, {{.events = {event(2)}}}), Ends{Unavailable});
  ASSERT_TRUE(low->fatal().has_value());
  EXPECT_EQ(low->fatal()->code(), sql::kOwned);
  EXPECT_EQ(write(*high, {{.events = {event(3)}}}), Ends{Committed});
  EXPECT_EQ(write(*thief, {{.events = {event(4)}}}), Ends{Committed});
  EXPECT_EQ(write(*low, {{.events = {event(5)}}}), Ends{Unavailable});
  EXPECT_EQ(count("SELECT count(*) FROM event"), 3);
}

TEST_P(WriterContract, AKeyOfOneOwnerIsTakenForTheOther) {
  auto low = owner(ShardSet::range(0, 32), 0);
  auto high = owner(ShardSet::range(32, kShards), 1);
  EXPECT_EQ(write(*low, {{.dedupe = {key("a")}}}), Ends{Committed});
  EXPECT_EQ(write(*high, {{.dedupe = {key("a")}}}), Ends{Duplicate});
  EXPECT_EQ(write(*high, {{.dedupe = {key("a")}}}, {kNow + 8 * kDay, 0}), Ends{Committed});
}

// A COMMIT or BEGIN that fails tells nothing about the rows: nobody is the culprit.
TEST_P(WriterContract, AnErrorBesideTheRowsIsNobodysFault) {
  auto writer = owner(ShardSet::all());
  for (std::string_view statement : {"BEGIN", "COMMIT", "SELECT coalesce(max(epoch)"}) {
    SCOPED_TRACE(statement);
    fail_once(std::string(statement), sql::kStatement);
    EXPECT_EQ(write(*writer, {{.events = {event(1)}}, {.events = {event(2)}}}),
              (Ends{Unavailable, Unavailable}));
    EXPECT_EQ(reason_, "planted");
    EXPECT_FALSE(writer->fatal().has_value());
    EXPECT_EQ(count("SELECT count(*) FROM event"), 0);
  }
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}), Ends{Committed});
}

TEST_P(WriterContract, AnErrorOfTheRowsIsThatOfOneStep) {
  auto writer = owner(ShardSet::all());
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}), Ends{Committed});
  EXPECT_EQ(write(*writer, {{.events = {event(2)}}, {.events = {event(1)}}}),
            (Ends{Committed, Refused}));
}

TEST_P(WriterContract, AFullDiskIsLookedAtAgainByTheTimeThatItIsTold) {
  auto writer = owner(ShardSet::all());
  fail_once("COMMIT", sql::kFull);
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}, {kNow, 1000}), Ends{Unavailable});
  EXPECT_TRUE(writer->read_only());
  EXPECT_EQ(writer->next_try_ms(), 1100);
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}, {kNow, 1099}), Ends{Unavailable});
  EXPECT_EQ(reason_, "the disk is full");
  fail_once("COMMIT", sql::kFull);
  EXPECT_EQ(write(*writer, {}, {kNow, 1100}), Ends{});
  EXPECT_TRUE(writer->read_only());
  EXPECT_EQ(writer->next_try_ms(), 1200);
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}, {kNow, 1200}), Ends{Committed});
  EXPECT_FALSE(writer->read_only());
}

TEST_P(WriterContract, AfterAnIoErrorNothingIsWritten) {
  auto writer = owner(ShardSet::all());
  fail_once("COMMIT", sql::kSyncFailed);
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}), Ends{Unavailable});
  ASSERT_TRUE(writer->fatal().has_value());
  EXPECT_EQ(write(*writer, {{.events = {event(1)}}}), Ends{Unavailable});
}

}  // namespace
}  // namespace millrace::store::testing
