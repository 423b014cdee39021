// SPDX-License-Identifier: Apache-2.0
// Group commit, the dedupe gate, roll-back and its culprits.
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;
using enum WriteEnd;

class CommitterContract : public StoreContract {
 protected:
  bool has_event(int64_t id) {
    return must(find_event(*reader_, kTenant, EventId{id})).has_value();
  }
  // Returns when this thread has written: at its start the committer looks whether there is space
  // to give back.
  void write_here() {
    for (int64_t id = 1000; desk_->written_by() != std::this_thread::get_id(); ++id) {
      ASSERT_LT(id, 2000) << "another thread writes all the time";
      Order order;
      order.changes.events = {event(id)};
      desk_->submit({std::move(order)}, true);
      desk_->wait();
    }
  }
  // A thread that stands in its delivery. A chore of the committer's thread may come first: again.
  std::thread hold_another() {
    for (int64_t id = 2000;; ++id) {
      desk_->hold();
      std::thread other([&, id] {
        Order order;
        order.changes.events = {event(id)};
        desk_->submit({std::move(order)}, true);
      });
      desk_->wait_until_held();
      if (desk_->written_by() == other.get_id()) return other;
      desk_->release();
      other.join();
      desk_->wait();
    }
  }
};
STORE_CONTRACT(CommitterContract);

using Ends = std::vector<WriteEnd>;

// A step that inserts one event; `dedupe` may be empty.
Order taking(int64_t event_id, const std::string& dedupe, int64_t step_key = 0) {
  Order order;
  order.changes.events = {event(event_id)};
  if (!dedupe.empty()) order.changes.dedupe = {key(dedupe, std::to_string(event_id))};
  order.key = step_key;
  return order;
}

// K4: the same message handled twice leaves the same rows.
TEST_P(CommitterContract, ADuplicateInTheSameBatchIsTurnedAwayWhole) {
  auto outcomes = desk_->commit({taking(1, "a"), taking(2, "a"), taking(3, "b")});
  EXPECT_EQ(ends(outcomes), (Ends{Committed, Duplicate, Committed}));
  EXPECT_TRUE(has_event(1));
  EXPECT_FALSE(has_event(2));
  EXPECT_TRUE(has_event(3));
  EXPECT_EQ(must(find_dedupe(*reader_, kTenant, "event:webhook:github", "a"))->value, "1");
  EXPECT_EQ(desk_->committer().stats().batch_failures, 0);
}

TEST_P(CommitterContract, ADuplicateOfAnEarlierBatchIsTurnedAway) {
  desk_->commit({taking(1, "a")});
  EXPECT_EQ(ends(desk_->commit({taking(2, "a")})), Ends{Duplicate});
  EXPECT_FALSE(has_event(2));
}

TEST_P(CommitterContract, AKeyIsFreeAgainWhenItHasExpired) {
  desk_->commit({taking(1, "a")});
  desk_->now = kNow + 7 * kDay - 1;
  EXPECT_EQ(ends(desk_->commit({taking(2, "a")})), Ends{Duplicate});
  desk_->now = kNow + 7 * kDay;
  auto again = taking(3, "a");
  again.changes.dedupe[0].expires = kNow + 14 * kDay;
  EXPECT_EQ(ends(desk_->commit({again, taking(4, "a")})), (Ends{Committed, Duplicate}));
  EXPECT_EQ(must(find_dedupe(*reader_, kTenant, "event:webhook:github", "a"))->value, "3");
}

TEST_P(CommitterContract, AStepThatLosesItsSecondKeyGivesBackItsFirst) {
  desk_->commit({taking(1, "taken")});
  auto two_keys = taking(2, "first");
  two_keys.changes.dedupe.push_back(key("taken", "2"));
  EXPECT_EQ(ends(desk_->commit({two_keys, taking(3, "first")})), (Ends{Duplicate, Committed}));
  EXPECT_EQ(must(find_dedupe(*reader_, kTenant, "event:webhook:github", "first"))->value, "3");
}

