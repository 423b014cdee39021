// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "async/task.h"
#include "base/result.h"
#include "kernel/work.h"
#include "services/worker/control.h"
#include "services/worker/launch_plan.h"
#include "services/worker/posix.h"
#include "services/worker/spawner.h"
#include "services/worker/wire.h"

namespace millrace::async {
class Loop;
}

namespace millrace::worker {

class HttpRuns;

struct WorkerConfig {
  std::string name = "local";
  int slots = 0;  // runs at the same time; 0: twice the cores
  SpawnerOptions spawner;
  RunDefaults run = default_run_defaults();
};

// Counted since start; for metrics.
struct WorkerStats {
  int64_t running = 0;     // at this moment
  int64_t launched = 0;    // orders sent to the spawner
  int64_t finished = 0;    // completions given to the source
  int64_t wake_ups = 0;    // of the worker's thread
  int64_t reconnects = 0;  // to a spawner, after the first time
};

// A completion that no process stands behind: of a run that never began, or is lost.
kernel::Completion ended(TenantId tenant, const kernel::RunKey& key, kernel::RunEnd end,
                         std::string message);

// Runs actions for a WorkSource: turns each order into a process of the spawner, and each end of
// a process into a completion. A run that outlived an earlier server is adopted.
//
// One thread of its own reads what the spawner says and waits for nothing else. Launches and
// kills are sent by the thread that calls grant and cancel; both may be called from any thread.
class Worker final : public kernel::WorkReceiver {
 public:
  // The source and the loop, on which HTTP requests are made, must outlive the worker.
  Worker(kernel::WorkSource& source, async::Loop& loop, WorkerConfig config);
  ~Worker() override;  // stopped by then

  // Connects to the spawner, or starts one, and opens the session, in its own time.
  void start();
  // Takes no more orders and lets go: runs that are not done stay with the spawner, for the next
  // worker; those without a process are cut off. On the loop; blocks it for a moment. Not to be
  // called from the source's callbacks.
  Task<void> stop();
  // The session is open and the spawner is there.
  bool ready() const { return ready_; }
  WorkerStats stats() const;

  void grant(std::vector<kernel::WorkOrder> orders) override;
  void cancel(const kernel::RunKey& key) override;

 private:
  // What the worker knows of one run.
  //
  //   Unsent    waits for a connection; never started
  //   Sent      in the spawner's hands, as far as known
  //   InHouse   an HTTP request of this process
  //   Reported  its completion is with the source; acknowledged when that is durable
  struct Run {
    enum class State : uint8_t { Unsent, Sent, InHouse, Reported };
    TenantId tenant;
    State state = State::Sent;
    bool canceled = false;
    std::string frame;                            // of Unsent: the encoded Launch,
    std::shared_ptr<kernel::WorkOrder> in_house;  // or an order for this process
  };
  // Keys of durable completions. Shared with the callbacks that the source holds, which may come
  // after the worker is gone.
  struct Acks {
    std::mutex mutex;
    std::vector<kernel::RunKey> keys;
  };
  using Completions = std::vector<kernel::Completion>;

  // The thread (worker_thread.cpp).
  void run();
  Result<void> talk(Fd connection);
  Result<Hello> read_hello();
  bool receive();
  Result<std::optional<Frame>> next_frame();
  bool handle_frames();
  void pause(int64_t ms);
  void hang_up();
  void say_goodbye();
  void meet(const Hello& hello);
  void adopt(const Hello& hello);
  Completions sort_out(const Hello& hello);
  void on_exited(kernel::Completion completion);
  void give_up_lost_runs();
  void on_chunk(Chunk chunk);

  void report(kernel::Completion completion);
  void report_all(Completions completions);
  void wake();
  void accept(const Launch& launch, Completions& refused);
  void accept_in_house(const kernel::WorkOrder& order);

  // With mutex_ held.
  void collect_acks();
  bool flush();

  kernel::WorkSource& source_;
  WorkerConfig config_;
  Fd wake_;  // eventfd: stop, or something could not be sent at once
  std::shared_ptr<Acks> acks_ = std::make_shared<Acks>();
  std::atomic<bool> ready_ = false;
  std::atomic<bool> stopping_ = false;

  // The thread's own.
  FrameBuffer in_;
  std::optional<Hello> spawner_;  // the one that it last talked to
  bool session_open_ = false;
  int64_t down_since_ms_ = 0;  // monotonic; 0: connected

  mutable std::mutex mutex_;  // guards all below
  std::map<kernel::RunKey, Run> runs_;
  int64_t reported_ = 0;  // runs in state Reported
  Fd connection_;
  bool greeted_ = false;  // frames may be sent: the Hello was sorted out
  std::string out_;
  WorkerStats stats_;

  std::unique_ptr<HttpRuns> http_;
  std::thread thread_;
};

}  // namespace millrace::worker
