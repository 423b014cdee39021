// SPDX-License-Identifier: Apache-2.0
// A run that was given to another server's worker, cut between the owner's commit and the home,
// which reads of it late: whoever dies, leaves or comes meanwhile, it begins once.
#include "permits.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

class GivenAway : public Permits {
 protected:
  // The run is durable and its home does not know.
  ExecutionId give(const std::string& action = "ci.far") {
    start(3);
    open_worker(home(), agent_);
    rest();
    home().reads_feed = false;
    auto id = run(owner(), action);
    rest();
    EXPECT_EQ(status(id), Running);
    EXPECT_TRUE(agent_.running.empty());
    return id;
  }
  Place& owner() { return *places_[0]; }
  Place& home() { return *places_[1]; }
  Place& third() { return *places_[2]; }
  void home_reads() {
    home().reads_feed = true;
    rest();
  }
  // It ended, and was started once.
  void ends(ExecutionId id, int begun = 1) {
    work_off(home(), agent_);
    EXPECT_EQ(status(id), Succeeded);
    EXPECT_EQ(stored(id).attempt, 1);
    EXPECT_EQ(agent_.begun[id], begun);
    EXPECT_LE(agent_.most, 1U);
  }
  Agent agent_;
};

TEST_F(GivenAway, ItBeginsWhenTheHomeReadsOfIt) {
  auto id = give();
  home_reads();
  ends(id);
}

TEST_F(GivenAway, ItBeginsThoughItsOwnerDies) {
  auto id = give();
  kill(owner());
  take(third(), owner());
  home_reads();
  EXPECT_EQ(agent_.begun[id], 1);
  ends(id);
}

TEST_F(GivenAway, ItBeginsThoughItsShardGoesToTheHome) {
  auto id = give();
  take(home(), owner());
  home_reads();
  ends(id);
}

// The slot has been taken back by then, and has another run.
TEST_F(GivenAway, AfterItsTimeItStartsAgain) {
  auto id = give();
  for (int i = 0; i < 2; ++i) {
    renew(home(), agent_);
    go_on(Lender::kLentMs / 2 + 1000);
  }
  auto own = run(home(), "ci.far");
  rest();
  EXPECT_EQ(status(own), Running);
  home_reads();
  EXPECT_EQ(status(id), Requested);
  EXPECT_EQ(agent_.begun[id], 0);
  ends(id);
  EXPECT_EQ(status(own), Succeeded);
}

// The next session has not seen it, or has and said that it never began: it does not begin in it.
TEST_F(GivenAway, InAnotherSessionItStartsAgain) {
  auto id = give();
  open_worker(home(), agent_);
  rest();
  home_reads();
  ends(id);
}

TEST_F(GivenAway, AfterASessionThatWasOpenedBeforeItWasDurable) {
  start(3);
  open_worker(home(), agent_);
  rest();
  home().reads_feed = false;
  holds_answers_ = true;
  auto id = run(owner(), "ci.far");
  rest();
  open_worker(home(), agent_);
  rest();
  holds_answers_ = false;
  rest();
  EXPECT_EQ(status(id), Running);
  home_reads();
  EXPECT_EQ(agent_.begun[id], 1);
  ends(id);
}

// Decided on what was there, and not in force yet.
TEST_F(GivenAway, WhileASessionIsOpened) {
  start(3);
  open_worker(home(), agent_);
  rest();
  home().reads_feed = false;
  holds_answers_ = true;
  auto id = run(owner(), "ci.far");
  rest();
  open_worker(home(), agent_);
  auto opening = home().partition->take(now());
  if (opening->steps.empty()) opening = home().partition->take(now());
  ASSERT_EQ(opening->steps.size(), 1U);
  home().decides = false;
  holds_answers_ = false;
  rest();
  EXPECT_EQ(status(id), Running);
  home().reads_feed = true;
  read(home());
  auto beside = home().partition->take(now());
  auto write = [&](auto& work) {
    auto outcomes = home().writer->write(work->steps, {.unix_ms = time_, .monotonic_ms = time_});
    deliver(outcomes, home().outlet, home().observer);
    home().partition->written(std::move(outcomes), now());
  };
  write(opening);
  write(beside);
  home().decides = true;
  go_on(1000);
  EXPECT_EQ(agent_.begun[id], 1);
  ends(id);
}

