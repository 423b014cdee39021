// SPDX-License-Identifier: Apache-2.0
#include <semaphore>

#include "several_servers.h"

namespace millrace::engine {
namespace {

TEST_F(SeveralServers, ShareTheShardsEvenlyAndEachDecides) {
  auto& a = start("a");
  EXPECT_EQ(owned(a), kShards);
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto& c = start("c");
  ASSERT_TRUE(spread_over({&a, &b, &c}));
  for (auto* server : {&a, &b, &c}) {
    auto row = run(*server, "core.noop");
    ASSERT_TRUE(row.ok()) << row.error().describe();
    EXPECT_EQ(row->status, ExecutionStatus::Succeeded);
    EXPECT_EQ(server->engine->owner_of(shard(row->id)), server->node());
    EXPECT_EQ(server->engine->servers().size(), 3U);
  }
}

TEST_F(SeveralServers, ACommandForAnothersRowNamesItsOwner) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto sleeping = run(a, "core.sleep", Value::map({{"seconds", 1000}}));
  ASSERT_TRUE(sleeping.ok());
  auto refused = cancel(b, sleeping->id);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(elsewhere(refused.error()), a.node());
  EXPECT_TRUE(cancel(a, sleeping->id).ok());
}

TEST_F(SeveralServers, ADeadOnesShardsAreTakenTenSecondsAfterItsLastBeat) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto sleeping = run(b, "core.sleep", Value::map({{"seconds", 2}}));
  ASSERT_TRUE(sleeping.ok());
  tick(1000);
  int64_t died = mono_ms_;
  kill(b);
  ASSERT_TRUE(in_time([&] { return owned(a) == kShards; }));
  EXPECT_GE(mono_ms_ - died, times_.dead_ms);
  EXPECT_LE(mono_ms_ - died, times_.dead_ms + 4000);
  EXPECT_TRUE(ends(sleeping->id));  // its timer fires at the heir
}

// No clock goes on meanwhile.
TEST_F(SeveralServers, WhoDrainsHandsOverAtOnce) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto sleeping = run(b, "core.sleep", Value::map({{"seconds", 1000}}));
  ASSERT_TRUE(sleeping.ok());
  b.engine->stop_granting();
  EXPECT_TRUE(soon([&] { return owned(a) == kShards; }));
  EXPECT_TRUE(soon([&] { return cancel(a, sleeping->id).ok(); }));
  auto refused = run(b, "core.noop");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(elsewhere(refused.error()), kAnybody);
  b.engine->stop(std::chrono::seconds(5));
  EXPECT_EQ(cluster().servers.size(), 1U);
}

TEST_F(SeveralServers, ARunEndsWhereItsShardHasMoved) {
  auto& a = start("a");
  open_worker(a, 16);
  std::vector<ExecutionId> ids;
  for (int i = 0; i < 16; ++i) {
    auto row = run(a, "ci.build");
    ASSERT_TRUE(row.ok()) << row.error().describe();
    ids.push_back(row->id);
  }
  std::vector<WorkOrder> orders;
  for (int i = 0; i < 16; ++i) orders.push_back(a.worker.next());
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto moved = std::ranges::count_if(
      ids, [&](ExecutionId id) { return cluster().shards_of(b.node()).has(shard(id)); });
  ASSERT_GT(moved, 0);
  ASSERT_LT(moved, 16);
  auto waiting = run(a, "ci.build");
  ASSERT_TRUE(waiting.ok());
  EXPECT_EQ(waiting->status, ExecutionStatus::Requested);  // slots of runs that moved are taken
  for (const auto& order : orders) finish(a, order);
  for (ExecutionId id : ids) EXPECT_TRUE(ends(id)) << shard(id);
  EXPECT_EQ(a.worker.next().key.execution, waiting->id);
  // All slots but one are free again.
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(run(a, "ci.build")->status, ExecutionStatus::Running);
  }
  EXPECT_EQ(run(a, "ci.build")->status, ExecutionStatus::Requested);
}

