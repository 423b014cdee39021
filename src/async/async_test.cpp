// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <thread>

#include "async/clock_watch.h"
#include "async/completion.h"
#include "async/deadline.h"
#include "async/loop.h"
#include "async/pool.h"
#include "async/scope.h"
#include "async/wakeup.h"
#include "base/log.h"

namespace millrace::async {
namespace {

using namespace std::chrono_literals;

constexpr Duration kForever = 1h;

TEST(Loop, AStopBeforeRunIsNotLost) {
  Loop loop;
  loop.stop();
  loop.run();
  loop.block_on(sleep_for(1ms));
  loop.post([&] { loop.stop(); });
  loop.run();
}

Task<Result<int>> sleep_then(Duration duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

Task<Result<int>> fail_at_once() { co_return Error(ErrorKind::NotFound, "T-1", "no such thing"); }

TEST(Loop, AnExceptionOfAHandlerCostsThatHandler) {
  Loop loop;
  bool ran = false;
  loop.post([] { throw std::runtime_error("boom"); });
  loop.post([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(Loop, ATurnThatHoldsItForLongIsCounted) {
  Loop loop;
  auto hold = [](const char* what, int ms) {
    return [what, ms] {
      if (what) at_work(what);
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    };
  };
  loop.post(hold("short", 0));
  loop.post(hold(nullptr, 60));  // says nothing
  loop.post(hold("long", 60));
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(loop.held(), 1);
}

TEST(Deadline, TaskThatIsInTimeGivesItsResult) {
  Loop loop;
  EXPECT_EQ(*loop.block_on(with_deadline(kForever, sleep_then(1ms, 7))), 7);
  auto failed = loop.block_on(with_deadline(kForever, fail_at_once()));
  EXPECT_EQ(failed.error().code(), "T-1");
}

TEST(Deadline, TaskThatIsLateIsCancelledAndGivesTimeout) {
  Loop loop;
  auto result = loop.block_on(with_deadline(1ms, sleep_then(kForever, 7)));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind(), ErrorKind::Timeout);
  EXPECT_EQ(result.error().message(), "expected an end within 1 ms, still running");
}

Task<Result<int>> turn_cancel_into_error() {
  try {
    co_await sleep_for(kForever);
  } catch (const boost::system::system_error&) {
  }
  co_return Error(ErrorKind::Unavailable, "T-5", "cancelled");
}

TEST(Deadline, AnErrorThatTheCancelCausedIsATimeout) {
  Loop loop;
  auto result = loop.block_on(with_deadline(1ms, turn_cancel_into_error()));
  EXPECT_EQ(result.error().kind(), ErrorKind::Timeout);
}

TEST(Deadline, TheInnerDeadlineOfTwoDecides) {
  Loop loop;
  auto outer = loop.block_on(with_deadline(1ms, with_deadline(kForever, sleep_then(kForever, 1))));
  EXPECT_EQ(outer.error().message(), "expected an end within 1 ms, still running");
  auto inner = loop.block_on(with_deadline(kForever, with_deadline(2ms, sleep_then(kForever, 1))));
  EXPECT_EQ(inner.error().message(), "expected an end within 2 ms, still running");
}

TEST(Deadline, CallbacksComeInTheOrderOfTheirTimesAndCancelledOnesNever) {
  Loop loop;
  std::string order;
  Deadline c(loop.executor(), [&] {
    order += 'c';
    loop.stop();
  });
  Deadline a(loop.executor(), [&] { order += 'a'; });
  Deadline b(loop.executor(), [&] { order += 'b'; });
  Deadline never(loop.executor(), [&] { order += 'x'; });
  c.arm(9ms);
  b.arm(1h);
  a.arm(1ms);
  b.arm(5ms);
  never.arm(2ms);
  never.cancel();
  loop.run();
  EXPECT_EQ(order, "abc");
  EXPECT_FALSE(a.armed());
}

Task<void> throw_oops() {
  throw std::runtime_error("oops");
  co_return;
}

Task<void> mark_end(bool& ended, Duration duration) {
  struct Mark {
    bool& flag;
    ~Mark() { flag = true; }
  } mark{ended};
  co_await sleep_for(duration);
}

TEST(Scope, StopEndsEveryTask) {
  Loop loop;
  Scope scope(loop.executor());
  bool first = false, second = false;
  spawn("first", scope, mark_end(first, kForever));
  spawn("second", scope, mark_end(second, kForever));
  EXPECT_EQ(scope.live(), 2U);
  loop.block_on(scope.stop());
  EXPECT_TRUE(first && second);
  EXPECT_EQ(scope.live(), 0U);
}

TEST(Scope, JoinWaitsForTasksWithoutCancellingThem) {
  Loop loop;
  Scope scope(loop.executor());
  bool ended = false;
  spawn("task", scope, mark_end(ended, 2ms));
  loop.block_on(scope.join());
  EXPECT_TRUE(ended);
}

TEST(Scope, ExceptionsAndErrorsOfTasksAreLoggedAndCancelsAreNot) {
  std::vector<std::string> lines;
  ASSERT_TRUE(
      open_log({.format = LogFormat::Text,
                .capture = [&](std::string_view line) { lines.emplace_back(line.substr(25)); }})
          .ok());
  Loop loop;
  Scope scope(loop.executor());
  bool ended = false;
  spawn("cancelled", scope, mark_end(ended, kForever));
  spawn("thrower", scope, throw_oops());
  auto failing = []() -> Task<Result<void>> {
    co_return Error(ErrorKind::Conflict, "T-2", "clash");
  };
  spawn("failer", scope, failing());
  loop.block_on(scope.stop());
  ASSERT_TRUE(open_log({.level = LogLevel::Warn, .format = LogFormat::Text}).ok());
  std::ranges::sort(lines);
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "error task.failed task=failer error=\"T-2: clash\"",
                       "error task.failed task=thrower error=oops",
                   }));
}

TEST(Completion, AnotherThreadsResultReachesTheWaitingCoroutine) {
  Loop loop;
  Completion<std::string> done(loop.executor());
  std::thread other([&] { EXPECT_TRUE(done.fulfil(std::string("x"))); });
  EXPECT_EQ(*loop.block_on(done.wait(kForever)), "x");
  other.join();
}

TEST(Completion, AResultGivenBeforeTheWaitIsKept) {
  Loop loop;
  Completion<int> done(loop.executor());
  done.fulfil(Error(ErrorKind::Stale, "T-3", "old"));
  EXPECT_EQ(loop.block_on(done.wait(kForever)).error().code(), "T-3");
}

TEST(Completion, OnlyTheFirstResultCounts) {
  Loop loop;
  Completion<int> done(loop.executor());
  EXPECT_TRUE(done.fulfil(1));
  EXPECT_FALSE(done.fulfil(2));
  EXPECT_EQ(*loop.block_on(done.wait(kForever)), 1);
}

TEST(Completion, WaitEndsAtItsDeadlineAndALateResultIsDropped) {
  Loop loop;
  Completion<int> done(loop.executor());
  EXPECT_EQ(loop.block_on(done.wait(1ms)).error().kind(), ErrorKind::Timeout);
  EXPECT_TRUE(done.fulfil(1));
}

Task<void> collect(Completion<int> done, std::vector<int>& out) {
  auto result = co_await done.wait(kForever);
  out.push_back(*result);
}

TEST(Completion, WhatAScopeHasGatheredWakesItsCoroutinesInOrderAtItsEnd) {
  Loop loop;
  Scope scope(loop.executor());
  std::vector<int> out;
  std::vector<Completion<int>> all;
  for (int i = 0; i < 64; ++i) {
    all.emplace_back(loop.executor());
    spawn("collect", scope, collect(all.back(), out));
  }
  std::thread committer([&] {
    CompletionScope together;
    for (int i = 0; i < 64; ++i) {
      CompletionScope inner;
      all[static_cast<size_t>(i)].fulfil(i);
    }
    // Nobody is woken: what the loop is given now comes before all of them.
    loop.post([&] { out.push_back(-1); });
  });
  loop.block_on(scope.join());
  committer.join();
  ASSERT_EQ(out.size(), 65U);
  for (int i = 0; i < 65; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], i - 1);
}

TEST(Completion, AScopeMaySpanLoops) {
  Loop a, b;
  Completion<int> on_a(a.executor()), on_b(b.executor());
  {
    CompletionScope together;
    on_a.fulfil(1);
    on_b.fulfil(2);
  }
  EXPECT_EQ(*a.block_on(on_a.wait(kForever)), 1);
  EXPECT_EQ(*b.block_on(on_b.wait(kForever)), 2);
}

Task<void> wait_for_completion(Completion<int> done, bool& returned) {
  (void)co_await done.wait(kForever);
  returned = true;
}

TEST(Completion, CancelOfTheWaitingTaskThrowsAtTheWait) {
  Loop loop;
  Scope scope(loop.executor());
  Completion<int> done(loop.executor());
  bool returned = false;
  spawn("waiter", scope, wait_for_completion(done, returned));
  loop.block_on(sleep_for(1ms));
  loop.block_on(scope.stop());
  EXPECT_FALSE(returned);
}

TEST(Wakeup, CallsBeforeTheWaitCountAsOne) {
  Loop loop;
  Wakeup wakeup(loop.executor());
  wakeup.notify();
  wakeup.notify();
  EXPECT_TRUE(loop.block_on(wakeup.wait_for(kForever)));
  EXPECT_FALSE(loop.block_on(wakeup.wait_for(2ms)));
}

TEST(Wakeup, AnotherThreadWakesTheLoop) {
  Loop loop;
  Wakeup wakeup(loop.executor());
  std::thread other([&] { wakeup.notify(); });
  loop.block_on(wakeup.wait());
  other.join();
}

TEST(Pool, ResultsErrorsAndExceptionsComeBack) {
  Loop loop;
  Pool pool({.name = "test", .threads = 2});
  EXPECT_EQ(*loop.block_on(pool.run([] { return 7; })), 7);
  auto error = loop.block_on(
      pool.run([]() -> Result<int> { return Error(ErrorKind::Stale, "T-4", "old"); }));
  EXPECT_EQ(error.error().code(), "T-4");
  EXPECT_TRUE(loop.block_on(pool.run([] {})).ok());
  auto thrower = [] { throw std::runtime_error("oops"); };
  auto thrown = loop.block_on(pool.run(thrower));
  ASSERT_FALSE(thrown.ok());
  EXPECT_EQ(thrown.error().code(), "ASY-0003");
  EXPECT_NE(thrown.error().message().find("oops"), std::string::npos);
}

TEST(Pool, WorkRunsOnTheNamedThreadAndTheCoroutineGoesOnInItsLoop) {
  Loop loop;
  Pool pool({.name = "hashing"});
  std::string name(16, '\0');
  auto here = std::this_thread::get_id();
  auto task = [](Pool& p, std::string& out, std::thread::id home) -> Task<bool> {
    (void)co_await p.run([&] { pthread_getname_np(pthread_self(), out.data(), out.size()); });
    co_return std::this_thread::get_id() == home;
  };
  EXPECT_TRUE(loop.block_on(task(pool, name, here)));
  EXPECT_STREQ(name.c_str(), "hashing");
}

Task<void> block_until(Pool& pool, std::mutex& gate) {
  (void)co_await pool.run([&gate] { std::lock_guard lock(gate); });
}

TEST(Pool, AFullQueueIsBusyAndNamesThePool) {
  Loop loop;
  Scope scope(loop.executor());
  Pool pool({.name = "small", .threads = 1, .max_queued = 1});
  std::mutex gate;
  gate.lock();
  spawn("running", scope, block_until(pool, gate));
  loop.block_on(sleep_for(1ms));
  while (pool.queued() > 0) std::this_thread::yield();
  spawn("queued", scope, block_until(pool, gate));
  loop.block_on(sleep_for(1ms));
  auto refused = loop.block_on(pool.run([] {}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::Busy);
  EXPECT_NE(refused.error().message().find("'small'"), std::string::npos);
  scope.cancel();  // does not interrupt the jobs that use this frame
  gate.unlock();
  loop.block_on(scope.join());
}

// The time that it is anyway: who sets a clock is heard of, by whatever it was.
TEST(ClockWatch, ASetClockWakesTheTask) {
  Loop loop;
  ClockWatch clock(loop.executor());
  timespec now{};
  for (int i = 0; i < 2; ++i) {
    clock_gettime(CLOCK_REALTIME, &now);
    if (clock_settime(CLOCK_REALTIME, &now) != 0) GTEST_SKIP() << "may not set the clock";
    loop.block_on(clock.next());
  }
}

TEST(Signals, ASignalWakesTheTask) {
  Loop loop;
  Signals signals(loop.executor(), {SIGUSR1});
  raise(SIGUSR1);
  EXPECT_EQ(loop.block_on(signals.next()), SIGUSR1);
}

}  // namespace
}  // namespace millrace::async
