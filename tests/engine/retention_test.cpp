// SPDX-License-Identifier: Apache-2.0
// Retention through the engine: what is old goes with the sweep, what must stay costs nothing.
#include <thread>

#include "harness.h"

namespace millrace::engine {
namespace {

constexpr int64_t kDayMs = 24LL * 3600 * 1000;

class EngineRetention : public EngineTest {
 protected:
  void pass(int64_t ms) {
    tick(ms);
    ASSERT_TRUE(run("core.noop").ok());
  }
  int64_t commits() { return engine_->stats().commits; }
  void look_around() {
    tick(1);  // what is to go on at once does
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
};

// B1: an execution that waits for an answer, with more steps that have ended than a sweep takes.
TEST_F(EngineRetention, OldStepsOfWhatStillRunsStayAndNothingIsWritten) {
  auto root = run("core.ask", Value::map({{"prompt", "?"}}));
  ASSERT_TRUE(root.ok()) << root.error().describe();
  std::string script = "CREATE TABLE copy AS SELECT * FROM execution WHERE id = " + root->id.str() +
                       "; UPDATE copy SET parent = id, status = 16, started = created, "
                       "ended = created + 1;";
  for (int i = 0; i < 600; ++i) {
    script += "UPDATE copy SET id = id + 1; INSERT INTO execution SELECT * FROM copy;";
  }
  plant(script + "DROP TABLE copy");
  pass(100 * kDayMs);
  look_around();
  int64_t before = commits();
  EXPECT_EQ(count("execution WHERE id = " + root->id.str() + " AND ended = 0"), 1);
  look_around();
  EXPECT_EQ(commits(), before);
  EXPECT_EQ(count("execution WHERE parent <> 0"), 600);
}

TEST_F(EngineRetention, WhatIsOldGoesAtOnceHoweverMuchItIs) {
  ASSERT_TRUE(run("core.noop").ok());
  std::string script = "CREATE TABLE copy AS SELECT * FROM execution;";
  for (int i = 0; i < 1200; ++i) {
    script +=
        "UPDATE copy SET id = id + 1, root = id + 1; INSERT INTO execution SELECT * FROM copy;";
  }
  plant(script + "DROP TABLE copy");
  EXPECT_EQ(count("execution"), 1201);
  pass(100 * kDayMs);
  for (int i = 0; i < 100 && count("execution") > 1; ++i) look_around();
  EXPECT_EQ(count("execution"), 1);
}

}  // namespace
}  // namespace millrace::engine