// The ends of runs whose rows are another one's are told, told again, and told once more in the
// next session, which knows the runs from before the other one has taken their ends: each had one
// slot.
TEST_F(SeveralServers, ARunWhoseRowIsElsewhereHasOneSlotHoweverOftenItEnds) {
  auto& a = start("a");
  open_worker(a, 16);
  std::vector<WorkOrder> orders;
  std::vector<RunKey> keys;
  for (int i = 0; i < 16; ++i) {
    ASSERT_TRUE(run(a, "ci.build").ok());
    orders.push_back(a.worker.next());
    keys.push_back(orders.back().key);
  }
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  b.faults->add({.on = sql::Fault::On::Writer, .text = "DELETE FROM message"});
  auto tell_ends = [&] {
    for (const auto& order : orders) finish(a, order);
  };
  tell_ends();
  tell_ends();
  std::vector<ExecutionId> next;
  for (int i = 0; i < 16; ++i) next.push_back(run(a, "ci.build")->id);
  EXPECT_EQ(run(a, "ci.build")->status, ExecutionStatus::Requested);
  for (int i = 0; i < 16; ++i) {
    orders.push_back(a.worker.next());
    keys.push_back(orders.back().key);
  }
  open_worker(a, 16, keys);
  b.faults->clear();
  for (const auto& key : keys) {
    if (std::ranges::find(next, key.execution) != next.end()) continue;
    ASSERT_TRUE(in_time([&] { return stored(key.execution).status == ExecutionStatus::Succeeded; },
                        120'000));
  }
  tell_ends();
  // One has waited.
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(run(a, "ci.build")->status, ExecutionStatus::Running) << i;
  }
  EXPECT_EQ(run(a, "ci.build")->status, ExecutionStatus::Requested);
}

// Its beat cannot be raised: it stops before others may begin, by its own clock.
TEST_F(SeveralServers, AnOwnerThatCannotBeatStopsBeforeItsShardsAreTaken) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  silence(b);
  int64_t last = mono_ms_;
  while (mono_ms_ - last < times_.owner_stops_ms) tick(1000);
  std::atomic<bool> answered = false;
  b.engine->submit(command::run(kTester, {.action = "core.noop", .parameters = Value::map()},
                                [&](const Result<ExecutionRow>&) { answered = true; }));
  EXPECT_LT(owned(a), kShards);
  int64_t commits = b.engine->stats().commits;
  ASSERT_TRUE(in_time([&] { return owned(a) == kShards; }));
  EXPECT_EQ(b.engine->stats().commits, commits);
  EXPECT_FALSE(answered);
  unsilence(b);
  ASSERT_TRUE(spread_over({&a, &b}));
  EXPECT_TRUE(soon([&] { return answered.load(); }));
  EXPECT_TRUE(run(b, "core.noop").ok());
}

