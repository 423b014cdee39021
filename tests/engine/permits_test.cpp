// SPDX-License-Identifier: Apache-2.0
// A run of one server's shards on a worker of another one (kernel/permits.h): it gets a slot, there
// is never more at work than there are slots, and wherever it is cut off it is started once.
#include "permits.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

TEST_F(Permits, ARunGetsASlotOfAnotherServersWorker) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent agent;
  open_worker(home, agent);
  rest();
  auto id = run(owner, "ci.far");
  rest();
  ASSERT_EQ(agent.running.size(), 1U);
  EXPECT_EQ(status(id), Running);
  EXPECT_EQ(stored(id).worker, agent.session.worker);
  finish_all(home, agent);
  rest();
  EXPECT_EQ(status(id), Succeeded);
  // The slot is free again, for the home as for others.
  auto own = run(home, "ci.far");
  rest();
  EXPECT_EQ(status(own), Running);
  work_off(home, agent);
  EXPECT_EQ(status(own), Succeeded);
}

TEST_F(Permits, NobodyIsAskedWhileNothingWaits) {
  start(3);
  Agent agent;
  open_worker(*places_[1], agent);
  rest();
  auto id = run(*places_[0], "ci.far");
  work_off(*places_[1], agent);
  EXPECT_EQ(status(id), Succeeded);
  rest();
  int before = asks_;
  for (int minute = 0; minute < 3; ++minute) {
    for (int i = 0; i < 6; ++i) {
      renew(*places_[1], agent);
      go_on(10'000);
    }
  }
  EXPECT_EQ(asks_, before);
}

TEST_F(Permits, SixtyRunsOverThreeServersShareTwoSlots) {
  start(3);
  Agent agent("agent", 2);
  open_worker(*places_[2], agent);
  rest();
  std::vector<ExecutionId> ids;
  for (int i = 0; i < 60; ++i) ids.push_back(run(*places_[static_cast<size_t>(i % 3)], "ci.far"));
  work_off(*places_[2], agent);
  for (auto id : ids) {
    EXPECT_EQ(status(id), Succeeded);
    EXPECT_EQ(agent.begun[id], 1);
  }
  EXPECT_EQ(agent.most, 2U);
}

// The home's own runs and those of others each get every other slot.
TEST_F(Permits, NobodyStarves) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent agent;
  open_worker(home, agent);
  rest();
  std::vector<ExecutionId> theirs, own;
  for (int i = 0; i < 10; ++i) own.push_back(run(home, "ci.far"));
  for (int i = 0; i < 10; ++i) theirs.push_back(run(owner, "ci.far"));
  for (int i = 0; i < 10; ++i) {
    rest();
    finish_all(home, agent);
  }
  rest();
  auto ended = [&](const std::vector<ExecutionId>& ids) {
    return std::ranges::count_if(ids, [&](auto id) { return status(id) == Succeeded; });
  };
  EXPECT_EQ(ended(own) + ended(theirs), 10);
  EXPECT_GE(ended(own), 4);
  EXPECT_GE(ended(theirs), 4);
  work_off(home, agent);
  EXPECT_EQ(ended(own) + ended(theirs), 20);
}

// Who has workers of its own for it gets what nobody at the home waits for.
TEST_F(Permits, ABusyServerGetsIdleSlotsOnly) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent near("near"), far("far");
  open_worker(owner, near);
  open_worker(home, far);
  rest();
  auto first = run(owner, "ci.far");
  auto second = run(owner, "ci.far");
  rest();
  EXPECT_EQ(near.running.size() + far.running.size(), 2U);
  EXPECT_EQ(far.running.size(), 1U);
  auto own = run(home, "ci.far");
  auto third = run(owner, "ci.far");
  rest();
  finish_all(home, far);
  rest();
  EXPECT_EQ(status(own), Running);
  EXPECT_EQ(status(third), Requested);
  finish_all(home, far);
  rest();
  EXPECT_EQ(status(third), Running);
  work_off(home, far);
  work_off(owner, near);
  EXPECT_EQ(status(first), Succeeded);
  EXPECT_EQ(status(second), Succeeded);
}

TEST_F(Permits, AnAnswerThatIsLostComesBack) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent agent;
  open_worker(home, agent);
  rest();
  holds_answers_ = true;
  auto id = run(owner, "ci.far");
  rest();
  ASSERT_EQ(answers_.size(), 1U);
  answers_.clear();
  holds_answers_ = false;
  rest();
  EXPECT_EQ(status(id), Requested);
  auto own = run(home, "ci.far");
  rest();
  EXPECT_EQ(status(own), Requested);  // it is lent
  go_on(Lender::kLentMs);
  EXPECT_EQ(status(own), Running);
  work_off(home, agent);
  // The owner's call has a limit, too: here its test's link never says that it is over.
  owner.borrower->stop();
  EXPECT_EQ(status(own), Succeeded);
  EXPECT_EQ(status(id), Requested);
}

TEST_F(Permits, OneThatNobodyNeedsGoesBackAtOnce) {
  start(3);
  auto& owner = *places_[0];
  Agent near("near"), far("far");
  open_worker(*places_[1], near);
  open_worker(*places_[2], far);
  rest();
  auto id = run(owner, "ci.far");
  rest();
  EXPECT_EQ(near.running.size() + far.running.size(), 1U);
  auto of_one = run(*places_[1], "ci.far");
  auto of_two = run(*places_[2], "ci.far");
  rest();
  EXPECT_EQ((status(of_one) == Running) + (status(of_two) == Running), 1);
  for (int i = 0; i < 3; ++i) {
    finish_all(*places_[1], near);
    finish_all(*places_[2], far);
    rest();
  }
  for (auto each : {id, of_one, of_two}) EXPECT_EQ(status(each), Succeeded);
}

TEST_F(Permits, OneThatIsGivenBackInVainComesBackByItself) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent agent;
  open_worker(home, agent);
  rest();
  holds_answers_ = true;
  auto id = run(owner, "ci.far");
  rest();
  owner.partition->offer(command::cancel(kTester, id, [](const auto&) {}), now());
  rest();
  EXPECT_EQ(status(id), Canceled);
  holds_answers_ = false;
  holds_asks_ = true;
  rest();
  ASSERT_EQ(link_.size(), 1U);  // it goes back
  link_.clear();
  holds_asks_ = false;
  auto own = run(home, "ci.far");
  rest();
  EXPECT_EQ(status(own), Requested);
  go_on(Lender::kLentMs);
  EXPECT_EQ(status(own), Running);
  work_off(home, agent);
}

// Its commit cannot be made: the slot is used by the next try.
TEST_F(Permits, ADecisionThatIsNotWrittenKeepsItsPermit) {
  start(2);
  auto &owner = *places_[0], &home = *places_[1];
  Agent agent;
  open_worker(home, agent);
  rest();
  holds_answers_ = true;
  auto id = run(owner, "ci.far");
  rest();
  faults_->add({.on = sql::Fault::On::Writer, .text = "DELETE FROM queue"});
  holds_answers_ = false;
  for (int i = 0; i < 4; ++i) {
    pass(answers_, false);
    turn(owner);
  }
  EXPECT_EQ(status(id), Requested);
  faults_->clear();
  go_on(3000);
  EXPECT_EQ(status(id), Running);
  EXPECT_EQ(agent.begun[id], 1);
  work_off(home, agent);
  EXPECT_EQ(status(id), Succeeded);
}

}  // namespace
}  // namespace millrace::engine
