// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernel/changes.h"
#include "store/sql.h"

namespace millrace::store {

// One decided message on its way to the store. Whoever submits derives from it to keep what it
// needs when the outcome comes back.
class Step {
 public:
  virtual ~Step() = default;
  kernel::Changes changes;
  // Steps of one key were decided one after the other; 0: of no key.
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
  std::string reason;  // of Refused and Unavailable
  bool disk_full = false;
};

// The one writer of a store. Takes all steps that gathered while the last commit was syncing and
// commits them once (group commit). No savepoints: when a write fails, the batch is rolled back,
// its members run singly and the culprit comes back as Stale or Refused.
//
// Owns a thread. `deliver` runs on it after each batch is durable (or has failed), with the steps
// in the order of submission; it must be quick. After an I/O error of a sync nothing is known of
// the file any more: `fatal` is called and must not return.
class Committer {
 public:
  struct Options {
    int64_t owner_epoch = 0;  // of claim_shards
    size_t max_batch = 1024;
    int64_t full_retry_ms = 1000;  // how often a full disk is tried again
  };
  struct Callbacks {
    std::function<void(std::vector<Written>)> deliver;
    std::function<void(const Error&)> fatal;
    std::function<int64_t()> now_ms;
  };
  struct Stats {
    std::atomic<int64_t> commits{0};
    std::atomic<int64_t> steps{0};
    std::atomic<int64_t> batch_failures{0};
    std::atomic<int64_t> commit_ns{0};  // time inside BEGIN..COMMIT, summed
  };

  static Result<std::unique_ptr<Committer>> start(sql::Store& store, Options options,
                                                  Callbacks callbacks);
  // Commits what was submitted, then ends the thread.
  ~Committer();

  void submit(std::vector<std::unique_ptr<Step>> steps);
  // True while steps are being written or wait for it.
  bool busy() const { return pending_.load(std::memory_order_acquire) > 0; }
  // True while the disk is full: intake answers 503 without trying.
  bool read_only() const { return full_.load(std::memory_order_relaxed); }
  const Stats& stats() const { return stats_; }

 private:
  Committer(std::unique_ptr<sql::Connection> db, Options options, Callbacks callbacks,
            int64_t next_seq);
  void run();
  void commit_batch(std::vector<std::unique_ptr<Step>> steps);
  // Fills `out` with one outcome per step of `steps`.
  Result<void> try_batch(std::vector<std::unique_ptr<Step>>& steps, std::vector<Written>& out);
  Result<void> pass_gate(std::vector<std::unique_ptr<Step>>& steps, std::vector<WriteEnd>& ends);
  Result<void> check_owner();
  Result<void> execute_literal(std::string_view text);
  void roll_back();
  void fail_all(std::vector<std::unique_ptr<Step>>& steps, const Error& error,
                std::vector<Written>& out);

  std::unique_ptr<sql::Connection> db_;
  Options options_;
  Callbacks callbacks_;
  Stats stats_;
  int64_t next_seq_;
  std::atomic<bool> full_{false};
  int64_t full_tried_at_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Step>> queue_;
  std::atomic<int64_t> pending_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::store