// Its worker still runs what others have given up: it is told to open again, and to end that.
TEST_F(SeveralServers, WhoHasBeenSilentForLongHearsWhatItsWorkersHaveLost) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  open_worker(b, 1);
  auto given_up = run(b, "ci.build");
  ASSERT_TRUE(given_up.ok()) << given_up.error().describe();
  WorkOrder order = b.worker.next();
  silence(b);
  ASSERT_TRUE(in_time([&] { return stored(given_up->id).status == ExecutionStatus::NeedsDecision; },
                      120'000));
  unsilence(b);
  ASSERT_TRUE(spread_over({&a, &b}));
  ASSERT_TRUE(soon([&] { return b.worker.over_count > 0; }));
  open_worker(b, 1, {order.key});
  EXPECT_EQ(b.worker.next_cancel(), order.key);
  // The slot is not its any more.
  EXPECT_EQ(run(b, "ci.build")->status, ExecutionStatus::Running);
}

// It does not notice: what it commits is refused by the epochs, and it goes on with what it gets.
TEST_F(SeveralServers, WhatIsCommittedUnderALostEpochIsRefused) {
  auto& a = start("a");
  {
    auto writer = store_->open_writer();
    ASSERT_TRUE(store::claim_shards(**writer, 900, ShardSet::range(0, 63)).ok());
  }
  // Or it is decided again for the shard that is left.
  auto made = run(a, "core.noop");
  EXPECT_TRUE(made.ok() || elsewhere(made.error())) << made.error().describe();
  ASSERT_TRUE(in_time([&] { return owned(a) == kShards; }));
  EXPECT_TRUE(run(a, "core.noop").ok());
  EXPECT_FALSE(a.ended);
}

TEST_F(SeveralServers, RunsOfADeadServersWorkerAreDecidedByItsHeir) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  open_worker(b, 2);
  auto once = run(b, "ci.build");   // at most once
  auto again = run(b, "ci.check");  // idempotent
  ASSERT_TRUE(once.ok() && again.ok());
  ASSERT_EQ(stored(again->id).status, ExecutionStatus::Running);
  int64_t died = mono_ms_;
  kill(b);
  ASSERT_TRUE(in_time([&] { return owned(a) == kShards; }));
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Running);
  ASSERT_TRUE(
      in_time([&] { return stored(once->id).status == ExecutionStatus::NeedsDecision; }, 120'000));
  EXPECT_GE(mono_ms_ - died, times_.runs_lost_ms);
  EXPECT_TRUE(ends(again->id, ExecutionStatus::Requested));
  open_worker(a, 1);
  WorkOrder order = a.worker.next();
  EXPECT_EQ(order.key.execution, again->id);
  EXPECT_EQ(order.key.attempt, 2);
}

// A cancel is decided where the shard is, and reaches the worker where that is.
TEST_F(SeveralServers, ACancelReachesTheWorkerOfAnotherServer) {
  auto& a = start("a");
  open_worker(a, 16);
  std::vector<ExecutionId> ids;
  for (int i = 0; i < 16; ++i) ids.push_back(run(a, "ci.build")->id);
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto moved = std::ranges::find_if(
      ids, [&](ExecutionId id) { return cluster().shards_of(b.node()).has(shard(id)); });
  ASSERT_NE(moved, ids.end());
  ASSERT_TRUE(cancel(b, *moved).ok());
  RunKey key = a.worker.next_cancel();
  EXPECT_EQ(key.execution, *moved);
  finish(a, {.tenant = kDefaultTenant, .key = key});
  EXPECT_TRUE(ends(*moved, ExecutionStatus::Canceled));
}

// Who waits on one server hears of an end on another.
TEST_F(SeveralServers, AnEndIsHeardOnEveryServer) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto sleeping = run(a, "core.sleep", Value::map({{"seconds", 1}}));
  ASSERT_TRUE(sleeping.ok());
  std::promise<ExecutionRow> ended;
  auto changed = std::make_shared<std::binary_semaphore>(0);  // the server outlives this function
  b.engine->on_change([changed, first = std::make_shared<std::atomic_flag>()] {
    if (!first->test_and_set()) changed->release();
  });
  b.engine->watch(b.engine->new_watch(), {kDefaultTenant, sleeping->id},
                  [&](const Result<ExecutionRow>& row) { ended.set_value(*row); });
  tick(2000);
  auto future = ended.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(future.get().status, ExecutionStatus::Succeeded);
  EXPECT_TRUE(changed->try_acquire_for(std::chrono::seconds(20)));
}

RuleWrite rule_named(std::string ref, std::string action, bool create = false) {
  RuleWrite write;
  write.spec.ref = std::move(ref);
  write.spec.trigger = "ci.push";
  write.spec.action = std::move(action);
  write.create = create;
  return write;
}

class Rules : public SeveralServers {
 protected:
  std::future<Result<RuleRow>> write(Server& server, RuleWrite wish) {
    auto promise = std::make_shared<std::promise<Result<RuleRow>>>();
    server.engine->submit(command::write_rule(
        kTester, std::move(wish),
        [promise](Result<RuleRow> row) { promise->set_value(std::move(row)); }));
    return promise->get_future();
  }
  bool knows(Server& server, const std::string& ref, int64_t revision) {
    return soon([&] {
      auto catalog = server.engine->catalog(kDefaultTenant);
      const auto* found = catalog->find_rule(ref);
      return found && found->row.revision == revision;
    });
  }
};

TEST_F(Rules, OfOneServerAreInForceOnAll) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto made = write(a, rule_named("ci.one", "core.noop", true)).get();
  ASSERT_TRUE(made.ok()) << made.error().describe();
  EXPECT_TRUE(knows(b, "ci.one", 1));
}

