// SPDX-License-Identifier: Apache-2.0
//
// The worker's side of the port: sessions, leases, environments that are built first, and a stop
// that does not wait for others.
#include <signal.h>
#include <sys/socket.h>

#include <future>

#include "services/worker/run_folder.h"
#include "services/worker/worker_fixture.h"

namespace millrace::worker {
namespace {

// Builds nothing; says that it is ready when the test wants it.
class SlowBuilder {
 public:
  std::optional<Preparation> prepare(const kernel::WorkOrder& order) {
    if (order.action != "core.local") return std::nullopt;
    return Preparation{"environment of pack 'ci'", [this](auto ready) {
                         std::lock_guard lock(mutex_);
                         ready_.push_back(std::move(ready));
                       }};
  }
  void end(Result<void> built = {}) {
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex_);
      return !ready_.empty();
    }));
    std::lock_guard lock(mutex_);
    for (auto& ready : ready_) ready(built);
    ready_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void(Result<void>)>> ready_;
};

class PreparingTest : public WorkerTest {
 protected:
  PreparingTest() {
    config_.prepare = [this](const auto& order) { return builder_.prepare(order); };
  }
  SlowBuilder builder_;
};

TEST_F(PreparingTest, ARunBeginsOnlyOnceItsStartIsDurableAgain) {
  RunningWorker worker(source_, config_);
  auto order = shell("echo > began");
  source_.may_start = [&] { return access(path("began").c_str(), F_OK) != 0; };
  source_.grant({order});
  source_.wait_for_call("preparing 5000 environment of pack 'ci'");
  EXPECT_EQ(worker->stats().running, 1);
  EXPECT_EQ(worker->stats().launched, 0);
  builder_.end();
  EXPECT_EQ(source_.wait_finished(order.key).exit_code, 0);
  EXPECT_EQ(source_.calls(), (std::vector<std::string>{"preparing 5000 environment of pack 'ci'",
                                                       "prepared 5000", "finished 5000"}));
  EXPECT_EQ(worker->stats().launched, 1);
}

TEST_F(PreparingTest, ARunThatMayNotBeginIsForgotten) {
  RunningWorker worker(source_, config_);
  auto order = shell("echo > began");
  source_.may_start = [] { return false; };
  source_.grant({order});
  builder_.end();
  source_.wait_for_call("prepared 5000");
  EXPECT_TRUE(eventually([&] { return worker->stats().running == 0; }));
  EXPECT_EQ(worker->stats().launched, 0);
  EXPECT_EQ(source_.times_finished(order.key), 0U);
}

TEST_F(PreparingTest, ACancelEndsARunThatIsBeingPrepared) {
  RunningWorker worker(source_, config_);
  auto order = shell("echo > began");
  source_.grant({order});
  source_.wait_for_call("preparing 5000 environment of pack 'ci'");
  source_.cancel(order.key);
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::Canceled);
  EXPECT_EQ(c.message, "ended before it began: the test says so");
  builder_.end();  // late: nobody starts it any more

  auto next = http("http://127.0.0.1:1/");
  source_.grant({next});  // read after the builder's word
  source_.wait_finished(next.key);
  EXPECT_EQ(worker->stats().launched, 0);
  EXPECT_EQ(source_.times_finished(order.key), 1U);
}

TEST_F(PreparingTest, AnEnvironmentThatCannotBeBuiltEndsTheRun) {
  RunningWorker worker(source_, config_);
  auto order = shell("true");
  source_.grant({order});
  builder_.end(Error(ErrorKind::Unavailable, "WRK-0002", "no space left on device"));
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::SpawnFailed);
  EXPECT_EQ(c.message, "its environment could not be built: no space left on device");
}

TEST_F(PreparingTest, WhatAWorkerDidNotBeginIsNotAdoptedByTheNext) {
  auto order = shell("echo > began");
  {
    FakeSource first;
    RunningWorker worker(first, config_);
    first.grant({order});
    first.wait_for_call("preparing 5000 environment of pack 'ci'");
  }
  builder_.end();  // the worker is gone
  config_.prepare = nullptr;
  RunningWorker worker(source_, config_);
  EXPECT_TRUE(source_.hello().adopted.empty());
  source_.grant({order});  // the server may grant the same attempt again
  EXPECT_EQ(source_.wait_finished(order.key).exit_code, 0);
}

