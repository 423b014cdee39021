// SPDX-License-Identifier: Apache-2.0
// What a server hears of the others by the change feed, and that it knows when it has missed some.
#include "engine/follower.h"

#include <filesystem>

#include "harness.h"
#include "store/migrate.h"
#include "store/servers.h"
#include "store/writer.h"

namespace millrace::engine {
namespace {

class Feed : public ::testing::Test {
 protected:
  Feed() {
    char name[] = "/tmp/millrace-feed-XXXXXX";
    folder_ = mkdtemp(name);
    store_ = std::move(*open_test_store(folder_));
    auto db = std::move(*store_->open_writer());
    EXPECT_TRUE(store::migrate(*db).ok());
    auto all = kernel::ShardSet::all();
    auto epoch = store::claim_shards(*db, 0, all);
    writer_ = std::move(*store::Writer::open(*store_, {.shards = all, .owner_epoch = *epoch}));
  }
  ~Feed() override { std::filesystem::remove_all(folder_); }

  void write_entry(EntityType type) {
    std::vector<std::unique_ptr<store::Step>> steps;
    steps.push_back(std::make_unique<store::Step>());
    steps.back()->changes.feed = {{.tenant = kDefaultTenant, .type = type, .at = 1}};
    EXPECT_EQ(writer_->write(steps, {1, 0}).front().end, store::WriteEnd::Committed);
  }
  void forget(int64_t until) {
    auto db = std::move(*store_->open_writer());
    auto statement = db->prepare("DELETE FROM change_feed WHERE seq <= $1 AND tenant = 1");
    ASSERT_TRUE(statement.ok() && (*statement)->execute(until).ok());
  }
  FeedReader reader_after(int64_t after) {
    return {std::move(*store_->open_reader()), after,
            FeedReader::Outside{.is_awaited = [](Of<ExecutionId>) { return false; },
                                .ended = [](const ExecutionRow&) {},
                                .canceling = [](const ExecutionRow&) {},
                                .given = [](const RunGiven&) {},
                                .catalog = [](const CatalogNews&) {},
                                .token = [](TenantId, TokenId, const TokenRow*) {},
                                .packs = [this] { ++packs_; },
                                .changed = [] {},
                                .in_hand = nullptr}};
  }

  std::string folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<store::Writer> writer_;
  int packs_ = 0;
};

TEST_F(Feed, ThatIsNotKeptAsFarBackAsItWasReadIsAnError) {
  for (int i = 0; i < 3; ++i) write_entry(EntityType::Pack);
  auto from_the_start = reader_after(0);
  auto behind_one = reader_after(1);
  auto behind_two = reader_after(2);
  forget(2);
  for (auto* reader : {&from_the_start, &behind_one}) {
    auto read = reader->read();
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), FeedReader::kMissed) << read.error().describe();
  }
  EXPECT_EQ(packs_, 0) << "of what it has read not all was heard";
  EXPECT_TRUE(behind_two.read().ok());
  EXPECT_EQ(packs_, 1);
  EXPECT_TRUE(behind_two.read().ok());
  EXPECT_EQ(packs_, 1);
}

}  // namespace
}  // namespace millrace::engine
