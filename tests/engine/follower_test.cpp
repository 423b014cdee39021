// SPDX-License-Identifier: Apache-2.0
// What a server hears of the others by the change feed, and that it knows when it has missed some.
#include "engine/follower.h"

#include <filesystem>
#include <thread>

#include "engine/transitions/rule_rows.h"
#include "engine/transitions/stored_catalog.h"
#include "fault_store.h"
#include "harness.h"
#include "store/migrate.h"
#include "store/servers.h"
#include "store/writer.h"

namespace millrace::engine {
namespace {

class Feed : public ::testing::Test {
 protected:
  Feed() {
    auto db = std::move(*store_->open_writer());
    EXPECT_TRUE(store::migrate(*db).ok());
    auto all = kernel::ShardSet::all();
    auto epoch = store::claim_shards(*db, 0, all);
    writer_ = std::move(*store::Writer::open(*store_, {.shards = all, .owner_epoch = *epoch}));
  }
  ~Feed() override { std::filesystem::remove_all(folder_); }

  void write(kernel::Changes changes) {
    std::vector<std::unique_ptr<store::Step>> steps;
    steps.push_back(std::make_unique<store::Step>());
    steps.back()->changes = std::move(changes);
    EXPECT_EQ(writer_->write(steps, {1, 0}).front().end, store::WriteEnd::Committed);
  }
  void write_entry(EntityType type) {
    kernel::Changes changes;
    changes.feed = {{.tenant = kDefaultTenant, .type = type, .at = 1}};
    write(std::move(changes));
  }
  void write_canceling(int64_t id) {
    ExecutionRow row;
    row.id = row.root = ExecutionId{id};
    row.tenant = kDefaultTenant;
    row.action = "ci.build";
    row.status = ExecutionStatus::Canceling;
    row.worker = WorkerId{7};
    kernel::Changes changes;
    changes.feed = {{.tenant = kDefaultTenant,
                     .type = EntityType::Execution,
                     .entity = id,
                     .detail = std::string(to_string(row.status)),
                     .at = 1}};
    changes.new_executions.push_back(std::move(row));
    write(std::move(changes));
  }
  void forget(int64_t until) {
    auto db = std::move(*store_->open_writer());
    auto statement = db->prepare("DELETE FROM change_feed WHERE seq <= $1 AND tenant = 1");
    ASSERT_TRUE(statement.ok() && (*statement)->execute(until).ok());
  }
  FeedReader reader_after(int64_t after) {
    return {std::move(*faults_.open_reader()), after,
            FeedReader::Outside{
                .is_awaited = [](Of<ExecutionId>) { return false; },
                .ended = [](const ExecutionRow&) {},
                .canceling = [this](const ExecutionRow& row) { canceled_.push_back(row.id.value); },
                .given = [](const RunGiven&) {},
                .catalog = [this](const CatalogNews& news) { news_.push_back(news); },
                .token = [](TenantId, TokenId, const TokenRow*) {},
                .packs = [this] { ++packs_; },
                .changed = [] {},
                .in_hand = nullptr}};
  }

