// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "async/task.h"
#include "async/wakeup.h"
#include "base/result.h"
#include "base/wire.h"
#include "kernel/work.h"
#include "services/worker/control.h"
#include "services/worker/launch_plan.h"
#include "services/worker/mailbox.h"
#include "services/worker/posix.h"
#include "services/worker/spawner.h"

namespace millrace {
class InHand;
}

namespace millrace::async {
class Loop;
}

namespace millrace::kernel {
class Blobs;
}

namespace millrace::worker {

class HttpRuns;

// What an order waits for before it can start: an environment that is built for minutes.
struct Preparation {
  std::string what;  // for people: "environment of pack 'ci'"
  // Begins it. `ready` is called once, on any thread, also when the worker is gone by then.
  std::function<void(std::function<void(Result<void>)> ready)> begin;
};

struct WorkerConfig {
  std::string name = "local";
  int slots = 0;                         // runs at the same time; 0: twice the cores
  std::vector<std::string> labels = {};  // what it offers (model/labels.h)
  SpawnerOptions spawner;
  RunDefaults run = default_run_defaults();
  ReleaseFile release_file;  // of orders of Runner::Script
  // What this order needs; nothing: it starts at once. May be empty. On the worker's thread.
  std::function<std::optional<Preparation>(const kernel::WorkOrder&)> prepare;
  // Where large output is read from to parse it; null: who decides on the run does.
  kernel::Blobs* blobs = nullptr;
  // Notes which run the worker's thread has to do with; a run of which processes have died is given
  // up. May be null. The thread's own.
  InHand* in_hand = nullptr;
};

// Counted since start; for metrics.
struct WorkerStats {
  int64_t running = 0;     // at this moment, what was granted and not yet begun included
  int64_t launched = 0;    // orders sent to the spawner
  int64_t finished = 0;    // completions given to the source
  int64_t unheard = 0;     // of them at this moment: not acknowledged yet
  int64_t wake_ups = 0;    // of the worker's thread
  int64_t reconnects = 0;  // to a spawner, after the first time
};

// A completion that no process stands behind: of a run that never began, or is lost.
kernel::Completion ended(TenantId tenant, const kernel::RunKey& key, kernel::RunEnd end,
                         std::string message);

// Runs actions for a WorkSource: turns each order into a process of the spawner, and each end of
// a process into a completion. A run that outlived an earlier server is adopted.
//
// One thread of its own does all of it: it reads what the spawner says and what others have put
// into its mailbox, and waits for nothing else. grant and cancel may be called from any thread
// and only put a note there.
class Worker final : public kernel::WorkReceiver {
 public:
  // The source and the loop, on which HTTP requests are made, must outlive the worker.
  Worker(kernel::WorkSource& source, async::Loop& loop, WorkerConfig config);
  ~Worker() override;  // stopped by then

  // Connects to the spawner, or starts one, and opens the session, in its own time.
  // Errors: Unavailable, ASY-0004: there is no thread for it.
  Result<void> start();
  // Takes no more orders, closes the session and lets go: runs that are not done stay with the
  // spawner, for the next worker (in a session with a lease they are ended); those without a
  // process are cut off. On the loop, which goes on
  // meanwhile. False when the thread has not come back after `limit` (it hangs in a system call):
  // then the process must end without destroying the worker.
  [[nodiscard]] Task<bool> stop(async::Duration limit);
  // The session is open and the spawner is there.
  bool ready() const { return ready_; }
  // It has tried and was not connected; not since. False while it tries for the first time.
  bool is_away() const { return is_away_; }
  WorkerStats stats() const;

  void grant(SessionId session, std::vector<kernel::WorkOrder> orders) override;
  void cancel(SessionId session, const Of<kernel::RunKey>& run, std::string reason) override;
  void over(SessionId session) override;

 private:
  // What the worker knows of one run.
  //
  //   Preparing its environment is being built, or its start is being made durable; not started
  //   Unsent    waits for a connection; not started
  //   Sent      in the spawner's hands, as far as known
  //   InHouse   an HTTP request of this process
  //   Reported  its completion is with the source; acknowledged when that is durable
  struct Run {
    enum class State : uint8_t { Preparing, Unsent, Sent, InHouse, Reported };
    TenantId tenant;
    State state = State::Sent;
    bool canceled = false;
    std::unique_ptr<kernel::WorkOrder> order = {};  // of Preparing and Unsent
    // How its output is to be read.
    OutputFormat output_format = OutputFormat::Text;
    std::vector<std::string> secrets = {};
  };
  using Completions = std::vector<kernel::Completion>;

  // The connection to the spawner (worker_thread.cpp).
  void run();
  Result<void> connect_and_talk();
  Result<void> talk(Fd connection);
  Result<Hello> read_hello();
  bool receive();
  Result<std::optional<Frame>> next_frame();
  bool handle_frames();
  void pause(int64_t ms);
  void wait_for_mail(int64_t ms);
  void hang_up();
  void say_goodbye();
  void meet_again(const Hello& hello);
  Completions sort_out(const Hello& hello);
  void give_up_lost_runs();
  bool flush();

  // The session with the source (worker_session.cpp).
  Result<void> open_session(const Hello& hello);
  bool keep_session();
  bool may_go_on();
  int64_t next_renewal_ms() const;
  void end_session();
  void close_session();
  void kill_runs();
  // Tells the spawner until when its runs may go on without another word.
  void lease_runs();

  // Runs (worker.cpp). Mail comes at any time: what has to be said of a run needs the session.
  void read_mail();
  void on(Opened& note);
  void on(Renewed& note);
  void on(Over& note);
  void on(Granted& note);
  void on(Canceled& note);
  void on(Prepared& note);
  void on(Went& note);
  void on(Ended& note);
  void on(Acknowledged& note);
  void accept(kernel::WorkOrder order);
  void prepared(Prepared& note, Run& run);
  // Does `step` for a run; when it throws, the run ends with what it threw.
  void attend(TenantId tenant, const kernel::RunKey& key, const std::function<void()>& step);
  void launch(const kernel::RunKey& key, Run& run);
  void on_exited(kernel::Completion completion);
  void on_chunk(Chunk chunk);
  void read_output(kernel::Completion& completion, const Run& run) const;
  void read_result(kernel::Completion& completion, const Run& run) const;
  Result<void> take_blob(const kernel::StreamOutput& told, std::string& text) const;
  void report(kernel::Completion completion);

  kernel::WorkSource& source_;
  WorkerConfig config_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::atomic<bool> ready_ = false;
  std::atomic<bool> is_away_ = false;
  std::atomic<bool> stopping_ = false;
  struct Counters {
    std::atomic<int64_t> running = 0, launched = 0, finished = 0, wake_ups = 0, reconnects = 0;
    std::atomic<int64_t> reported = 0;  // runs in state Reported
  } counters_;

  // The thread's own.
  std::optional<Result<void>> opened_;  // how `open` was answered; none yet
  std::optional<kernel::Session> session_;
  bool session_over_ = false;  // the source knows it no more
  int64_t renewed_ms_ = 0;     // monotonic: when the last renewal that was answered was asked for
  int64_t asked_ms_ = 0;
  Fd connection_;
  FrameBuffer in_;
  std::string out_;
  bool greeted_ = false;          // frames may be sent: the Hello was sorted out
  std::optional<Hello> spawner_;  // the one that it last talked to
  int64_t down_since_ms_ = 0;     // monotonic; 0: connected
  std::map<kernel::RunKey, Run> runs_;

  std::unique_ptr<HttpRuns> http_;
  async::Wakeup thread_ended_;
  std::thread thread_;
};

}  // namespace millrace::worker
