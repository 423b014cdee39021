// SPDX-License-Identifier: Apache-2.0
// An agent that opens its session at another server while the one before still counts it as its
// own.
#include "permits.h"

namespace millrace::engine {
namespace {

using enum ExecutionStatus;

class MovedAgent : public Permits {
 protected:
  void SetUp() override {
    Permits::SetUp();
    start(3);
    open_worker(before(), agent_);
    rest();
  }
  Place& owner() { return *places_[0]; }
  Place& before() { return *places_[1]; }
  Place& after() { return *places_[2]; }
  // Longer than a lease, and until what it had would be given up.
  void lease_goes_by() {
    for (int i = 0; i < 10; ++i) {
      renew(after(), agent_);
      go_on(5'000);
    }
  }
  Agent agent_;
};

TEST_F(MovedAgent, KeepsWhatItNames) {
  auto id = run(before(), "ci.far");
  rest();
  ASSERT_EQ(agent_.running.size(), 1U);
  open_worker(after(), agent_, {agent_.running.begin()->first});
  rest();
  lease_goes_by();
  EXPECT_EQ(status(id), Running);
  EXPECT_EQ(agent_.running.size(), 1U);
  work_off(after(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
  auto later = run(owner(), "ci.far");
  work_off(after(), agent_);
  EXPECT_EQ(status(later), Succeeded) << "the session before has ended the one that counts";
}

// The server before has given it a run in a session that nobody listens to.
TEST_F(MovedAgent, WhatItWasGivenTooLateStartsAgain) {
  open_worker(after(), agent_);
  rest();
  auto id = run(before(), "ci.far");
  rest();
  EXPECT_EQ(status(id), Running);
  EXPECT_TRUE(agent_.running.empty());
  lease_goes_by();
  work_off(after(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(stored(id).attempt, 1);
  EXPECT_EQ(agent_.begun[id], 1);
}

// What was durable when its session was opened is decided there. The entry of the feed that comes
// later says nothing else of it, whichever of the two is heard first.
TEST_F(MovedAgent, WhatItHasForgottenIsSaidOnce) {
  after().reads_feed = false;
  auto id = run(owner(), "ci.far");
  rest();
  ASSERT_EQ(agent_.begun[id], 1);
  agent_.instance = "i2";
  agent_.running.clear();
  open_worker(after(), agent_);
  while (turn(after())) {
  }
  after().observer.hints.clear();  // lost
  after().reads_feed = true;
  rest();
  go_on(61'000);
  EXPECT_EQ(status(id), NeedsDecision);
  EXPECT_EQ(agent_.begun[id], 1);
}

// It has asked the server before for a session, went, and that is decided after the one it has now.
TEST_F(MovedAgent, WhatItHasAskedForBeforeOpensNothing) {
  auto asked = ++agent_.opening;
  open_worker(after(), agent_);
  rest();
  std::optional<Error> refused;
  WorkerHello late{.name = agent_.name, .slots = 1, .instance = agent_.instance};
  late.elsewhere = true;
  late.opening = asked;
  say_hello(before(), late, [&](Result<Session> session) {
    ASSERT_FALSE(session.ok());
    refused = session.error();
  });
  rest();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), kLateOpening);
  auto id = run(owner(), "ci.far");
  rest();
  EXPECT_EQ(agent_.running.size(), 1U);
  lease_goes_by();
  EXPECT_EQ(status(id), Running);
  work_off(after(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
}

// The session before is not over: that server may not judge what the next one gives its worker.
TEST_F(MovedAgent, TheServerBeforeSaysNothingOfItsRuns) {
  open_worker(after(), agent_);
  rest();
  auto id = run(owner(), "ci.far");
  rest();
  work_off(after(), agent_);
  EXPECT_EQ(status(id), Succeeded);
  EXPECT_EQ(agent_.begun[id], 1);
}

}  // namespace
}  // namespace millrace::engine