// The keys of a batch are claimed at once: who leaves gives his back to whoever comes next.
TEST_P(CommitterContract, AKeyThatWasGivenBackGoesToTheNextOfTheBatchOnly) {
  desk_->commit({taking(1, "taken")});
  auto loser = taking(2, "x");
  loser.changes.dedupe.push_back(key("taken", "2"));
  auto stale = taking(3, "y", 50);
  auto outcomes = desk_->commit({taking(9, "taken", 50), loser, stale, taking(4, "x"),
                                 taking(5, "x"), taking(6, "y"), taking(7, "z")});
  EXPECT_EQ(ends(outcomes),
            (Ends{Duplicate, Duplicate, Stale, Committed, Duplicate, Committed, Committed}));
  auto value = [&](const char* name) {
    return must(find_dedupe(*reader_, kTenant, "event:webhook:github", name))->value;
  };
  EXPECT_EQ(value("x"), "4");
  EXPECT_EQ(value("y"), "6");
  EXPECT_EQ(value("taken"), "1");
  // Nobody wanted what a loser gave back: it is free.
  auto alone = taking(10, "w");
  alone.changes.dedupe.push_back(key("taken", "10"));
  EXPECT_EQ(ends(desk_->commit({alone})), Ends{Duplicate});
  EXPECT_EQ(ends(desk_->commit({taking(11, "w")})), Ends{Committed});
}

TEST_P(CommitterContract, LaterStepsOfATurnedAwayKeyAreStale) {
  desk_->commit({taking(1, "a")});
  auto outcomes = desk_->commit(
      {taking(2, "a", 50), taking(3, "b", 50), taking(4, "c", 51), taking(5, "d", 50)});
  EXPECT_EQ(ends(outcomes), (Ends{Duplicate, Stale, Committed, Stale}));
  EXPECT_FALSE(has_event(3));
  EXPECT_TRUE(has_event(4));
  // Turned away before its own keys were claimed.
  EXPECT_EQ(ends(desk_->commit({taking(6, "b", 50)})), Ends{Committed});
}

// K3: all or none.
TEST_P(CommitterContract, OnlyTheCulpritOfAFailedBatchIsRefused) {
  desk_->write({.events = {event(3)}});
  std::vector<Order> orders;
  for (int64_t id : {1, 2, 3, 4, 5, 6, 7}) {
    orders.push_back(taking(id, "k" + std::to_string(id)));
    orders.back().changes.feed = {change(id)};
  }
  // Written before the row that conflicts: must not stay.
  orders[2].changes.dedupe.push_back(key("of the culprit"));
  orders[2].changes.messages = {message(33, 3)};
  auto outcomes = desk_->commit(std::move(orders));
  EXPECT_EQ(ends(outcomes),
            (Ends{Committed, Committed, Refused, Committed, Committed, Committed, Committed}));
  EXPECT_NE(outcomes[2].reason.find("event"), std::string::npos) << outcomes[2].reason;
  EXPECT_EQ(count("SELECT count(*) FROM event"), 7);
  EXPECT_EQ(count("SELECT count(*) FROM dedupe"), 6);
  EXPECT_EQ(count("SELECT count(*) FROM message"), 0);
}

TEST_P(CommitterContract, SeveralCulpritsOfOneBatchAreAllFound) {
  desk_->write({.events = {event(1), event(4), event(6)}});
  std::vector<Order> orders;
  for (int64_t id = 1; id <= 6; ++id) orders.push_back(taking(id, ""));
  EXPECT_EQ(ends(desk_->commit(std::move(orders))),
            (Ends{Refused, Committed, Committed, Refused, Committed, Refused}));
  EXPECT_EQ(count("SELECT count(*) FROM event"), 6);
}

TEST_P(CommitterContract, ALoserIsJudgedAgainWhenTheWinnerOfItsKeyIsRefused) {
  desk_->write({.events = {event(1)}});
  auto outcomes = desk_->commit({taking(1, "a"), taking(2, "a")});
  EXPECT_EQ(ends(outcomes), (Ends{Refused, Committed}));
}

TEST_P(CommitterContract, LaterStepsOfARefusedKeyAreStale) {
  desk_->write({.events = {event(1)}});
  auto outcomes = desk_->commit({taking(1, "", 50), taking(2, "", 50), taking(3, "", 51)});
  EXPECT_EQ(ends(outcomes), (Ends{Refused, Stale, Committed}));
  EXPECT_FALSE(has_event(2));
}

