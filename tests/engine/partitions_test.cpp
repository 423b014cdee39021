// SPDX-License-Identifier: Apache-2.0
//
// Two partitions of 32 shards each over one store, in one thread, with one work source for both:
// what a partition needs stands in its arguments.
#include "engine/partition.h"

#include <map>

#include "engine/elsewhere.h"
#include "engine/machine/transition.h"
#include "engine/outlet.h"
#include "fault_store.h"
#include "store/migrate.h"
#include "store/servers.h"
#include "store/writer.h"
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;

class Silent final : public Observer {
 public:
  void ended(const ExecutionRow&) override {}
  void watch(int64_t, Of<ExecutionId>, Reply<ExecutionRow>) override {}
  void committed() override {}
  void catalog_changed(std::shared_ptr<const Catalog>) override {}
  void decided(std::string_view, int64_t) override {}
};

// A partition with its writer, driven by hand.
struct Node {
  Silent observer;
  Outlet outlet{[](WorkOrder&) {}};
  std::unique_ptr<Partition> partition;
  std::unique_ptr<store::Writer> writer;
  int64_t time = kNow;
  WorkerId worker;  // of its last session

  using Steps = std::vector<std::unique_ptr<store::Step>>;

  Now now() const { return {time, time * 1'000'000}; }
  Steps decide() {
    auto work = partition->take(now());
    EXPECT_TRUE(work.ok()) << work.error().describe();
    return work.ok() ? std::move(work->steps) : Steps();
  }
  void write(Steps steps) {
    auto outcomes = writer->write(steps, {.unix_ms = time, .monotonic_ms = time});
    for (const auto& outcome : outcomes) {
      EXPECT_EQ(outcome.end, store::WriteEnd::Committed) << outcome.reason;
    }
    deliver(outcomes, outlet, observer);
    partition->written(std::move(outcomes), now());
  }
  // False: it has nothing to do.
  bool turn() {
    auto steps = decide();
    if (steps.empty()) return partition->pause_ms(now()) == 0;
    write(std::move(steps));
    return true;
  }
};

// One source of work for a worker, whichever partition has the execution: each gives a part of the
// slots, and a completion goes to the one that has sent the order.
class SharedSource final : public WorkSource, private WorkReceiver {
 public:
  explicit SharedSource(std::vector<Node*> nodes) : nodes_(std::move(nodes)) {}

  void open(WorkerHello hello, WorkReceiver& receiver,
            std::function<void(Result<Session>)> opened) override {
    receiver_ = &receiver;
    hello.slots /= static_cast<int>(nodes_.size());
    for (Node* node : nodes_) {
      node->partition->offer(open_worker(hello, {},
                                         [this, node](Result<Session> session) {
                                           ASSERT(session.ok());
                                           node->outlet.attach(*session, *this);
                                           sessions_[session->id] = node;
                                           node->worker = session->worker;
                                         }),
                             node->now());
      // The name of a worker is one row: the second partition finds what the first has written.
      while (node->turn()) {
      }
    }
    opened(Session{.id = SessionId{1}, .worker = WorkerId{1}});
  }
  void renew(SessionId, std::function<void(Result<void>)> renewed) override { renewed({}); }
  void close(SessionId) override {}
  void output(SessionId, OutputChunk) override {}
  void preparing(SessionId, TenantId, const RunKey&, std::string) override {}
  void prepared(SessionId, TenantId, const RunKey&, std::function<void(bool)> go) override {
    go(true);
  }
  void finished(SessionId, Completion completion, std::function<void()> done) override {
    Node& node = *holders_.at(completion.key);
    node.partition->offer(finish_run(node.worker, std::move(completion), {}, std::move(done)),
                          node.now());
  }
  size_t nodes_that_gave_work() const {
    std::set<Node*> different;
    for (const auto& [key, node] : holders_) different.insert(node);
    return different.size();
  }

 private:
  void grant(SessionId session, std::vector<WorkOrder> orders) override {
    for (const auto& order : orders) holders_[order.key] = sessions_.at(session);
    receiver_->grant(SessionId{1}, std::move(orders));
  }
  void cancel(SessionId, const Of<RunKey>& key, std::string reason) override {
    receiver_->cancel(SessionId{1}, key, std::move(reason));
  }

  std::vector<Node*> nodes_;
  WorkReceiver* receiver_ = nullptr;
  std::map<SessionId, Node*> sessions_;
  std::map<RunKey, Node*> holders_;
};

