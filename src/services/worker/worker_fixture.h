// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>

#include "async/loop.h"
#include "services/worker/spawner_fixture.h"
#include "services/worker/worker.h"

// For tests: a source that stands for the server, and workers that start and stop with their
// scope.
namespace millrace::worker {

using kernel::RunEnd;
using kernel::RunKey;
using namespace std::chrono_literals;

// Stands for the engine: opens sessions, collects completions, and acknowledges them at once or on
// demand.
class FakeSource final : public kernel::WorkSource {
 public:
  bool acknowledges = true;
  bool answers_open = true;                       // else the answer waits for answer_open
  std::vector<kernel::WorkOrder> grants_at_once;  // before `open` has returned
  std::vector<kernel::AdoptedRun> adopted;        // what it says of the runs that are adopted
  int64_t ttl_ms = 0, renew_ms = 0, fence_ms = 0;
  std::function<void()> on_finished = [] {};
  std::function<void()> on_closed = [] {};
  std::function<bool()> may_start = [] { return true; };  // the answer to `prepared`

  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override {
    {
      std::lock_guard lock(mutex_);
      hello_ = std::move(hello);
      receiver_ = &receiver;
      opened_ = std::move(opened);
      changed_.notify_all();
    }
    if (answers_open) answer_open();
  }
  void answer_open() {
    wait([&] { return opened_ != nullptr; });
    std::unique_lock lock(mutex_);
    kernel::Session session{
        .id = SessionId(++opened_sessions_ + 100),
        .worker = WorkerId(1),
        .ttl_ms = ttl_ms,
        .renew_ms = renew_ms,
        .fence_ms = fence_ms,
        .adopted = adopted,
    };
    session_ = session.id;
    changed_.notify_all();
    auto opened = std::exchange(opened_, nullptr);
    lock.unlock();
    opened(session);
    if (!grants_at_once.empty()) receiver_->grant(session.id, std::exchange(grants_at_once, {}));
    lock.lock();
    may_grant_ = session.id;  // not before `opened` has returned
    changed_.notify_all();
  }
  void renew(SessionId session, std::function<void(Result<void>)> renewed) override {
    std::unique_lock lock(mutex_);
    ++renewals_;
    bool known = session == session_;
    bool answers = renews_;
    changed_.notify_all();
    lock.unlock();
    if (answers && known) renewed({});
    if (answers && !known) renewed(Error(ErrorKind::NotFound, "ENG-0004", "it is over"));
  }
  void close(SessionId session) override {
    {
      std::lock_guard lock(mutex_);
      closed_.push_back(session);
      if (session == session_) session_ = {};
      changed_.notify_all();
    }
    on_closed();
  }
  void output(SessionId, kernel::OutputChunk chunk) override {
    std::lock_guard lock(mutex_);
    live_[chunk.key] += chunk.bytes;
    changed_.notify_all();
  }
  void preparing(SessionId, TenantId, const RunKey& key, std::string what) override {
    note(fmt::format("preparing {} {}", key.execution.value, what));
  }
  void prepared(SessionId, TenantId, const RunKey& key, std::function<void(bool)> go) override {
    note(fmt::format("prepared {}", key.execution.value));
    go(may_start());
  }
  void finished(SessionId session, kernel::Completion completion,
                std::function<void()> done) override {
    note(fmt::format("finished {}", completion.key.execution.value));
    on_finished();
    {
      std::lock_guard lock(mutex_);
      if (session != session_) return;
      finished_[completion.key].push_back(completion);
      ++finished_count_;
      changed_.notify_all();
    }
    if (acknowledges) done();
  }