// The next server is behind with the feed: the run is named in the session that it opens.
TEST_F(GivenAway, ARunThatIsNamedElsewhereGoesOn) {
  auto id = give();
  third().reads_feed = false;
  home_reads();
  ASSERT_EQ(agent_.running.size(), 1U);
  open_worker(third(), agent_, {agent_.running.begin()->first});
  auto opening = third().partition->take(now());
  if (opening->steps.empty()) opening = third().partition->take(now());
  ASSERT_EQ(opening->steps.size(), 1U);
  third().reads_feed = true;
  read(third());
  auto beside = third().partition->take(now());
  EXPECT_TRUE(beside->steps.empty());
  auto outcomes = third().writer->write(opening->steps, {.unix_ms = time_, .monotonic_ms = time_});
  deliver(outcomes, third().outlet, third().observer);
  third().partition->written(std::move(outcomes), now());
  go_on(1000);
  EXPECT_EQ(agent_.running.size(), 1U);
  work_off(third(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
}

// The order was lost with the connection: the agent does not name the run.
TEST_F(GivenAway, AnOrderThatDoesNotArriveIsGivenAgain) {
  auto id = give();
  agent_.is_deaf = true;
  home_reads();
  EXPECT_EQ(status(id), Running);
  agent_.is_deaf = false;
  open_worker(home(), agent_);
  rest();
  ends(id);
}

TEST_F(GivenAway, ARunThatIsNamedGoesOn) {
  auto id = give();
  home_reads();
  ASSERT_EQ(agent_.running.size(), 1U);
  open_worker(home(), agent_, {agent_.running.begin()->first});
  rest();
  EXPECT_EQ(agent_.running.size(), 1U);
  ends(id);
}

// Nothing is given to one that leaves.
TEST_F(GivenAway, AnAgentThatDrainsDoesNotBeginIt) {
  auto id = give();
  home().partition->drain(agent_.session.id);
  home_reads();
  EXPECT_EQ(agent_.begun[id], 0);
  EXPECT_EQ(status(id), Requested);
  open_worker(home(), agent_);
  rest();
  ends(id);
}

TEST_F(GivenAway, AHomeThatDrainsDoesNotBeginIt) {
  auto id = give();
  home().partition->drain();
  home_reads();
  EXPECT_EQ(agent_.begun[id], 0);
  EXPECT_EQ(status(id), Requested);
  Agent other("other");
  open_worker(third(), other);
  rest();
  work_off(third(), other);
  EXPECT_EQ(status(id), Succeeded);
}

// The home dies, and the agent goes to another one, before or after the run is durable.
TEST_F(GivenAway, AHomeThatDiesLeavesItToTheNextSession) {
  auto id = give();
  kill(home());
  open_worker(third(), agent_);
  rest();
  work_off(third(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
  EXPECT_EQ(stored(id).attempt, 1);
}

TEST_F(GivenAway, AHomeThatDiesBeforeItIsDurable) {
  start(3);
  open_worker(home(), agent_);
  rest();
  holds_answers_ = true;
  auto id = run(owner(), "ci.far");
  rest();
  kill(home());
  open_worker(third(), agent_);
  rest();
  holds_answers_ = false;
  rest();
  work_off(third(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
  EXPECT_EQ(stored(id).attempt, 1);
}

// Nobody comes back: who owns the shard decides, as of all runs of a server that is gone.
TEST_F(GivenAway, AHomeThatDiesForGoodLosesIt) {
  auto id = give("ci.far_again");
  int64_t dead = home().epoch;
  kill(home());
  std::vector<int64_t> with_runs;
  for (const auto& place : places_) {
    if (place->epoch != dead) with_runs.push_back(place->epoch);
  }
  owner().partition->offer(check_homes(with_runs, owner().epoch), now());
  rest();
  EXPECT_EQ(status(id), Requested);
  Agent other("other");
  open_worker(third(), other);
  rest();
  work_off(third(), other);
  EXPECT_EQ(status(id), Succeeded);
}

TEST_F(GivenAway, ACancelThatComesFirstWins) {
  auto id = give();
  owner().partition->offer(command::cancel(kTester, id, [](const auto&) {}), now());
  rest();
  EXPECT_EQ(status(id), Canceling);
  home_reads();
  EXPECT_EQ(status(id), Canceled);
  EXPECT_EQ(agent_.begun[id], 0);
  auto next = run(owner(), "ci.far");
  go_on(Lender::kLentMs);
  ends(next);
}

TEST_F(GivenAway, ACancelReachesItsWorker) {
  auto id = give();
  home_reads();
  owner().partition->offer(command::cancel(kTester, id, [](const auto&) {}), now());
  rest();
  ASSERT_EQ(agent_.cancels.size(), 1U);
  EXPECT_EQ(agent_.cancels[0].execution, id);
  finish_all(home(), agent_);
  rest();
  EXPECT_EQ(status(id), Canceled);
}

// The beginning and the cancel are read in one go.
TEST_F(GivenAway, ACancelDoesNotOvertakeTheOrder) {
  auto id = give();
  home().decides = false;
  home().reads_feed = true;
  read(home());
  auto work = home().partition->take(now());  // it has begun
  ASSERT_TRUE(work.ok());
  owner().partition->offer(command::cancel(kTester, id, [](const auto&) {}), now());
  rest();
  home().decides = true;
  rest();
  EXPECT_EQ(agent_.cancels.size(), agent_.begun[id] > 0 ? 1U : agent_.cancels.size());
  finish_all(home(), agent_);
  rest();
  EXPECT_EQ(status(id), Canceled);
}

// The home loads the pack a moment later than the owner.
TEST_F(GivenAway, ItWaitsForItsRelease) {
  open(add(), ShardSet::all());
  open(add(), {}, /*with_pack=*/false);
  open_worker(home(), agent_);
  rest();
  auto id = run(owner(), "ci.far");
  go_on(1000);
  EXPECT_EQ(status(id), Running);
  EXPECT_TRUE(agent_.running.empty());
  home().partition->offer(show_packs(kDefaultTenant, {.system = {core_pack()}, .own = {pack_}}),
                          now());
  go_on(1000);
  ends(id);
}

// One that it cannot get holds nothing up for ever: the slot goes to others, the run asks again.
TEST_F(GivenAway, AReleaseThatDoesNotComeGivesTheSlotBack) {
  open(add(), ShardSet::all());
  open(add(), {}, /*with_pack=*/false);
  open_worker(home(), agent_);
  rest();
  auto id = run(owner(), "ci.far");
  int64_t before = stored(id).epoch;
  EXPECT_EQ(before, 0);
  renew(home(), agent_);
  go_on(Lender::kLentMs + 2000);
  EXPECT_GE(stored(id).epoch, 2);
  EXPECT_EQ(stored(id).attempt, 1);
  EXPECT_LE(stored(id).epoch, 3);
}

TEST_F(GivenAway, ShardsMoveWhileAPermitIsOnItsWay) {
  start(3);
  open_worker(home(), agent_);
  rest();
  holds_answers_ = true;
  auto id = run(owner(), "ci.far");
  rest();
  take(third(), owner());
  rest();
  holds_answers_ = false;
  rest();
  go_on(Lender::kLentMs);
  EXPECT_EQ(status(id), Running);
  ends(id);
}

TEST_F(GivenAway, AHomeKeepsWhatItHasLentWhenItsShardsChange) {
  start(3);
  open_worker(home(), agent_);
  rest();
  holds_answers_ = true;
  auto id = run(owner(), "ci.far");
  rest();
  open(home(), home().shards);
  auto own = run(home(), "ci.far");
  rest();
  EXPECT_EQ(status(own), Requested);
  holds_answers_ = false;
  rest();
  EXPECT_EQ(status(id), Running);
  EXPECT_EQ(agent_.begun[id], 1);
  work_off(home(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(status(own), Succeeded);
  EXPECT_EQ(agent_.most, 1U);
}

// Without shards of its own a server lends what its workers have.
TEST_F(GivenAway, AHomeThatDecidesNothingLends) {
  start(2);
  auto& front = add();
  open(front, {});
  open_worker(front, agent_);
  rest();
  auto id = run(owner(), "ci.far");
  work_off(front, agent_);
  EXPECT_EQ(status(id), Succeeded);
}

// An agent that comes later is found by those that wait.
TEST_F(GivenAway, AnAgentThatComesLaterIsFound) {
  start(3);
  auto id = run(owner(), "ci.far");
  rest();
  EXPECT_EQ(status(id), Requested);
  open_worker(home(), agent_);
  rest();
  ends(id);
}

}  // namespace
}  // namespace millrace::engine