class TwoPartitions : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/millrace-partitions-XXXXXX";
    folder_ = mkdtemp(name);
    auto store = open_test_store(folder_);
    ASSERT_TRUE(store.ok()) << store.error().describe();
    store_ = std::move(*store);
    faults_ = std::make_unique<sql::FaultStore>(*store_);
    auto writer = store_->open_writer();
    ASSERT_TRUE(store::migrate(**writer).ok());
    auto catalog =
        Catalog().with_system({core_pack()})->with_packs(kDefaultTenant, {workflow_pack()});
    add_node(low_, ShardSet::range(0, 32), 0, catalog);
    add_node(high_, ShardSet::range(32, 64), 1, catalog);
    source_.emplace(std::vector<Node*>{&low_, &high_});
  }
  void TearDown() override {
    auto reader = store_->open_reader();
    auto findings = store::examine(**reader, {.now_ms = low_.time});
    ASSERT_TRUE(findings.ok());
    for (const auto& finding : *findings) {
      ADD_FAILURE() << finding.promise << " " << finding.entity << ": " << finding.message;
    }
    std::filesystem::remove_all(folder_);
  }
  void add_node(Node& node, ShardSet shards, uint16_t number,
                const std::shared_ptr<const Catalog>& catalog) {
    auto writer = store_->open_writer();
    ASSERT_TRUE(writer.ok());
    auto epoch = store::claim_shards(**writer, number, shards);
    ASSERT_TRUE(epoch.ok()) << epoch.error().describe();
    auto opened = store::Writer::open(*store_, {.shards = shards, .owner_epoch = *epoch});
    ASSERT_TRUE(opened.ok());
    node.writer = std::move(*opened);
    auto reader = faults_->open_reader();
    Surroundings surroundings{node.outlet, node.observer, {}};
    surroundings.owner_of = [](int shard) { return shard < 32 ? 0 : 1; };
    auto partition = Partition::open(std::move(*reader), catalog, surroundings,
                                     {.shards = shards, .node = number});
    ASSERT_TRUE(partition.ok()) << partition.error().describe();
    node.partition = std::move(*partition);
  }
  ExecutionId run(Node& node, const std::string& action, Value parameters = Value::map()) {
    ExecutionId id;
    node.partition->offer(
        command::run(kTester, {.action = action, .parameters = std::move(parameters)},
                     [&](const Result<ExecutionRow>& row) {
                       ASSERT_TRUE(row.ok()) << row.error().describe();
                       id = row->id;
                     }),
        node.now());
    while (node.turn()) {
    }
    return id;
  }
  void begin_worker() {
    source_->open({.name = "local", .slots = 4, .instance = "s1"}, worker_, [](const auto&) {});
  }
  // The worker ends what it has, until neither partition has anything to do.
  void work() {
    for (int i = 0; i < 200; ++i) {
      bool any = low_.turn();
      any |= high_.turn();
      while (worker_.waiting_orders() > 0) {
        WorkOrder order = worker_.next();
        Completion completion{.tenant = order.tenant, .key = order.key};
        completion.out = {.bytes = "{\"n\": 1}", .size = 8};
        source_->finished(SessionId{1}, completion, [] {});
        any = true;
      }
      if (!any) return;
    }
    FAIL() << "they do not come to rest";
  }
  ExecutionRow stored(ExecutionId id) {
    auto reader = store_->open_reader();
    auto row = store::find_execution(**reader, kDefaultTenant, id);
    return row.ok() && *row ? **row : ExecutionRow{};
  }

  std::string folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<sql::FaultStore> faults_;
  Node low_;
  Node high_;
  std::optional<SharedSource> source_;
  KeepingWorker worker_;
};

TEST_F(TwoPartitions, EachMovesItsOwnShardsWithWorkFromOneSource) {
  begin_worker();
  std::map<ExecutionId, Node*> started;
  for (const char* action : {"ci.build", "ci.sequence", "ci.fork", "ci.parent", "ci.check"}) {
    for (Node* node : {&low_, &high_}) started[run(*node, action)] = node;
  }
  work();
  for (const auto& [id, node] : started) {
    ExecutionRow row = stored(id);
    EXPECT_EQ(row.status, ExecutionStatus::Succeeded) << row.action;
    EXPECT_TRUE(node->partition->shards().has(shard_of(kDefaultTenant, row.root.value)));
  }
  EXPECT_EQ(source_->nodes_that_gave_work(), 2U);
}

TEST_F(TwoPartitions, WhatOneHasLeftBehindTheOtherDoesNotTouch) {
  auto slow = run(high_, "core.sleep", Value::map({{"seconds", 10}}));
  // Without a worker both wait in the queue.
  auto of_low = run(low_, "ci.check");
  auto of_high = run(high_, "ci.check");
  high_.partition = nullptr;
  source_.emplace(std::vector<Node*>{&low_});
  begin_worker();
  low_.time += 3'600'000;
  while (low_.turn()) {
  }
  ASSERT_EQ(worker_.waiting_orders(), 1U);
  WorkOrder order = worker_.next();
  EXPECT_EQ(order.key.execution, of_low);
  source_->finished(SessionId{1}, {.tenant = order.tenant, .key = order.key}, [] {});
  while (low_.turn()) {
  }
  EXPECT_EQ(stored(of_low).status, ExecutionStatus::Succeeded);
  EXPECT_EQ(stored(of_high).status, ExecutionStatus::Requested);
  EXPECT_EQ(stored(slow).status, ExecutionStatus::Running);  // its timer is another's
}

