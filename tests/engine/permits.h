// SPDX-License-Identifier: Apache-2.0
//
// Servers over one store in one thread, with a worker elsewhere: each has a partition with a part
// of the shards, its own feed, and asks the others for slots over a link that a test can hold up.
#pragma once

#include <deque>
#include <map>

#include "engine/borrower.h"
#include "engine/follower.h"
#include "engine/outlet.h"
#include "engine/partition.h"
#include "fault_store.h"
#include "harness.h"
#include "store/migrate.h"
#include "store/servers.h"
#include "store/writer.h"

namespace millrace::engine {

class Permits : public ::testing::Test {
 protected:
  class Quiet final : public Observer {
   public:
    std::deque<MessageRow> hints;  // for other servers
    void sent(const MessageRow& message) override { hints.push_back(message); }
    void ended(const ExecutionRow&) override {}
    void watch(int64_t, Of<ExecutionId>, Reply<ExecutionRow>) override {}
    void committed() override {}
    void catalog_changed(std::shared_ptr<const Catalog>) override {}
    void decided(std::string_view, int64_t) override {}
  };

  // A worker in another process, as its server sees it.
  struct Agent final : WorkReceiver {
    explicit Agent(std::string its_name = "agent", int its_slots = 1)
        : name(std::move(its_name)), slots(its_slots) {}
    std::string name;
    int slots;
    std::string instance = "i1";
    std::vector<std::string> labels = {"far"};
    int64_t opening = 0;
    Session session;
    std::map<RunKey, WorkOrder> running;
    size_t most = 0;  // at once
    std::map<ExecutionId, int> begun;
    std::vector<RunKey> cancels;
    bool is_deaf = false;  // its connection is broken: orders do not reach it

    void grant(SessionId of, std::vector<WorkOrder> orders) override {
      if (is_deaf || of != session.id) return;
      for (auto& order : orders) {
        ++begun[order.key.execution];
        running.emplace(order.key, std::move(order));
      }
      most = std::max(most, running.size());
    }
    void cancel(SessionId, const Of<RunKey>& run, std::string) override {
      cancels.push_back(run.id);
    }
  };

  struct Place {
    int number = 0;
    int64_t epoch = 0;
    ShardSet shards;
    bool lives = true;
    Quiet observer;
    Outlet outlet{[](WorkOrder&) {}};
    std::vector<std::vector<Permit>> lent;  // to it, and not heard of yet
    std::unique_ptr<Borrower> borrower;
    std::unique_ptr<Partition> partition;
    std::unique_ptr<store::Writer> writer;
    std::unique_ptr<FeedReader> feed;
    bool reads_feed = true;
    bool decides = true;
  };

  void SetUp() override {
    char name[] = "/tmp/millrace-permits-XXXXXX";
    folder_ = mkdtemp(name);
    store_ = std::move(*open_test_store(folder_));
    faults_ = std::make_unique<sql::FaultStore>(*store_);
    ASSERT_TRUE(store::migrate(**store_->open_writer()).ok());
    auto pack = std::make_shared<Pack>(*test_pack());
    for (const auto* base : {"ci.build", "ci.check"}) {
      auto found = std::ranges::find(pack->actions, std::string(base), &Action::ref);
      Action far = *found;
      far.ref = std::string(base) == "ci.build" ? "ci.far" : "ci.far_again";
      far.runs_on = {"far"};
      pack->actions.push_back(std::move(far));
    }
    pack_ = pack;
  }
  void TearDown() override {
    places_.clear();
    auto reader = store_->open_reader();
    auto findings = store::examine(**reader, {.now_ms = time_, .check_bytes = false});
    ASSERT_TRUE(findings.ok());
    for (const auto& finding : *findings) {
      EXPECT_NE(finding.severity, store::Severity::Broken)
          << finding.promise << " " << finding.entity << ": " << finding.message;
    }
    std::filesystem::remove_all(folder_);
  }

  Now now() const { return {time_, time_ * 1'000'000}; }