// Its thread reads a note that takes its time, and meanwhile more mail comes and the stop.
TEST_F(PreparingTest, WhatIsInTheMailIsReportedBeforeTheSessionIsClosed) {
  std::promise<void> release;
  source_.on_finished = [released = release.get_future().share()] { released.wait(); };
  RunningWorker worker(source_, config_);
  auto order = shell("true"), slow = http("http://127.0.0.1:1/");
  source_.grant({order, slow});
  source_.wait_for_call(fmt::format("finished {}", slow.key.execution.value));
  builder_.end(Error(ErrorKind::Unavailable, "WRK-0002", "no space left on device"));
  EXPECT_FALSE(worker.stops_within(async::Duration(50)));
  release.set_value();
  EXPECT_TRUE(worker.stops_within(20s));
  EXPECT_EQ(source_.times_finished(order.key), 1U);
}

TEST_F(PreparingTest, WhoHasClosedHisSessionNamesItNoMore) {
  for (Result<void> built : {Result<void>(), Result<void>(Error(ErrorKind::Unavailable, "WRK-0002",
                                                                "no space left on device"))}) {
    FakeSource source;
    source.on_closed = [&] { builder_.end(built); };
    auto order = shell("true");
    {
      RunningWorker worker(source, config_);
      source.grant({order});
      source.wait_for_call(
          fmt::format("preparing {} environment of pack 'ci'", order.key.execution.value));
    }
    EXPECT_EQ(source.calls().size(), 1U) << source.calls().back();
  }
}

TEST_F(WorkerTest, OrdersAndCancelsOfAnotherSessionAreIgnored) {
  RunningWorker worker(source_, config_);
  auto stale = shell("echo > stale"), ours = shell("echo > ours");
  source_.hello();
  source_.receiver().grant(SessionId(1), {stale});
  source_.grant({ours});
  source_.receiver().cancel(SessionId(1), Of{kDefaultTenant, ours.key}, "stale");
  EXPECT_EQ(source_.wait_finished(ours.key).end, RunEnd::Exited);
  EXPECT_EQ(source_.times_finished(stale.key), 0U);
  EXPECT_TRUE(eventually([&] { return worker->stats().running == 0; }));
  EXPECT_EQ(worker->stats().launched, 1);
}

// Both notes are in the mailbox before the worker looks.
TEST_F(WorkerTest, AnOrderThatComesWithTheSessionItselfIsTaken) {
  auto order = shell("true");
  source_.grants_at_once = {order};
  RunningWorker worker(source_, config_);
  EXPECT_EQ(source_.wait_finished(order.key).exit_code, 0);
}

TEST_F(WorkerTest, ASessionIsClosedWithItsWorkerAlsoWhenItOpensLate) {
  source_.answers_open = false;
  {
    RunningWorker worker(source_, config_);
    source_.wait_for_hello();
    EXPECT_LT(worker.stop(), 2000);
    source_.answer_open();
  }
  EXPECT_TRUE(source_.was_closed(SessionId(101)));

  source_.answers_open = true;
  {
    RunningWorker worker(source_, config_);
    source_.wait_for_session(2);
  }
  EXPECT_TRUE(source_.was_closed(SessionId(102)));
}

TEST_F(WorkerTest, ALeaseIsRenewedAndItsLossEndsInANewSessionThatAdopts) {
  source_.ttl_ms = 60'000;
  source_.renew_ms = 20;
  source_.fence_ms = 50'000;
  RunningWorker worker(source_, config_);
  auto order = shell("echo $$ > pid; while ! [ -e go ]; do sleep 0.01; done; echo done");
  source_.grant({order});
  wait_for_line(path("pid"));
  source_.wait_for_renewals(3);
  source_.forget_session();
  source_.wait_for_session(2);
  EXPECT_EQ(source_.hello().adopted, std::vector{order.key});
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(source_.wait_finished(order.key).out.bytes, "done\n");
}