// What another one's partition has is told before anything is decided, with the node to ask.
TEST_F(TwoPartitions, ACommandForAnothersRowNamesItsOwner) {
  begin_worker();
  auto of_high = run(high_, "core.sleep", Value::map({{"seconds", 10}}));
  std::optional<int> node;
  low_.partition->offer(command::cancel(kTester, of_high,
                                        [&](const Result<ExecutionRow>& row) {
                                          if (!row.ok()) node = elsewhere(row.error());
                                        }),
                        low_.now());
  while (low_.turn()) {
  }
  EXPECT_EQ(node, 1);
  EXPECT_EQ(stored(of_high).status, ExecutionStatus::Running);
}

TEST_F(TwoPartitions, OneWithoutShardsMakesNothingThatNeedsOne) {
  Node third;
  add_node(third, {}, 2, Catalog().with_system({core_pack()}));
  std::optional<Error> refused;
  third.partition->offer(command::run(kTester, {.action = "core.noop", .parameters = Value::map()},
                                      [&](const Result<ExecutionRow>& row) {
                                        if (!row.ok()) refused = row.error();
                                      }),
                         third.now());
  Result<KeyRow> key = Error(ErrorKind::Internal, "", "not answered");
  KeyWrite write{.key = {kDefaultTenant, "system", "a"}, .value_json = "1"};
  third.partition->offer(
      command::write_key(kTester, write, [&](Result<KeyRow> row) { key = std::move(row); }),
      third.now());
  while (third.turn()) {
  }
  ASSERT_TRUE(refused.has_value());
  EXPECT_TRUE(elsewhere(*refused).has_value()) << refused->describe();
  EXPECT_TRUE(key.ok()) << key.error().describe();
}

// Who counts the waiting requests adds what it has offered: sweeps and looks at the queue are not.
TEST_F(TwoPartitions, OnlyWhatWasAskedCountsAsAnswered) {
  begin_worker();
  work();
  low_.partition->take_answered();
  for (int i = 0; i < 8; ++i) run(low_, "ci.check");  // more than there are slots
  for (int minute = 0; minute < 5; ++minute) {
    work();
    low_.time += 61'000;
  }
  EXPECT_EQ(low_.partition->take_answered(), 8);
}

// A message that has stood alone does not go among others again.
TEST_F(TwoPartitions, OneThatCannotBeReadHalvesItsBatchOnce) {
  auto culprit = run(low_, "core.sleep", Value::map({{"seconds", 10}}));
  faults_->add({.text = "FROM execution", .bound = culprit.value});
  int answers = 0;
  auto cancel = [&](ExecutionId id) {
    low_.partition->offer(
        command::cancel(kTester, id,
                        [&](const Result<ExecutionRow>& row) { answers += row.ok() ? 0 : 1; }),
        low_.now());
  };
  cancel(culprit);
  constexpr int kOthers = 31;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < kOthers; ++i) cancel(ExecutionId{culprit.value + 1000 + i});
    while (low_.turn()) {
    }
    low_.time += 2'100;
  }
  EXPECT_EQ(answers, 4 * kOthers + 1);
  // 32, 16, 8, 4, 2, 1, and two more tries alone.
  EXPECT_EQ(faults_->struck(), 8);
  faults_->clear();
}

// What a rerun copies is not among the rows that an earlier decision of its batch has changed.
TEST_F(TwoPartitions, ARerunWaitsForTheEndOfWhatItRepeats) {
  begin_worker();
  auto failed = run(low_, "ci.one");
  WorkOrder order = worker_.next();
  source_->finished(SessionId{1}, {.tenant = order.tenant, .key = order.key, .exit_code = 1},
                    [] {});
  ExecutionId again;
  low_.partition->offer(command::rerun(kTester, failed, {},
                                       [&](const Result<ExecutionRow>& row) {
                                         ASSERT_TRUE(row.ok()) << row.error().describe();
                                         again = row->id;
                                       }),
                        low_.now());
  work();
  EXPECT_EQ(stored(failed).status, ExecutionStatus::Failed);
  EXPECT_EQ(stored(again).status, ExecutionStatus::Succeeded);
}

// While the commit that puts another timer in its place is under way, the stored row is still
// there.
TEST_F(TwoPartitions, ATimerThatIsBeingMendedDoesNotFire) {
  constexpr int64_t kDay = 86'400'000;
  low_.time += kDay;
  auto sleeps = run(low_, "core.sleep", Value::map({{"seconds", 10}}));
  auto reader = store_->open_reader();
  auto timers = store::timers_until(**reader, low_.partition->shards(), low_.time + kDay, 2);
  ASSERT_TRUE(timers.ok() && timers->size() == 1);
  low_.time -= kDay;
  low_.partition->offer(check_timers({.delays = true}, low_.time), low_.now());
  low_.turn();  // it is decided alone
  auto mended = low_.decide();
  ASSERT_EQ(mended.size(), 1U);
  low_.partition->offer(fire_timer({kDefaultTenant, timers->front().id}), low_.now());
  EXPECT_TRUE(low_.decide().empty());
  low_.write(std::move(mended));
  while (low_.turn()) {
  }
  EXPECT_EQ(stored(sleeps).status, ExecutionStatus::Running);
  low_.time += kDay;
  while (low_.turn()) {
  }
  EXPECT_EQ(stored(sleeps).status, ExecutionStatus::Succeeded);
}

}  // namespace
}  // namespace millrace::engine
