// SPDX-License-Identifier: Apache-2.0
//
// An agent's session over connections that are slow, and break anywhere, on both sides or on one,
// and over servers that die: every run ends with what it printed, and none begins twice.
#include <random>

#include "work_harness.h"

namespace millrace::engine {
namespace {

// An agent with its spawner, which forgets nothing: it runs what it is given, and names in each
// session what it has.
class LastingWorker final : public WorkReceiver {
 public:
  explicit LastingWorker(Agent& agent) : agent_(agent) {}

  void grant(SessionId, std::vector<WorkOrder> orders) override {
    std::lock_guard lock(mutex_);
    for (const auto& order : orders) {
      if (!runs_.try_emplace(order.key).second) continue;
      ++begun_[order.key.execution];
    }
  }
  // Of ends that are durable and whose acknowledgement was lost.
  void cancel(SessionId, const Of<RunKey>&, std::string) override {}
  void over(SessionId) override { open_ = false; }

  // Asks for a session if it has none. It comes in its own time.
  void open() {
    if (open_.exchange(true)) return;
    WorkerHello hello{.name = "far", .slots = 6, .runtimes = {}, .instance = "s1"};
    {
      std::lock_guard lock(mutex_);
      session_ = {};
      for (const auto& [key, run] : runs_) hello.adopted.push_back(key);
    }
    agent_.source.open(std::move(hello), *this, [this](Result<Session> session) {
      if (!session.ok()) {
        open_ = false;
        return;
      }
      std::unique_lock lock(mutex_);
      session_ = session->id;
      auto ended = ended_runs();
      lock.unlock();
      for (auto& completion : ended) tell(session->id, std::move(completion));
    });
  }

  // One that runs ends, having printed this.
  void end_one(std::mt19937& dice, bool prints_much) {
    std::unique_lock lock(mutex_);
    std::vector<RunKey> running;
    for (const auto& [key, run] : runs_) {
      if (!run) running.push_back(key);
    }
    if (running.empty()) return;
    RunKey key = running[dice() % running.size()];
    Completion completion{.tenant = kDefaultTenant, .key = key};
    std::string printed = fmt::format("\"run {} ", key.execution.value);
    while (prints_much && printed.size() < 600'000) printed += fmt::format("{} ", printed.size());
    printed += '"';
    if (prints_much) {
      completion.out.blob = output_ref(kDefaultTenant, key, Stream::Stdout);
      auto writer = agent_.blobs->create(completion.out.blob);
      EXPECT_EQ((*writer)->append(printed), printed.size());
      EXPECT_TRUE((*writer)->commit().ok());
    } else {
      completion.out.bytes = printed;
    }
    completion.out.size = static_cast<int64_t>(printed.size());
    printed_[key.execution] = printed;
    runs_[key] = completion;
    SessionId session = session_;
    lock.unlock();
    if (session) tell(session, std::move(completion));
  }

  bool is_idle() {
    std::lock_guard lock(mutex_);
    return runs_.empty();
  }
  std::map<ExecutionId, int> begun() {
    std::lock_guard lock(mutex_);
    return begun_;
  }
  std::string printed(ExecutionId id) {
    std::lock_guard lock(mutex_);
    return printed_[id];
  }

 private:
  std::vector<Completion> ended_runs() {
    std::vector<Completion> ended;
    for (const auto& [key, run] : runs_) {
      if (run) ended.push_back(*run);
    }
    return ended;
  }
  void tell(SessionId session, Completion completion) {
    RunKey key = completion.key;
    agent_.source.finished(session, std::move(completion), [this, key] {
      std::lock_guard lock(mutex_);
      runs_.erase(key);
    });
  }

  Agent& agent_;
  std::mutex mutex_;
  std::atomic<bool> open_ = false;
  SessionId session_;
  std::map<RunKey, std::optional<Completion>> runs_;
  std::map<ExecutionId, int> begun_;
  std::map<ExecutionId, std::string> printed_;
};

class CutConnections : public WorkTest {
 protected:
  void live(uint32_t seed);
  std::string stored_output(ExecutionId id) {
    auto reader = store_->open_reader();
    auto outputs = store::outputs_of(**reader, kDefaultTenant, id);
    EXPECT_TRUE(outputs.ok() && outputs->size() == 1);
    if (!outputs.ok() || outputs->size() != 1) return {};
    const auto& content = outputs->front().content;
    return content.blob.empty() ? content.bytes : *blobs_->read(content.blob, 0, content.size);
  }
};

void CutConnections::live(uint32_t seed) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 dice(seed);
  Agent& agent = add_agent();
  LastingWorker worker(agent);
  std::vector<ExecutionId> started;
  bool connected = true;
  for (int step = 0; step < 60; ++step) {
    worker.open();
    switch (dice() % 12) {
      case 0:
      case 1:
      case 2: {
        auto row = run(dice() % 2 == 0 ? "ci.build" : "ci.check");
        ASSERT_TRUE(row.ok());
        started.push_back(row->id);
        break;
      }
      case 3:
      case 4:
      case 5: worker.end_one(dice, dice() % 2 == 0); break;
      case 6:
        if (connected) agent.pipe.cut();
        connected = false;
        break;
      case 7:
        if (connected) agent.pipe.leave_half_open();
        connected = false;
        break;
      case 8:
        if (connected) dice() % 2 == 0 ? agent.pipe.hold_to_agent() : agent.pipe.hold_to_server();
        break;
      case 9:
        if (connected) agent.pipe.let_go();
        break;
      case 10:
        if (dice() % 3 == 0) {
          restart();
          connected = true;
        }
        break;
      default: std::this_thread::yield();
    }
    if (!connected && dice() % 2 == 0) {
      agent.pipe.connect();
      connected = true;
    }
  }
  if (connected) agent.pipe.let_go();
  if (!connected) agent.pipe.connect();
  EXPECT_TRUE(eventually([&] {
    tick(1);  // what pauses goes on; far below the lease
    worker.open();
    worker.end_one(dice, false);
    return worker.is_idle() && std::ranges::all_of(started, [&](ExecutionId id) {
             return is_final(stored(id).status);
           });
  }));
  auto begun = worker.begun();
  for (ExecutionId id : started) {
    EXPECT_EQ(stored(id).status, ExecutionStatus::Succeeded);
    EXPECT_EQ(begun[id], 1) << "execution " << id.value;
    EXPECT_EQ(stored_output(id), worker.printed(id));
  }
  agents_.clear();
}

TEST_F(CutConnections, EveryRunEndsWithItsOutputAndNoneBeginsTwice) {
  const char* more = std::getenv("MILLRACE_TEST_CUTS");
  uint32_t seeds = more ? static_cast<uint32_t>(std::atoi(more)) : 12;
  for (uint32_t seed = 1; seed <= seeds && !HasFailure(); ++seed) live(seed);
}

}  // namespace
}  // namespace millrace::engine
