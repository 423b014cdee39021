// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "store/checkpointer.h"
#include "store/writer.h"

namespace millrace::store {

// The one writer of a store's owner: takes all steps that gathered while the last commit was
// syncing and commits them once (group commit). What it writes and how it fails is Writer's; this
// keeps the thread, the queue, the clock and the checkpoints.
//
// One thread writes at a time: that of `submit_here` when nobody does, which spares two changes of
// threads for each commit, else its own. A second one moves the log into the main file. `deliver`
// runs on the thread that has written, after each batch is durable (or has failed), with the steps
// in the order of submission; it must be quick. When nothing may be written any more, `fatal` is
// called, once, and should end the process.
class Committer {
 public:
  struct Options {
    kernel::ShardSet shards = kernel::ShardSet::all();
    int64_t owner_epoch = 0;  // of claim_shards for these
    size_t max_batch = 1024;
    int64_t full_retry_ms = 1000;
    bool tells = false;      // Writer::Options
    bool shared = false;     // the same
    size_t recent_keys = 0;  // of Writer
    // The log is moved beside the commits whenever this much is new in it. From `restart_bytes` on
    // again and again, until what is left is so little that one commit can wait for it: then the
    // log begins anew, ...
    int64_t checkpoint_bytes = 16 << 20;
    int64_t restart_bytes = 32 << 20;
    int64_t little_bytes = 512 << 10;
    // ... and here whatever is left.
    int64_t max_log_bytes = 64 << 20;
  };
  struct Callbacks {
    std::function<void(std::vector<Written>)> deliver;
    std::function<void(const Error&)> fatal;  // on any of the threads
    std::function<int64_t()> now_ms;
    std::function<void()> assist = {};     // may be empty: what `ask_help` asks for
    std::function<void()> recovered = {};  // may be empty: there is space again after a full disk
  };
  struct Stats {
    const std::atomic<int64_t>& commits;
    const std::atomic<int64_t>& steps;
    const std::atomic<int64_t>& batch_failures;
    const std::atomic<int64_t>& commit_ns;  // time spent writing, summed
  };

  static Result<std::unique_ptr<Committer>> start(sql::Store& store, Options options,
                                                  Callbacks callbacks);
  // Commits what was submitted, then ends the threads.
  ~Committer();
  // The same, but what it has counted can still be read.
  void close();

  // From any thread.
  void submit(std::vector<std::unique_ptr<Step>> steps);
  // The same, and returns when they are written, unless another thread writes: then that one, or
  // the committer's own, takes them next.
  void submit_here(std::vector<std::unique_ptr<Step>> steps);
  // Calls `assist` on the committer's thread, also while another one writes.
  void ask_help();
  // What is submitted from now on is written for these. While nothing is pending.
  void own(kernel::ShardSet shards, int64_t epoch);
  // True while steps are being written or wait for it.
  bool busy() const { return pending() > 0; }
  int64_t pending() const { return pending_.load(std::memory_order_acquire); }
  // True while the disk is full: intake answers 503 without trying.
  bool read_only() const { return writer_->read_only(); }
  const Stats& stats() const { return stats_; }

 private:
  using Steps = std::vector<std::unique_ptr<Step>>;

  Committer(sql::Store& store, std::unique_ptr<Writer> writer, Options options,
            Callbacks callbacks);
  void run();
  bool take_batch(Steps& batch);
  bool has_chores() const;
  void written();
  void commit(Steps batch);
  void bound_log();
  void give_back();
  void die(const Error& error);

  sql::Store& store_;
  std::unique_ptr<Writer> writer_;
  Options options_;
  Callbacks callbacks_;
  std::atomic<int64_t> commit_ns_{0};
  Stats stats_;
  std::atomic<bool> dead_{false};
  Checkpointer checkpointer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Steps queue_;
  std::optional<std::pair<kernel::ShardSet, int64_t>> next_owned_;
  std::atomic<int64_t> pending_{0};
  bool stopping_ = false;
  bool writing_ = false;  // a thread has the writer, and what follows
  bool help_asked_ = false;
  // All below are of who writes. The size of the log when it was last moved here, ...
  int64_t moved_here_at_ = 0;
  // ... and whether deleted rows may have left free space, and some was given back.
  bool has_space_to_give_ = true;
  bool has_given_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