TEST_P(CommitterContract, AKeyStaysTurnedAwayWhenItsBatchIsTakenApart) {
  desk_->write({.dedupe = {key("a")}, .events = {event(9)}});
  auto outcomes =
      desk_->commit({taking(1, "a", 50), taking(2, ""), taking(9, ""), taking(3, "", 50)});
  EXPECT_EQ(ends(outcomes), (Ends{Duplicate, Committed, Refused, Stale}));
}

TEST_P(CommitterContract, AVersionThatDoesNotHoldIsStale) {
  desk_->write({.new_executions = {execution(1), execution(2)}});
  Order first;
  first.changes.executions = {running(execution(1))};
  Order same_version = first;
  Order other;
  other.changes.executions = {running(execution(2))};
  auto outcomes = desk_->commit({first, same_version, other});
  EXPECT_EQ(ends(outcomes), (Ends{Committed, Stale, Committed}));
  EXPECT_EQ(outcomes[1].reason, "execution 1: version 1 does not hold any more, or it is final");
}

TEST_P(CommitterContract, VersionsMayRiseWithinABatch) {
  auto row = execution(1);
  Order made;
  made.changes.new_executions = {row};
  Order started;
  started.changes.executions = {running(row)};
  Order done;
  done.changes.executions = {ended(running(row))};
  EXPECT_EQ(ends(desk_->commit({made, started, done})), (Ends{Committed, Committed, Committed}));
  EXPECT_EQ(must(find_execution(*reader_, kTenant, ExecutionId{1}))->version, 3);
}

// K9
TEST_P(CommitterContract, AFinalExecutionDoesNotChangeAgain) {
  auto done = ended(execution(1));
  desk_->write({.new_executions = {done}});
  Order reopened;
  reopened.changes.executions = {running(done)};
  EXPECT_EQ(ends(desk_->commit({reopened})), Ends{Stale});
  EXPECT_EQ(must(find_execution(*reader_, kTenant, ExecutionId{1}))->status,
            ExecutionStatus::Succeeded);
}

// The rows of a batch are written entity by entity; the outcome is that of step after step.
TEST_P(CommitterContract, AStepMayEnqueueWhatAnEarlierOneOfItsBatchDequeued) {
  desk_->write({.enqueue = {{ExecutionId{1}, kTenant, 100}}});
  Order out;
  out.changes.dequeue = {{kTenant, ExecutionId{1}}};
  Order in;
  in.changes.enqueue = {{ExecutionId{1}, kTenant, 200}};
  EXPECT_EQ(ends(desk_->commit({out, in})), (Ends{Committed, Committed}));
  auto head = must(queue_head(*reader_, kAllShards, kTenant, "", 9));
  ASSERT_EQ(head.size(), 1U);
  EXPECT_EQ(head[0].rank, 200);
  EXPECT_EQ(ends(desk_->commit({out, in, out})), (Ends{Committed, Committed, Committed}));
  EXPECT_TRUE(must(queue_head(*reader_, kAllShards, kTenant, "", 9)).empty());
  EXPECT_EQ(desk_->committer().stats().batch_failures, 0);
}

TEST_P(CommitterContract, AStepMayDropTheTimersThatAnEarlierOneOfItsBatchSet) {
  Order set;
  set.changes.timers = {timer(1, 100, 31)};
  Order drop;
  drop.changes.timers_of_done = {{kTenant, ExecutionId{31}}};
  Order set_again;
  set_again.changes.timers = {timer(2, 200, 31)};
  Order drop_one;
  drop_one.changes.timers_done = {{kTenant, TimerId{2}}};
  desk_->commit({set, drop, set_again});
  EXPECT_FALSE(must(load_timer(*reader_, kTenant, TimerId{1})).has_value());
  EXPECT_TRUE(must(load_timer(*reader_, kTenant, TimerId{2})).has_value());
  set.changes.timers = {timer(3, 100, 32)};
  drop_one.changes.timers_done = {{kTenant, TimerId{2}}, {kTenant, TimerId{3}}};
  desk_->commit({set, drop_one});
  EXPECT_FALSE(must(load_timer(*reader_, kTenant, TimerId{3})).has_value());
}