  std::shared_ptr<const Catalog> catalog(bool with_pack = true) const {
    auto made = Catalog().with_system({core_pack()});
    return with_pack ? made->with_packs(kDefaultTenant, {pack_}) : made;
  }
  // So many servers, each with its part of the shards.
  void start(int count) {
    for (int i = 0; i < count; ++i) {
      auto& place = add();
      open(place, ShardSet::range(kShards * i / count, kShards * (i + 1) / count));
    }
  }
  Place& add() {
    auto& place = *places_.emplace_back(std::make_unique<Place>());
    place.number = static_cast<int>(places_.size()) - 1;
    place.epoch = ++last_epoch_;
    place.borrower = std::make_unique<Borrower>(Borrower::Outside{
        .self = place.epoch,
        .servers = [this, &place] { return views(place); },
        .mono_ms = [this] { return time_; },
        .ask =
            [this](const ServerRow& of, PermitAsk ask, Borrower::Got got) {
              ++asks_;
              link_.emplace_back(
                  [this, epoch = of.epoch, ask = std::move(ask), got = std::move(got)] {
                    auto* home = at(epoch);
                    if (!home) return got(Error(ErrorKind::Unavailable, "RPC-0011", "gone"));
                    auto answer = [this, epoch, got](Result<std::vector<Permit>> permits) {
                      if (permits.ok()) {
                        for (auto& permit : *permits) permit.home = epoch;
                      }
                      answers_.emplace_back([got, permits = std::move(permits)] { got(permits); });
                    };
                    home->partition->lend(ask, answer, now());
                  });
            },
        .give_back =
            [this](const ServerRow& of, int64_t number) {
              link_.emplace_back([this, epoch = of.epoch, number] {
                if (auto* home = at(epoch)) home->partition->take_back(number);
              });
            },
        .lent = [&place](std::vector<Permit> permits) { place.lent.push_back(std::move(permits)); },
        .look = [] {}});
    place.feed = std::make_unique<FeedReader>(
        std::move(*store_->open_reader()), *store::last_change(**store_->open_reader()),
        FeedReader::Outside{.is_awaited = [](Of<ExecutionId>) { return false; },
                            .ended = [](const ExecutionRow&) {},
                            .canceling =
                                [this, &place](const ExecutionRow& row) {
                                  place.partition->offer(
                                      stop_run(row.worker, {row.tenant, row.key()}), now());
                                },
                            .given =
                                [this, &place](RunGiven given) {
                                  given.self = place.epoch;
                                  place.partition->offer(take_run(given), now());
                                },
                            .catalog = [](CatalogNews) {},
                            .token = [](TenantId, TokenId, const TokenRow*) {},
                            .packs = [] {},
                            .changed = [] {},
                            .in_hand = nullptr});
    return place;
  }
  // A partition with these shards takes the place of what it has.
  void open(Place& place, ShardSet shards, bool with_pack = true) {
    auto writer = store_->open_writer();
    auto claim = store::claim_shards(**writer, place.number, shards);
    ASSERT_TRUE(claim.ok()) << claim.error().describe();
    auto opened = store::Writer::open(*faults_, {.shards = shards, .owner_epoch = *claim});
    ASSERT_TRUE(opened.ok());
    place.writer = std::move(*opened);
    place.shards = shards;
    Surroundings surroundings{place.outlet, place.observer, {}};
    surroundings.owner_of = [](int) { return kNobody; };
    surroundings.loans = place.borrower.get();
    auto partition =
        Partition::open(std::move(*faults_->open_reader()), catalog(with_pack), surroundings,
                        {.shards = shards, .node = static_cast<uint16_t>(place.number)});
    ASSERT_TRUE(partition.ok()) << partition.error().describe();
    if (place.partition) (*partition)->take_over(*place.partition);
    place.partition = std::move(*partition);
  }
  // All shards of the other one are its.
  void take(Place& place, Place& from) {
    auto shards = place.shards;
    for (int shard = 0; shard < kShards; ++shard) {
      if (from.shards.has(shard)) shards.add(shard);
    }
    if (from.lives) open(from, {});
    open(place, shards);
  }
  // As a kill does.
  void kill(Place& place) {
    place.lives = false;
    place.borrower->stop();
    place.partition.reset();
    place.feed.reset();
  }
  Place* at(int64_t epoch) {
    for (const auto& place : places_) {
      if (place->epoch == epoch && place->lives) return place.get();
    }
    return nullptr;
  }
  std::vector<ServerView> views(const Place& self) const {
    std::vector<ServerView> all;
    for (const auto& place : places_) {
      ServerView view{.row = {.node = place->number, .epoch = place->epoch}, .shards = {}};
      view.row.internal = "there";
      view.is_self = place.get() == &self;
      view.lives = place->lives;
      all.push_back(std::move(view));
    }
    return all;
  }