  void note(std::string line) {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(line));
    changed_.notify_all();
  }
  // What was called about runs, in order.
  std::vector<std::string> calls() {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  const kernel::WorkerHello& hello() {
    wait([&] { return may_grant_ != SessionId(); });
    return hello_;
  }
  void grant(std::vector<kernel::WorkOrder> orders) {
    hello();
    receiver_->grant(may_grant_, std::move(orders));
  }
  void cancel(const RunKey& key) {
    hello();
    receiver_->cancel(may_grant_, Of{kDefaultTenant, key}, "the test says so");
  }
  kernel::WorkReceiver& receiver() { return *receiver_; }
  // The server forgets its sessions, as one that was started anew.
  void forget_session() {
    std::lock_guard lock(mutex_);
    session_ = {};
  }
  // From now on nobody answers a renewal.
  void stop_renewing() {
    std::lock_guard lock(mutex_);
    renews_ = false;
  }
  bool was_closed(SessionId session) {
    std::lock_guard lock(mutex_);
    return std::ranges::find(closed_, session) != closed_.end();
  }
  // The worker has asked for a session; it need not have been answered.
  void wait_for_hello() {
    wait([&] { return !hello_.name.empty(); });
  }
  void wait_for_renewals(int n) {
    wait([&] { return renewals_ >= n; });
  }
  void wait_for_session(int n) {
    wait([&] { return opened_sessions_ >= n && may_grant_ == SessionId(n + 100); });
  }
  void wait_for_call(const std::string& line) {
    wait([&] { return std::ranges::find(calls_, line) != calls_.end(); });
  }
  kernel::Completion wait_finished(const RunKey& key) {
    wait([&] { return finished_.contains(key); });
    std::lock_guard lock(mutex_);
    return finished_.contains(key) ? finished_[key].back() : kernel::Completion{};
  }
  size_t times_finished(const RunKey& key) {
    std::lock_guard lock(mutex_);
    return finished_.contains(key) ? finished_[key].size() : 0;
  }
  void wait_for_live(const RunKey& key, std::string_view text) {
    wait([&] { return live_[key] == text; });
  }
  void wait_for_count(size_t n) {
    wait([&] { return finished_count_ >= n; });
  }

 private:
  template <typename Condition>
  void wait(Condition condition) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 30s, condition));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  kernel::WorkerHello hello_;
  kernel::WorkReceiver* receiver_ = nullptr;
  std::function<void(Result<kernel::Session>)> opened_;
  SessionId session_;
  SessionId may_grant_;
  int opened_sessions_ = 0;
  int renewals_ = 0;
  bool renews_ = true;
  std::vector<SessionId> closed_;
  std::vector<std::string> calls_;
  std::map<RunKey, std::vector<kernel::Completion>> finished_;
  std::map<RunKey, std::string> live_;
  size_t finished_count_ = 0;
};

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    config_.name = "test";
    config_.spawner.data_dir = data_.path();
    config_.spawner.linger_ms = 2000;
    config_.run.grace_ms = 1000;
    config_.release_file = [this](const auto& pack, const auto& digest, const auto& file) {
      return Result<std::string>(path(pack + "-" + digest + "/" + file));
    };
  }
  ~WorkerTest() override { end_spawner(config_.spawner); }

  // An order of core.local.
  kernel::WorkOrder shell(const std::string& command) {
    kernel::WorkOrder order;
    order.tenant = kDefaultTenant;
    order.key = {ExecutionId(next_execution_++), 1, 3};
    order.action = "core.local";
    order.runner = Runner::Shell;
    order.parameters = Value::map({{"cmd", command}, {"cwd", data_.path()}});
    order.timeout_ms = 60'000;
    return order;
  }
  kernel::WorkOrder http(const std::string& url) {
    auto order = shell("");
    order.action = "core.http";
    order.runner = Runner::Http;
    order.parameters = Value::map({{"url", url}});
    return order;
  }
  std::string path(const std::string& name) const { return data_.path() + "/" + name; }
  pid_t spawner_pid() {
    std::string instance = source_.hello().instance;  // boot id/pid/start
    return std::atoi(instance.c_str() + instance.find('/') + 1);
  }

  TempDir data_;
  WorkerConfig config_;
  FakeSource source_;

 private:
  int64_t next_execution_ = 5000;
};

// Starts and stops with its scope, as a server does.
class RunningWorker {
 public:
  RunningWorker(kernel::WorkSource& source, WorkerConfig config)
      : worker_(source, loop_, std::move(config)), thread_([this] { loop_.run(); }) {
    EXPECT_TRUE(worker_.start().ok());
  }
  ~RunningWorker() { stop(); }
  // How long it took.
  int64_t stop() {
    int64_t began_ms = monotonic_ms();
    EXPECT_TRUE(stops_within(20s));
    return monotonic_ms() - began_ms;
  }
  bool stops_within(async::Duration limit) {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
    return loop_.block_on(worker_.stop(limit));
  }
  Worker* operator->() { return &worker_; }

 private:
  async::Loop loop_;
  Worker worker_;
  std::thread thread_;
};

}  // namespace millrace::worker
