// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_set>
#include <vector>

#include "kernel/changes.h"
#include "store/checkpointer.h"
#include "store/sql.h"

namespace millrace::store {

// One decided message on its way to the store. Whoever submits derives from it to keep what it
// needs when the outcome comes back.
class Step {
 public:
  virtual ~Step() = default;
  kernel::Changes changes;
  // Steps of one key were decided one after the other: when one is not written, the later ones of
  // its batch come back Stale. 0: of no key.
  int64_t key = 0;
};

enum class WriteEnd : uint8_t {
  Committed,    // durable
  Duplicate,    // one of its dedupe keys was taken; nothing of it was written
  Stale,        // decided on rows that have changed since: decide again
  Refused,      // writing it fails for a reason of its own: quarantine it
  Unavailable,  // the store could not take the batch; nothing of it was written
};

struct Written {
  std::unique_ptr<Step> step;
  WriteEnd end = WriteEnd::Committed;
  std::string reason;  // of Stale, Refused and Unavailable
  bool disk_full = false;
};

// The one writer of a store. Takes all steps that gathered while the last commit was syncing and
// commits them once (group commit). No savepoints: when a write fails, the batch is rolled back
// and its halves are tried until the culprit stands alone and comes back as Stale or Refused.
//
// Owns a thread, and a second one that moves the log into the main file. `deliver` runs on the
// first after each batch is durable (or has failed), with the steps in the order of submission;
// it must be quick.
//
// A full disk makes it read-only: steps come back Unavailable at once, and a small write of its
// own every `full_retry_ms` finds out whether there is space again. After an I/O error, a damaged
// file or the loss of the shards nothing may be written any more: `fatal` is called, once, and
// should end the process; every later step comes back Unavailable.
class Committer {
 public:
  struct Options {
    int64_t owner_epoch = 0;  // of claim_shards
    size_t max_batch = 1024;
    int64_t full_retry_ms = 1000;
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
    std::atomic<int64_t> commits{0};
    std::atomic<int64_t> steps{0};
    std::atomic<int64_t> batch_failures{0};
    std::atomic<int64_t> commit_ns{0};  // time inside BEGIN..COMMIT, summed
  };

  static Result<std::unique_ptr<Committer>> start(sql::Store& store, Options options,
                                                  Callbacks callbacks);
  // Commits what was submitted, then ends the threads.
  ~Committer();

  // From any thread.
  void submit(std::vector<std::unique_ptr<Step>> steps);
  // True while steps are being written or wait for it.
  bool busy() const { return pending() > 0; }
  int64_t pending() const { return pending_.load(std::memory_order_acquire); }
  // True while the disk is full: intake answers 503 without trying.
  bool read_only() const { return full_.load(std::memory_order_relaxed); }
  const Stats& stats() const { return stats_; }

 private:
  using Steps = std::vector<std::unique_ptr<Step>>;
  using Keys = std::unordered_set<int64_t>;

  Committer(sql::Store& store, std::unique_ptr<sql::Connection> db, Options options,
            Callbacks callbacks, int64_t next_seq);
  void run();
  bool take_batch(Steps& batch);
  void commit(Steps batch);
  // Adds one outcome per step to `out`. `turned_away`: keys whose later steps are Stale.
  void write(std::span<std::unique_ptr<Step>> steps, Keys& turned_away, std::vector<Written>& out);
  Result<void> try_batch(std::span<std::unique_ptr<Step>> steps, Keys& turned_away,
                         std::vector<Written>& out);
  Result<void> pass_gate(std::span<std::unique_ptr<Step>> steps, Keys& turned_away,
                         std::vector<WriteEnd>& ends);
  Result<void> check_owner();
  Result<void> execute(std::string_view literal);
  void roll_back();
  void note_failure(const Error& error);
  void probe_disk();
  void bound_log();
  void die(const Error& error);

  sql::Store& store_;
  std::unique_ptr<sql::Connection> db_;
  Options options_;
  Callbacks callbacks_;
  Stats stats_;
  int64_t next_seq_;
  int64_t next_probe_ns_ = 0;  // while the disk is full; of the committer's thread
  std::atomic<bool> full_{false};
  std::atomic<bool> dead_{false};
  Checkpointer checkpointer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Steps queue_;
  std::atomic<int64_t> pending_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
