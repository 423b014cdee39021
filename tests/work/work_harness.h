// SPDX-License-Identifier: Apache-2.0
// The engine over a real store, and a source of work for a worker in another process: the engine
// itself, or the session of an agent with a connection between.
#pragma once

#include "base/time.h"
#include "harness.h"
#include "pipe.h"

namespace millrace::engine {

inline constexpr auto kSoon = std::chrono::seconds(20);

// Keeps what a worker is told for the test to look at.
class HearingWorker final : public KeepingWorker {
 public:
  void over(SessionId session) override {
    std::lock_guard lock(over_mutex_);
    over_.push_back(session);
    over_changed_.notify_all();
  }
  bool hears_that_it_is_over(SessionId session) {
    std::unique_lock lock(over_mutex_);
    return over_changed_.wait_for(lock, kSoon,
                                  [&] { return std::ranges::find(over_, session) != over_.end(); });
  }

 private:
  std::mutex over_mutex_;
  std::condition_variable over_changed_;
  std::vector<SessionId> over_;
};

struct Agent {
  Agent(const std::string& folder, agent::Sessions& sessions, std::function<int64_t()> mono_ms)
      : blobs(std::move(*blob_fs::open(folder))),
        source(*blobs, {.mono_ms = std::move(mono_ms),
                        .unix_ms = unix_ms,
                        .release =
                            [this](agent::ReleasePiece piece) {
                              std::lock_guard lock(mutex);
                              pieces.push_back(std::move(piece));
                            }}),
        pipe(source, sessions) {}
  std::unique_ptr<Blobs> blobs;
  std::mutex mutex;
  std::vector<agent::ReleasePiece> pieces;
  agent::RemoteSource source;
  agent::Pipe pipe;
};

class WorkTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    elsewhere_ = true;
    open_sessions();
  }
  void open_sessions() {
    sessions_.emplace(*engine_, *blobs_, [this](const agent::WantRelease& want, auto answer) {
      answer(read_release(want));
    });
  }
  // The server dies with all that it held in memory.
  void restart() {
    for (auto& agent : agents_) agent->pipe.cut();
    engine_->stop(std::chrono::seconds(5));
    sessions_.reset();
    engine_.reset();
    start();
    open_sessions();
    for (auto& agent : agents_) agent->pipe.connect();
  }
  void TearDown() override {
    agents_.clear();
    if (engine_) engine_->stop(std::chrono::seconds(5));
    sessions_.reset();
    EngineTest::TearDown();
  }

  Agent& add_agent(bool connects = true) {
    std::string folder = fmt::format("{}/agent{}", folder_, agents_.size());
    std::filesystem::create_directories(folder);
    auto& added = *agents_.emplace_back(
        std::make_unique<Agent>(folder, *sessions_, [this] { return mono_ms_.load(); }));
    if (connects) added.pipe.connect();
    return added;
  }

  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto pack = std::make_shared<Pack>(*test_pack());
    Action gpu = *pack->find_action("ci.build");
    gpu.ref = "ci.gpu";
    gpu.runs_on = {"os=linux", "gpu"};
    pack->actions.push_back(std::move(gpu));
    return {core_pack(), pack};
  }

  virtual Result<agent::ReleasePiece> read_release(const agent::WantRelease&) {
    return Error(ErrorKind::NotFound, "APP-0011", "no release");
  }

  // As a worker says it.
  static WorkerHello hello(std::string instance = "s1", std::vector<RunKey> adopted = {},
                           int slots = 4) {
    return {.name = "far",
            .slots = slots,
            .runtimes = {},
            .instance = std::move(instance),
            .adopted = std::move(adopted),
            .elsewhere = true};
  }
  Result<Session> open(WorkSource& source, WorkerHello hello, WorkReceiver& receiver) {
    return await<Session>(
        [&](auto reply) { source.open(std::move(hello), receiver, std::move(reply)); });
  }
  Result<void> renew(WorkSource& source, SessionId session) {
    std::promise<Result<void>> answer;
    auto future = answer.get_future();
    source.renew(session, [&](Result<void> result) { answer.set_value(std::move(result)); });
    if (future.wait_for(kSoon) != std::future_status::ready) {
      return Error(ErrorKind::Timeout, "", "no answer");
    }
    return future.get();
  }
  bool prepared(WorkSource& source, SessionId session, const RunKey& run) {
    std::promise<bool> answer;
    auto future = answer.get_future();
    source.prepared(session, kDefaultTenant, run, [&](bool go) { answer.set_value(go); });
    if (future.wait_for(kSoon) == std::future_status::ready) return future.get();
    throw std::runtime_error("no answer to prepared");
  }
  static Completion ended(const RunKey& key, std::string out = "{\"n\": 1}") {
    Completion completion;
    completion.tenant = kDefaultTenant;
    completion.key = key;
    completion.out.size = static_cast<int64_t>(out.size());
    completion.out.bytes = std::move(out);
    return completion;
  }
  // How often `done` was called, once it has been.
  int finish(WorkSource& source, SessionId session, Completion completion) {
    auto times = std::make_shared<std::atomic<int>>(0);
    source.finished(session, std::move(completion), [times] { ++*times; });
    EXPECT_TRUE(eventually([&] { return times->load() > 0; }));
    settle();
    return times->load();
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    auto end = std::chrono::steady_clock::now() + kSoon;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  Result<ExecutionRow> cancel(ExecutionId id) {
    return await<ExecutionRow>(
        [&](auto reply) { engine_->submit(command::cancel(kTester, id, reply)); });
  }
  // Something that makes the engine look at its clock.
  void turn() {
    ASSERT_TRUE(run("core.noop").ok());
    settle();
  }

  std::optional<agent::Sessions> sessions_;
  std::vector<std::unique_ptr<Agent>> agents_;
  // They outlive whoever speaks to them.
  HearingWorker far_;
  HearingWorker other_;
};

}  // namespace millrace::engine