  // One turn of one server. Whether anything has happened.
  bool turn(Place& place) {
    if (!place.lives || !place.decides) return false;
    auto lent = std::exchange(place.lent, {});
    for (auto& permits : lent) place.partition->borrow(std::move(permits), now());
    auto work = place.partition->take(now());
    EXPECT_TRUE(work.ok()) << work.error().describe();
    if (!work.ok() || work->steps.empty()) {
      return !lent.empty() || place.partition->pause_ms(now()) == 0;
    }
    auto outcomes = place.writer->write(work->steps, {.unix_ms = time_, .monotonic_ms = time_});
    deliver(outcomes, place.outlet, place.observer);
    place.partition->written(std::move(outcomes), now());
    return true;
  }
  bool read(Place& place) {
    if (!place.lives || !place.reads_feed) return false;
    auto more = place.feed->read();
    EXPECT_TRUE(more.ok()) << more.error().describe();
    return *more;
  }
  bool bring_hints(Place& from) {
    for (const auto& hint : from.observer.hints) {
      for (const auto& place : places_) {
        if (!place->lives || !place->shards.has(hint.shard)) continue;
        place->partition->offer(stored_message(hint), now());
      }
    }
    return !std::exchange(from.observer.hints, {}).empty();
  }
  bool pass(std::deque<std::function<void()>>& way, bool holds) {
    if (holds || way.empty()) return false;
    auto next = std::move(way.front());
    way.pop_front();
    next();
    return true;
  }
  // Until nothing more happens at this time.
  void rest() {
    for (int quiet = 0, rounds = 0; quiet < 3; ++rounds) {
      ASSERT_LT(rounds, 3000) << "they do not come to rest";
      bool any = false;
      for (const auto& place : places_) any |= turn(*place);
      for (const auto& place : places_) any |= read(*place);
      for (const auto& place : places_) any |= bring_hints(*place);
      any |= pass(link_, holds_asks_);
      any |= pass(answers_, holds_answers_);
      quiet = any ? 0 : quiet + 1;
    }
  }
  // The same, and time goes on.
  void go_on(int64_t ms) {
    for (int64_t gone = 0; gone < ms; gone += 500) {
      time_ += 500;
      rest();
    }
  }

  void open_worker(Place& home, Agent& agent, std::vector<RunKey> adopted = {}) {
    WorkerHello hello{.name = agent.name, .slots = agent.slots, .instance = agent.instance};
    hello.labels = agent.labels;
    hello.elsewhere = true;
    hello.adopted = std::move(adopted);
    hello.opening = ++agent.opening;
    say_hello(home, std::move(hello), [&](Result<Session> session) {
      ASSERT_TRUE(session.ok()) << session.error().describe();
      agent.session = *session;
      home.outlet.attach(*session, agent);
    });
  }
  void say_hello(Place& home, WorkerHello hello, std::function<void(Result<Session>)> opened) {
    SessionTerms terms{.ttl_ms = 30'000, .renew_ms = 10'000, .fence_ms = 22'000};
    terms.home = home.epoch;
    home.partition->offer(millrace::engine::open_worker(std::move(hello), terms, std::move(opened)),
                          now());
  }
  void renew(Place& home, Agent& agent) { home.partition->renew(agent.session.id, now()); }

  ExecutionId run(Place& place, const std::string& action) {
    ExecutionId id;
    place.partition->offer(command::run(kTester, {.action = action, .parameters = Value::map()},
                                        [&](const Result<ExecutionRow>& row) {
                                          ASSERT_TRUE(row.ok()) << row.error().describe();
                                          id = row->id;
                                        }),
                           now());
    while (!id) turn(place);
    return id;
  }
  void finish(Place& home, Agent& agent, const RunKey& key) {
    Completion completion{.tenant = kDefaultTenant, .key = key};
    completion.out = {.bytes = "{\"n\": 1}", .size = 8};
    home.partition->offer(finish_run(agent.session.worker, completion, {}, [] {}), now());
    agent.running.erase(key);
  }
  void finish_all(Place& home, Agent& agent) {
    while (!agent.running.empty()) finish(home, agent, agent.running.begin()->first);
  }
  // The agent ends what it has until there is no more.
  void work_off(Place& home, Agent& agent) {
    for (rest(); !agent.running.empty(); rest()) finish_all(home, agent);
  }

  ExecutionRow stored(ExecutionId id) {
    auto reader = store_->open_reader();
    auto row = store::find_execution(**reader, kDefaultTenant, id);
    return row.ok() && *row ? **row : ExecutionRow{};
  }
  ExecutionStatus status(ExecutionId id) { return stored(id).status; }

  std::string folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<sql::FaultStore> faults_;
  std::shared_ptr<const Pack> pack_;
  int64_t time_ = 1'800'000'000'000;
  int64_t last_epoch_ = 100;
  std::vector<std::unique_ptr<Place>> places_;
  std::deque<std::function<void()>> link_;     // asks, and what is given back
  std::deque<std::function<void()>> answers_;  // to asks
  bool holds_asks_ = false;
  bool holds_answers_ = false;
  int asks_ = 0;
};

}  // namespace millrace::engine