TEST_F(WorkerTest, WhoCannotRenewEndsHisRunsBeforeTheLeaseDoes) {
  source_.ttl_ms = 60'000;
  source_.renew_ms = 20;
  source_.fence_ms = 300;
  RunningWorker worker(source_, config_);
  auto order = shell("echo $$ > pid; exec sleep 1000");
  source_.grant({order});
  int pid = std::atoi(wait_for_line(path("pid")).c_str());
  source_.stop_renewing();
  EXPECT_TRUE(eventually([&] { return !is_alive(pid); }));
  source_.wait_for_session(2);
  EXPECT_EQ(source_.wait_finished(order.key).end, RunEnd::Lost);
}

// Its worker need not be there for that, nor hear of it.
TEST_F(WorkerTest, ARunThatNobodyRenewsEndsAlsoWhenItsWorkerHangs) {
  source_.ttl_ms = 60'000;
  source_.renew_ms = 100'000;
  source_.fence_ms = 5'000;
  std::promise<void> release;
  source_.on_finished = [released = release.get_future().share()] { released.wait(); };
  RunningWorker worker(source_, config_);
  auto order = shell("echo $$ > pid; trap '' TERM; while :; do sleep 1000; done");
  source_.grant({order});
  int pid = std::atoi(wait_for_line(path("pid")).c_str());
  auto quick = http("http://127.0.0.1:1/");
  source_.grant({quick});
  source_.wait_for_call(fmt::format("finished {}", quick.key.execution.value));
  EXPECT_TRUE(eventually([&] { return !is_alive(pid); }));
  release.set_value();
}

TEST_F(WorkerTest, WhoIsToldThatHisSessionIsOverOpensAnother) {
  source_.ttl_ms = 60'000;
  source_.renew_ms = 50'000;
  source_.fence_ms = 55'000;
  RunningWorker worker(source_, config_);
  auto order = shell("echo $$ > pid; while ! [ -e go ]; do sleep 0.01; done; echo done");
  source_.grant({order});
  wait_for_line(path("pid"));
  source_.receiver().over(SessionId(100));  // of the past
  source_.receiver().over(SessionId(101));
  source_.wait_for_session(2);
  EXPECT_EQ(source_.hello().adopted, std::vector{order.key});
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(source_.wait_finished(order.key).out.bytes, "done\n");
}

TEST_F(WorkerTest, WhoLeavesEndsWhatHisLeaseCovers) {
  source_.ttl_ms = 60'000;
  source_.renew_ms = 30'000;
  source_.fence_ms = 50'000;
  auto order = shell("echo $$ > pid; exec sleep 1000");
  int pid = 0;
  {
    RunningWorker worker(source_, config_);
    source_.grant({order});
    pid = std::atoi(wait_for_line(path("pid")).c_str());
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(pid); }));
  EXPECT_TRUE(source_.was_closed(SessionId(101)));
}

TEST_F(WorkerTest, StopSaysWhenTheThreadHangs) {
  std::promise<void> release;
  source_.on_finished = [released = release.get_future().share()] { released.wait(); };
  RunningWorker worker(source_, config_);
  source_.grant({shell("true")});
  source_.wait_for_call("finished 5000");
  EXPECT_FALSE(worker.stops_within(async::Duration(50)));
  release.set_value();
  EXPECT_TRUE(worker.stops_within(20s));
}

// Takes the place of a spawner, and says nothing.
TEST_F(WorkerTest, StopDoesNotWaitForASpawnerThatHangs) {
  auto run = open_run_folder(data_.path());
  ASSERT_TRUE(run.ok());
  Fd silent(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = socket_address(run->get());
  ASSERT_EQ(bind(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(silent.get(), 8), 0);
  RunningWorker worker(source_, config_);
  Fd peer(accept(silent.get(), nullptr, nullptr));  // it has connected and waits for the Hello
  EXPECT_LT(worker.stop(), 2000);
}

}  // namespace
}  // namespace millrace::worker