// Each is decided on what the other has written.
TEST_F(Rules, TwoServersThatWriteAtOnceMakeTwoRevisions) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  ASSERT_TRUE(write(a, rule_named("ci.one", "core.noop", true)).get().ok());
  ASSERT_TRUE(knows(b, "ci.one", 1));
  for (int i = 0; i < 5; ++i) {
    auto of_a = write(a, rule_named("ci.one", "core.noop"));
    auto of_b = write(b, rule_named("ci.one", "core.echo"));
    auto first = of_a.get();
    auto second = of_b.get();
    ASSERT_TRUE(first.ok()) << first.error().describe();
    ASSERT_TRUE(second.ok()) << second.error().describe();
    EXPECT_NE(first->revision, second->revision);
  }
  EXPECT_TRUE(knows(a, "ci.one", 11));
  EXPECT_TRUE(knows(b, "ci.one", 11));
}

TEST_F(Rules, OfTwoThatAreMadeUnderOneNameOneIs) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  auto of_a = write(a, rule_named("ci.two", "core.noop", true));
  auto of_b = write(b, rule_named("ci.two", "core.echo", true));
  EXPECT_NE(of_a.get().ok(), of_b.get().ok());
  EXPECT_EQ(*store::query_int(*reader_, "SELECT count(*) FROM rule"), 1);
}

// A schedule is one timer, of one shard: it fires once, wherever that is.
TEST_F(Rules, AScheduleFiresOnce) {
  auto& a = start("a");
  auto& b = start("b");
  auto& c = start("c");
  ASSERT_TRUE(spread_over({&a, &b, &c}));
  auto wish = rule_named("ci.tick", "core.noop", true);
  wish.spec.trigger = "core.intervaltimer";
  wish.spec.trigger_parameters = Value::map({{"unit", "seconds"}, {"interval", 5}});
  auto made = write(b, wish).get();
  ASSERT_TRUE(made.ok()) << made.error().describe();
  for (const auto& server : servers_) ASSERT_TRUE(knows(*server, "ci.tick", 1));
  auto fired = [&] { return *store::query_int(*reader_, "SELECT count(*) FROM enforcement"); };
  for (int64_t n = 1; n <= 3; ++n) {
    tick(5000);
    EXPECT_TRUE(soon([&] { return fired() == n; })) << fired();
  }
}

// It comes back in time: its runs go on, although their shards are another one's meanwhile.
TEST_F(SeveralServers, ARestartedServersWorkerKeepsItsRuns) {
  auto& a = start("a");
  auto& b = start("b");
  ASSERT_TRUE(spread_over({&a, &b}));
  open_worker(b, 2);
  auto kept = run(b, "ci.build");
  auto lost = run(b, "ci.build");
  ASSERT_TRUE(kept.ok() && lost.ok());
  WorkOrder order = b.worker.next();
  if (order.key.execution != kept->id) order = b.worker.next();
  kill(b);
  ASSERT_TRUE(in_time([&] { return owned(a) == kShards; }));
  auto& again = start("b");
  open_worker(again, 2, {order.key}, "second");
  EXPECT_TRUE(ends(lost->id, ExecutionStatus::NeedsDecision));
  finish(again, order);
  EXPECT_TRUE(ends(kept->id));
}

TEST_F(SeveralServers, ANameIsOneServers) {
  auto& a = start("a");
  int node = a.node();
  std::atomic<bool> over = false;
  std::thread clock([&] {
    while (!over) {
      tick(1000);
    }
  });
  auto second = try_start("a", "elsewhere");
  over = true;
  clock.join();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), store::kNameTaken);
  // In the same home the one before is dead: its place is taken at once.
  auto heir = try_start("a", "a");
  ASSERT_TRUE(heir.ok()) << heir.error().describe();
  EXPECT_EQ((*heir)->node(), node);
  EXPECT_TRUE(soon([&] {
    a.engine->look_at_clock();
    return a.ended.load();
  }));
  EXPECT_EQ(owned(**heir), kShards);
}

}  // namespace
}  // namespace millrace::engine
