// SPDX-License-Identifier: Apache-2.0
// The power is cut at every position of what the engine and the committer ask of the disk: what
// was committed is there, what was being committed is there whole or not at all. More images:
// MILLRACE_POWER_IMAGES=1000000; others: MILLRACE_POWER_SEED=2.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "adapters/store_sqlite/whole_steps.h"
#include "cuts.h"
#include "noted_store.h"
#include "store_judge.h"
#include "workflow_harness.h"

namespace millrace::power {
namespace {

using engine::kTester;
using engine::Reply;
namespace command = engine::command;
using store::testing::must;
using store::testing::TempFolder;

int64_t number_from(const char* variable, int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atoll(text) : otherwise;
}
int64_t wanted_images() { return number_from("MILLRACE_POWER_IMAGES", 20'000); }

constexpr const char* kEvent = "SELECT count(*) FROM event WHERE id = $1";
constexpr const char* kExecution = "SELECT count(*) FROM execution WHERE id = $1";
constexpr const char* kEnded = "SELECT count(*) FROM execution WHERE id = $1 AND ended > 0";
// The nth key that was written: seven names in turn.
constexpr const char* kKey =
    "SELECT count(*) FROM key_value WHERE name = 'k' || ($1 % 7) AND version >= $1 / 7 + 1";

constexpr const char* kStoreFile = "millrace.db";
constexpr const char* kLogFile = "millrace.db-wal";

std::set<uint64_t> nodes_named(const DiskLog& log, const std::string& name) {
  std::set<uint64_t> nodes;
  for (const auto& record : log.records) {
    if (record.kind == DiskRecord::Kind::Bind && record.name == name) nodes.insert(record.node);
  }
  return nodes;
}

// How often the log began anew, its file emptied or not.
int64_t beginnings(const DiskLog& log) {
  auto nodes = nodes_named(log, kLogFile);
  return std::ranges::count_if(log.records, [&](const auto& record) {
    return record.kind == DiskRecord::Kind::Write && record.offset == 0 &&
           nodes.contains(record.node);
  });
}

DiskLog without_syncs(DiskLog log, const std::set<uint64_t>& nodes) {
  std::erase_if(log.records, [&](const auto& record) {
    return record.kind == DiskRecord::Kind::Sync && nodes.contains(record.node);
  });
  return log;
}

void expect_kept(const DiskLog& log, StoreJudge& judge, int64_t images) {
  auto cuts = cut_everywhere(
      log, {.images = images, .seed = static_cast<uint64_t>(number_from("MILLRACE_POWER_SEED", 1))},
      [&](const auto& folder, auto marks) { return judge.judge(folder, marks); });
  EXPECT_EQ(cuts.failure, "");
  EXPECT_GE(cuts.images, images);
  fmt::print("power cuts: {} images of {} records, {} different stores, the log began {} times\n",
             cuts.images, log.records.size(), judge.different(), beginnings(log));
}

std::string first_failure(const DiskLog& log, StoreJudge& judge) {
  return cut_everywhere(log, {.keeps = false},
                        [&](const auto& folder, auto marks) { return judge.judge(folder, marks); })
      .failure;
}

// Steps of many rows, with the threads that write and that move the log.
class CommitterPowerCut : public ::testing::Test {
 protected:
  static constexpr int64_t kSteps = 150;

  void run_load(std::string settings = "", int64_t log_bytes = 300 << 10) {
    TempFolder folder;
    start_recording(folder.path());
    {
      NotedStore store(must(store_sqlite::open(folder.path())), std::move(settings));
      store::Committer::Options options;
      options.checkpoint_bytes = log_bytes / 3;
      options.max_log_bytes = log_bytes;
      store::testing::Desk desk(store, options);
      for (int64_t n = 0; n < kSteps;) {
        std::vector<store::testing::Order> orders;
        for (int64_t i = n % 5; i < 5 && n < kSteps; ++i) {
          orders.push_back({store_sqlite::whole_step(++n), 0});
        }
        for (const auto& outcome : desk.commit(std::move(orders))) {
          ASSERT_EQ(outcome.end, store::WriteEnd::Committed) << outcome.reason;
          promises_.make(kExecution, outcome.tag + 1);
        }
      }
      desk.close();
      states_ = store.states();
    }
    log_ = stop_recording();
  }
  StoreJudge judge() const {
    return StoreJudge({states_, promises_.all(), [](sql::Connection& db) -> Result<std::string> {
                         return store_sqlite::judge(db, {}, kSteps);
                       }});
  }

  Promises promises_;
  std::vector<uint64_t> states_;
  DiskLog log_;
};

TEST_F(CommitterPowerCut, LosesNothingAndTearsNothing) {
  run_load();
  EXPECT_GT(beginnings(log_), 2);
  auto all = judge();
  expect_kept(log_, all, wanted_images() / 4);
}

TEST_F(CommitterPowerCut, WithoutItsSyncsItLosesWhatWasAcknowledged) {
  run_load();
  for (const auto& nodes : {nodes_named(log_, kStoreFile), nodes_named(log_, kLogFile),
                            std::set<uint64_t>{log_.root}}) {
    auto all = judge();
    EXPECT_NE(first_failure(without_syncs(log_, nodes), all), "");
  }
}

// Of such a store the log's VFS keeps from other connections what was not synced
// (gathering_vfs.h): the log is not moved.
TEST_F(CommitterPowerCut, WithSynchronousNormalItLosesWhatWasAcknowledged) {
  run_load("PRAGMA synchronous=NORMAL", 1 << 30);
  auto all = judge();
  std::string failure = first_failure(log_, all);
  EXPECT_NE(failure.find("is durable"), std::string::npos) << failure;
}

// The engine with all that it does, a server that stops and comes back, and retention.
class StorePowerCut : public engine::EngineTest {
 protected:
  void SetUp() override {
    folder_ = place_.path();
    start_recording(folder_);
    store_ = std::make_unique<NotedStore>(must(store_sqlite::open(folder_)), "");
    blobs_ = must(blob_fs::open(elsewhere_files_.path()));
    start();
    open_worker(4);
  }
  void TearDown() override {
    stop_recording();
    EngineTest::TearDown();
  }
  std::vector<std::shared_ptr<const Pack>> packs() override {
    return {engine::core_pack(), engine::workflow_pack()};
  }
  std::vector<uint64_t> states() const { return static_cast<const NotedStore&>(*store_).states(); }

  // The promise that an answer makes is noted before whoever asked hears it.
  template <typename T, typename Command, typename Says>
  std::future<T> ask(Command submits, Says promise) {
    auto heard = std::make_shared<std::promise<T>>();
    submits([this, heard, promise](Result<T> result) {
      if (result.ok()) {
        auto [query, number] = promise(*result);
        promises_.make(std::move(query), number);
      }
      result.ok() ? heard->set_value(std::move(*result))
                  : heard->set_exception(
                        std::make_exception_ptr(std::runtime_error(result.error().describe())));
    });
    return heard->get_future();
  }
  template <typename T>
  static T heard(std::future<T> answer) {
    if (answer.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      throw std::runtime_error("no answer within 60 s");
    }
    return answer.get();
  }
  std::future<engine::Ingested> event(std::string branch) {
    return ask<engine::Ingested>(
        [&](auto reply) {
          engine::NewEvent event;
          event.trigger = "ci.push";
          event.source = "test";
          event.source_id = std::to_string(++events_);
          event.payload = Value::map({{"branch", std::move(branch)}});
          event.payload_json = to_json(event.payload);
          engine_->submit(command::ingest(kTester, std::move(event), std::move(reply)));
        },
        [](const auto& row) { return Promise{kEvent, row.event.value}; });
  }
  std::future<kernel::ExecutionRow> execution(std::string action, Value parameters = Value::map()) {
    return ask<kernel::ExecutionRow>(
        [&](auto reply) {
          engine::NewExecution request;
          request.action = std::move(action);
          request.parameters = std::move(parameters);
          engine_->submit(command::run(kTester, std::move(request), std::move(reply)));
        },
        [](const auto& row) { return Promise{kExecution, row.id.value}; });
  }
  void write_key(int64_t version) {
    heard(ask<kernel::KeyRow>(
        [&](auto reply) {
          engine::KeyWrite write{.key = {{}, "system", fmt::format("k{}", version % 7)},
                                 .value_json = fmt::format("\"{}\"", version),
                                 .version = version / 7 + 1};
          engine_->submit(command::write_key(kTester, write, std::move(reply)));
        },
        [version](const auto&) { return Promise{kKey, version}; }));
  }
  // Ends so many runs of the worker.
  void work(int runs) {
    for (int i = 0; i < runs; ++i) {
      auto order = worker_.next();
      finish(order, 0);
      promises_.make(kEnded, order.key.execution.value);
    }
  }
  // A person is asked, and answers.
  void approve() {
    auto asks = heard(execution("core.ask", Value::map({{"prompt", "?"}})));
    settle();
    auto answered = await<kernel::InquiryRow>([&](Reply<kernel::InquiryRow> reply) {
      engine_->submit(
          command::answer(kTester, InquiryId{asks.id.value}, {Value::map()}, std::move(reply)));
    });
    ASSERT_TRUE(answered.ok()) << answered.error().describe();
    promises_.make(kEnded, asks.id.value);
  }
  void restart() {
    settle();
    engine_.reset();
    worker_.forget();
    start();
    open_worker(4);
  }
  void round(int64_t n) {
    auto matches = event("main");
    auto other = event("topic");
    auto echo = execution("core.echo", Value::map({{"message", n}}));
    heard(std::move(matches));
    heard(std::move(other));
    heard(std::move(echo));
    work(1);
    write_key(n);
    heard(execution("ci.pure", Value::map({{"n", n}})));
    heard(execution("ci.sequence"));
    work(2);
    if (n % 4 == 0) approve();
    if (n % 3 == 1) must(store_->checkpoint());
    if (n % 10 == 5) must(store_->empty_log());
    if (n % 10 == 9) restart();
    tick(100);
  }
  int64_t pages() {
    auto reader = must(store_->open_reader());
    return must(store::query_int(*reader, "SELECT page_count FROM pragma_page_count"));
  }
  // Much comes, grows old and goes: the file shrinks.
  void grow_and_shrink() {
    std::vector<std::future<engine::Ingested>> large;
    for (int i = 0; i < 105; ++i) large.push_back(event(std::string(12'000, 'p')));
    for (auto& each : large) heard(std::move(each));
    settle();
    must(store_->checkpoint());
    int64_t most = pages();
    promises_.withdraw();
    tick(100LL * 24 * 3600 * 1000);
    heard(execution("core.noop"));
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (pages() >= most && std::chrono::steady_clock::now() < deadline) {
      tick(1);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_LT(pages(), most);
  }

  TempFolder place_;
  TempFolder elsewhere_files_;
  Promises promises_;
  int64_t events_ = 0;
};

TEST_F(StorePowerCut, LosesNothingAndTearsNothing) {
  ASSERT_TRUE(make_rule().ok());
  int64_t n = 0;
  while (n < 40) round(n++);
  grow_and_shrink();
  while (n < 42) round(n++);
  settle();
  engine_.reset();
  must(store_->empty_log());
  auto log = stop_recording();
  EXPECT_GT(beginnings(log), 10);
  StoreJudge judge({states(), promises_.all()});
  expect_kept(log, judge, wanted_images() * 3 / 4);
}

}  // namespace
}  // namespace millrace::power