TEST_P(CommitterContract, AStepReplacesItsOwnTimers) {
  desk_->write({.timers = {timer(1, 100, 31)}});
  desk_->write({.timers = {timer(2, 200, 31)}, .timers_of_done = {{kTenant, ExecutionId{31}}}});
  EXPECT_FALSE(must(load_timer(*reader_, kTenant, TimerId{1})).has_value());
  EXPECT_TRUE(must(load_timer(*reader_, kTenant, TimerId{2})).has_value());
}

TEST_P(CommitterContract, TheFeedIsNumberedDenselyInCommitOrder) {
  Order a;
  a.changes.feed = {change(100, "a1"), change(90, "a2")};
  Order b = taking(1, "x");
  b.changes.feed = {change(80, "b")};
  Order duplicate = taking(2, "x");
  duplicate.changes.feed = {change(70, "never")};
  Order refused = taking(1, "");
  refused.changes.feed = {change(60, "never")};
  Order c;
  c.changes.feed = {change(50, "c")};
  desk_->commit({a, b, duplicate});
  desk_->commit({refused, c});
  auto feed = must(changes_after(*reader_, kTenant, 0, 100));
  std::vector<std::pair<int64_t, std::string>> seen;
  for (const auto& row : feed) seen.emplace_back(row.seq, row.detail);
  EXPECT_EQ(seen, (std::vector<std::pair<int64_t, std::string>>{
                      {1, "a1"}, {2, "a2"}, {3, "b"}, {4, "c"}}));
}

TEST_P(CommitterContract, TheFeedGoesOnAfterARestart) {
  desk_->write({.feed = {change(1), change(2)}});
  desk_ = nullptr;
  desk_ = std::make_unique<Desk>(*store_);
  desk_->write({.feed = {change(3)}});
  EXPECT_EQ(must(last_change(*reader_)), 3);
}

TEST_P(CommitterContract, WhatGathersDuringACommitIsCommittedOnce) {
  desk_->hold();
  desk_->submit({taking(1, "")});
  desk_->wait_until_held();
  for (int64_t id = 2; id <= 40; ++id) desk_->submit({taking(id, "")});
  EXPECT_TRUE(desk_->committer().busy());
  EXPECT_EQ(desk_->committer().pending(), 39);
  desk_->release();
  auto outcomes = desk_->wait();
  EXPECT_EQ(desk_->committer().stats().commits, 2);
  EXPECT_EQ(desk_->committer().stats().steps, 40);
  EXPECT_FALSE(desk_->committer().busy());
  // Delivered in the order of submission.
  for (size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i].tag, static_cast<int>(i));
}

TEST_P(CommitterContract, WhoSubmitsHereWritesItselfWhenNobodyElseDoes) {
  write_here();
  for (int64_t id = 1; id <= 3; ++id) {
    desk_->submit({taking(id, "")}, true);
    EXPECT_TRUE(has_event(id));
    EXPECT_EQ(desk_->written_by(), std::this_thread::get_id());
  }
  EXPECT_FALSE(desk_->committer().busy());
}

TEST_P(CommitterContract, WhatComesWhileAnotherThreadWritesIsLeftToTheCommitter) {
  auto other = hold_another();
  auto other_id = other.get_id();
  desk_->submit({taking(2, "")}, true);  // returns at once
  desk_->submit({taking(3, "")});
  EXPECT_EQ(desk_->committer().pending(), 2);
  EXPECT_FALSE(has_event(2));
  desk_->release();
  auto outcomes = desk_->wait();
  other.join();
  ASSERT_EQ(outcomes.size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcomes[i].tag, outcomes[0].tag + i);
  EXPECT_TRUE(has_event(2) && has_event(3));
  EXPECT_NE(desk_->written_by(), other_id);
  EXPECT_NE(desk_->written_by(), std::this_thread::get_id());
}

TEST_P(CommitterContract, HelpsWhileAnotherThreadWrites) {
  auto other = hold_another();
  auto helper = desk_->help();
  EXPECT_NE(helper, other.get_id());
  EXPECT_NE(helper, std::this_thread::get_id());
  desk_->release();
  desk_->wait();
  other.join();
}