  static std::string new_folder() {
    char name[] = "/tmp/millrace-feed-XXXXXX";
    return mkdtemp(name);
  }
  std::string folder_ = new_folder();
  std::unique_ptr<sql::Store> store_ = std::move(*open_test_store(folder_));
  sql::FaultStore faults_{*store_};
  std::unique_ptr<store::Writer> writer_;
  int packs_ = 0;
  std::vector<int64_t> canceled_;
  std::vector<CatalogNews> news_;
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

TEST_F(Feed, NewsOfACatalogueSayWhichOnesTheyStandBehind) {
  auto reader = reader_after(0);
  for (int64_t version : {1, 2, 3}) {
    kernel::Changes changes;
    changes.catalogs = {{kDefaultTenant, version}};
    changes.feed = {{.tenant = kDefaultTenant, .type = EntityType::Rule, .at = 1}};
    write(std::move(changes));
    if (version != 2) EXPECT_TRUE(reader.read().ok());
  }
  ASSERT_EQ(news_.size(), 2U);
  EXPECT_EQ(news_[0].version, 1);
  EXPECT_EQ(news_[0].after, 0);
  EXPECT_EQ(news_[1].version, 3);
  EXPECT_EQ(news_[1].after, 1);
}

TEST_F(Feed, NewsOfPacksSayWhichReleaseIsTheNewest) {
  auto reader = reader_after(0);
  kernel::Changes changes;
  changes.catalogs = {{kDefaultTenant, 1}};
  changes.pack_releases = {{.tenant = kDefaultTenant,
                            .pack = "ci",
                            .digest = "d1",
                            .state = PackState::Uninstalled,
                            .updated = 77}};
  changes.feed = {{.tenant = kDefaultTenant, .type = EntityType::Pack, .at = 1}};
  write(std::move(changes));
  EXPECT_TRUE(reader.read().ok());
  ASSERT_EQ(news_.size(), 1U);
  EXPECT_EQ(news_[0].newest_release, 77);
}

TEST_F(Feed, ARowThatCannotBeReadHoldsUpNothingElseAndIsReadLater) {
  write_canceling(5);
  write_canceling(6);
  write_entry(EntityType::Pack);
  int fault = faults_.add({.text = "FROM execution WHERE id", .bound = 5});
  auto reader = reader_after(0);
  for (int i = 0; i < 2; ++i) {
    auto read = reader.read();
    ASSERT_TRUE(read.ok()) << read.error().describe();
  }
  EXPECT_EQ(canceled_, std::vector<int64_t>{6});
  EXPECT_EQ(packs_, 1);
  faults_.remove(fault);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(reader.read().ok());
  EXPECT_EQ(canceled_, (std::vector<int64_t>{6, 5}));
}

class News : public EngineTest {
 protected:
  std::shared_ptr<const TenantCatalog> catalog() { return engine_->catalog(kDefaultTenant); }
  // Of one rule, that another server has written.
  CatalogNews of_rule(const std::string& ref, int64_t after) {
    RuleSpec spec{.ref = ref, .trigger = "ci.push", .criteria = Value::map(), .action = "ci.build"};
    RuleRow row{.id = RuleId{after + 1},
                .tenant = kDefaultTenant,
                .ref = ref,
                .revision = 1,
                .spec_json = to_json(rule_to_value(spec))};
    auto rules = compiled_rules({row}, nullptr);
    EXPECT_TRUE(rules.ok()) << rules.error().describe();
    return {.tenant = kDefaultTenant, .version = after + 1, .after = after, .rules = *rules};
  }
  bool comes(const std::string& ref) {
    for (int i = 0; i < 200 && !catalog()->find_rule(ref); ++i) {
      tick(1000);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return catalog()->find_rule(ref) != nullptr;
  }
};

// A fault of the store has put the first ones off.
TEST_F(News, OfACatalogueComeIntoForceInTheirOrder) {
  int64_t version = catalog()->version();
  engine_->submit(refresh_catalog(of_rule("ci.second", version + 1)));
  ASSERT_TRUE(run("ci.build").ok());  // behind them
  EXPECT_EQ(catalog()->find_rule("ci.second"), nullptr);
  engine_->submit(refresh_catalog(of_rule("ci.first", version)));
  EXPECT_TRUE(comes("ci.first"));
  EXPECT_TRUE(comes("ci.second"));
  EXPECT_EQ(catalog()->version(), version + 2);
}

// Another server, whose clock is ahead, has uninstalled a pack: what is loaded here after that is
// the newer one.
TEST_F(News, ALoadBehindThemIsNewerThanWhatTheyTellOf) {
  int64_t version = catalog()->version();
  int64_t ahead = first_id_at(now_ms_ + 3'600'000);
  engine_->submit(refresh_catalog({.tenant = kDefaultTenant,
                                   .version = version + 1,
                                   .after = version,
                                   .newest_release = ahead}));
  auto pack = std::make_shared<Pack>(*test_pack());
  pack->digest = "d2";
  auto loaded = await<int>([&](Reply<int> reply) {
    engine_->submit(
        command::load_packs({.tenant = kDefaultTenant}, pack_set({core_pack(), pack}), reply));
  });
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(count(fmt::format("pack_release WHERE digest = 'd2' AND updated > {}", ahead)), 1);
}

}  // namespace
}  // namespace millrace::engine
