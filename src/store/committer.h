// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "store/checkpointer.h"
#include "store/writer.h"

namespace millrace::store {

// The one writer of a store's owner, on a thread of its own: takes all steps that gathered while
// the last commit was syncing and commits them once (group commit). What it writes and how it fails
// is Writer's; this keeps the thread, the queue, the clock and the checkpoints.
//
// A second thread moves the log into the main file. `deliver` runs on the first after each batch is
// durable (or has failed), with the steps in the order of submission; it must be quick. When
// nothing may be written any more, `fatal` is called, once, and should end the process.
class Committer {
 public:
  struct Options {
    kernel::ShardSet shards = kernel::ShardSet::all();
    int64_t owner_epoch = 0;  // of claim_shards for these
    size_t max_batch = 1024;
    int64_t full_retry_ms = 1000;
    bool tells = false;  // Writer::Options
    // The log is moved beside the commits whenever this much is new in it, ...
    int64_t checkpoint_bytes = 16 << 20;
    // ... and between two commits when it has grown to this.
    int64_t max_log_bytes = 64 << 20;
  };
  struct Callbacks {
    std::function<void(std::vector<Written>)> deliver;
    std::function<void(const Error&)> fatal;  // on either thread
    std::function<int64_t()> now_ms;
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
  std::atomic<int64_t> pending_{0};
  bool stopping_ = false;
  // The committer's thread only: deleted rows may have left free space, and some was given back.
  bool has_space_to_give_ = true;
  bool has_given_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
