// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/machine/context.h"
#include "kernel/timer_wheel.h"
#include "store/committer.h"
#include "store/read.h"

namespace millrace::engine {

// Takes the side effects of a commit to the workers. Implemented by the engine; thread-safe.
class WorkOutlet {
 public:
  virtual ~WorkOutlet() = default;
  virtual void grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) = 0;
  virtual void cancel(WorkerId worker, const kernel::RunKey& key) = 0;
};

// Owns all shards of one store: gathers messages, loads what they need, decides them one after
// the other on its own thread, and hands the changes to the committer. While a commit is syncing
// messages gather; the next batch takes them all.
//
// A key (a root execution, a rule) has at most one batch in flight: a message for a key that is
// being committed waits for that commit, so that it never decides on rows about to change.
class Executor {
 public:
  struct Options {
    size_t max_waiting = 8192;  // messages from outside; more are answered Busy
    size_t max_batch = 512;
    int64_t retry_ms = 1000;  // an insisting message tries again after this
    int64_t sweep_ms = 60'000;
    uint16_t node = 0;  // of the ids
  };
  struct Callbacks {
    std::function<int64_t()> now_ms;
    std::function<void(const Error&)> fatal;
    std::function<std::unique_ptr<Transition>(kernel::Of<TimerId>)> fire_timer;
    std::function<std::unique_ptr<Transition>()> dispatch;
    std::function<std::unique_ptr<Transition>()> sweep;
    std::function<std::unique_ptr<Transition>(const kernel::MessageRow&)> message;
    std::function<std::unique_ptr<Transition>(Transition& refused, const std::string& reason)>
        quarantine;
    // An execution is durably final, on the committer's thread.
    std::function<void(const kernel::ExecutionRow&)> ended;
    // Somebody waits for the end of one.
    std::function<void(int64_t, ExecutionId, Reply<kernel::ExecutionRow>)> watch;
    // After each commit, on the committer's thread: the change feed may have grown.
    std::function<void()> committed;
    std::function<void(std::shared_ptr<const Catalog>)> catalog_changed;
    OpenKey open_key;  // on the executor's thread; may be empty
    std::function<void(std::string_view name, int64_t queue_ns)> decided;  // for metrics
  };

  static Result<std::unique_ptr<Executor>> start(sql::Store& store, int64_t owner_epoch,
                                                 std::shared_ptr<const Catalog> catalog,
                                                 WorkOutlet& outlet, Options options,
                                                 Callbacks callbacks);
  ~Executor();

  // From any thread. An outside message over the bound is refused with Busy, and while the disk
  // is full with Unavailable; `fail` is then called before this returns.
  void submit(std::unique_ptr<Transition> message);
  // Never refused: completions, timers and what the kernel sends to itself.
  void submit_internal(std::unique_ptr<Transition> message);
  void submit_internal(std::vector<std::unique_ptr<Transition>> messages);

  // Returns when the inside is quiet: nothing waits, nothing is being committed. Whoever calls has
  // closed the entrances before. Timers stay in the store.
  void drain();

  int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  bool read_only() const { return committer_->read_only(); }
  const store::Committer::Stats& commit_stats() const { return committer_->stats(); }

 private:
  struct Outcome;
  class MemoryView;
  friend class MemoryView;

  Executor(std::unique_ptr<sql::Connection> reader, std::shared_ptr<const Catalog> catalog,
           WorkOutlet& outlet, Options options, Callbacks callbacks, int64_t last_id);
  void run();
  bool wait_for_work(std::vector<std::unique_ptr<Transition>>& batch,
                     std::vector<store::Written>& written);
  void enqueue(std::vector<std::unique_ptr<Transition>> messages);
  void handle_written(std::vector<store::Written> written);
  void release_keys(Transition& t);
  void undo(Transition& t);
  void decide_batch(std::vector<std::unique_ptr<Transition>> batch);
  bool defer_if_in_flight(std::unique_ptr<Transition>& t);
  bool defer_if_tree_in_flight(std::unique_ptr<Transition>& t, const Loaded& rows);
  void decide_again(std::unique_ptr<Transition> t, Context& context);
  void add_workflow_changes(Transition& t);
  void forget_workflows(Transition& t);
  void leave_one_per_exclusive_key(std::vector<std::unique_ptr<Transition>>& batch);
  void mark_in_flight(const Transition& t);
  void retry_later(std::unique_ptr<Transition> t);
  void settle(Transition& t);
  void fire_due_timers();
  bool work_waits_for_free_slots() const;
  void refill_wheel();
  Wanted wanted_by(const std::vector<std::unique_ptr<Transition>>& batch) const;
  void on_commit(std::vector<store::Written> written);  // committer's thread
  void report_if_final(const kernel::ExecutionRow& row);

  std::unique_ptr<sql::Connection> reader_;
  std::shared_ptr<const Catalog> catalog_;
  WorkOutlet& outlet_;
  Options options_;
  Callbacks callbacks_;

  // The executor's thread only.
  IdSource ids_;
  Slots slots_;
  expr::Engine expressions_;
  LiveWorkflows workflows_;
  kernel::TimerWheel wheel_;
  std::unordered_set<ExecutionId> granting_;
  std::unordered_map<TenantId, int64_t> queued_;
  std::unordered_map<int64_t, std::vector<std::unique_ptr<Transition>>> in_flight_;
  std::vector<std::unique_ptr<Transition>> ready_again_;
  std::vector<std::pair<int64_t, std::unique_ptr<Transition>>> retries_;  // (not before, message)
  int64_t undelivered_ = 0;  // steps handed to the committer and not yet back
  size_t tenant_turn_ = 0;
  int64_t next_sweep_ = 0;  // at once after the start

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable quiet_;
  std::vector<std::unique_ptr<Transition>> inbox_;
  std::vector<store::Written> written_;
  bool sleeping_ = false;
  bool idle_ = false;
  bool stopping_ = false;
  std::atomic<int64_t> waiting_{0};

  std::unique_ptr<store::Committer> committer_;
  std::thread thread_;
};

}  // namespace millrace::engine