TEST_P(CommitterContract, ClosingWaitsForWhatCameWhileAnotherThreadWrote) {
  desk_->hold();
  std::thread other([&] { desk_->submit({taking(1, "")}, true); });
  desk_->wait_until_held();
  desk_->submit({taking(2, "")}, true);
  desk_->release();
  other.join();
  desk_->close();
  EXPECT_EQ(count("SELECT count(*) FROM event"), 2);
}

TEST_P(CommitterContract, ABatchIsBounded) {
  desk_ = nullptr;
  Committer::Options options;
  options.max_batch = 10;
  desk_ = std::make_unique<Desk>(*store_, options);
  std::vector<Order> orders;
  for (int64_t id = 1; id <= 25; ++id) orders.push_back(taking(id, ""));
  auto outcomes = desk_->commit(std::move(orders));
  EXPECT_EQ(desk_->committer().stats().commits, 3);
  for (size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i].tag, static_cast<int>(i));
}

// K1: acknowledged only in, or after, the durable commit: what is delivered can be read.
TEST_P(CommitterContract, WhatIsDeliveredIsThereForReaders) {
  for (int64_t id = 1; id <= 50; ++id) {
    desk_->commit({taking(id, "")});
    ASSERT_TRUE(has_event(id));
  }
}

TEST_P(CommitterContract, ClosingCommitsWhatWasSubmitted) {
  desk_->hold();
  desk_->submit({taking(1, "")});
  desk_->wait_until_held();
  for (int64_t id = 2; id <= 9; ++id) desk_->submit({taking(id, "")});
  desk_->release();
  desk_->close();
  EXPECT_EQ(count("SELECT count(*) FROM event"), 9);
}

// A reader in the middle of a query neither waits for the writer nor makes it wait.
TEST_P(CommitterContract, ReadersAndTheWriterDoNotWaitForEachOther) {
  desk_->write({.events = {event(1), event(2), event(3)}});
  auto* slow = must(reader_->prepare("SELECT id FROM event ORDER BY id"));
  ASSERT_TRUE(must(slow->step()));
  desk_->write({.events = {event(4)}});
  auto another = must(store_->open_reader());
  EXPECT_TRUE(must(find_event(*another, kTenant, EventId{4})).has_value());
  int seen = 1;
  while (must(slow->step())) ++seen;
  EXPECT_EQ(seen, 3);  // its snapshot
  slow->reset();
  EXPECT_TRUE(has_event(4));
}

TEST_P(CommitterContract, AReaderCannotWrite) {
  auto* insert = must(reader_->prepare("DELETE FROM event"));
  EXPECT_FALSE(insert->execute().ok());
}

// K6, for servers: whoever lost the shards commits nothing.
TEST_P(CommitterContract, AServerThatLostTheShardsStops) {
  auto writer = must(store_->open_writer());
  must(claim_shards(*writer, 1, kAllShards));
  auto outcomes = desk_->commit({taking(1, "")});
  EXPECT_EQ(ends(outcomes), Ends{Unavailable});
  EXPECT_FALSE(has_event(1));
  ASSERT_EQ(desk_->fatal_errors().size(), 1U);
  EXPECT_NE(desk_->fatal_errors()[0].find("another server has claimed the shards"),
            std::string::npos);
  EXPECT_EQ(ends(desk_->commit({taking(2, "")})), Ends{Unavailable});
  EXPECT_EQ(desk_->fatal_errors().size(), 1U);
}

TEST_P(CommitterContract, ClaimingShardsRaisesTheEpochOfAllOfThem) {
  auto writer = must(store_->open_writer());
  int64_t first = must(claim_shards(*writer, 0, kAllShards));
  EXPECT_EQ(must(claim_shards(*writer, 1, kAllShards)), first + 1);
  EXPECT_EQ(count("SELECT count(*) FROM shard"), kShards);
  EXPECT_EQ(count("SELECT count(DISTINCT epoch) FROM shard"), 1);
}

}  // namespace
}  // namespace millrace::store::testing
