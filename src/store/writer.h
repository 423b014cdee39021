// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "kernel/changes.h"
#include "kernel/shards.h"
#include "store/recent_keys.h"
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
  // Of a Duplicate: keys that were taken, as they are stored, where nobody can look them up.
  std::vector<kernel::DedupeRow> taken;
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
  bool elsewhere = false;  // Unavailable because another owner has claimed a shard of the writer
};

// Topics of hints. `feed`: the number of the last change; `shards`: the shards of other owners for
// which a message was written, as ShardSet::bits() in decimal.
inline constexpr std::string_view kFeedTopic = "feed";
inline constexpr std::string_view kShardsTopic = "shards";

// What a writer is told of time.
struct Now {
  int64_t unix_ms = 0;       // for keys that expire
  int64_t monotonic_ms = 0;  // for what is tried again
};

// Writes decided steps for one owner of shards: all steps of a call in one commit. No savepoints:
// when a write fails, all of it is rolled back and its halves are tried until the culprit stands
// alone and comes back as Stale or Refused.
//
// A full disk makes it read-only: steps come back Unavailable at once, and a small write of its own
// every `full_retry_ms` finds out whether there is space again. After an I/O error, a damaged file
// or, unless servers share the store, the loss of a shard nothing is written any more.
//
// No thread, no clock, no waiting: whoever drives it (Committer, a simulation) brings steps and
// time. Several may write to one store, each for shards of its own. Not thread-safe but for what
// says so.
class Writer {
 public:
  struct Options {
    kernel::ShardSet shards = kernel::ShardSet::all();
    int64_t owner_epoch = 0;  // of claim_shards for these
    int64_t full_retry_ms = 1000;
    // Each commit tells those who listen to the store (sql::Store::listen) what is new for them.
    bool tells = false;
    size_t recent_keys = 0;  // see RecentKeys; none for an owner of some of the shards only
    // Several servers: what is written after the loss of a shard comes back Unavailable, elsewhere,
    // until the writer owns what it is told.
    bool shared = false;
  };
  struct Stats {  // read by any thread
    std::atomic<int64_t> commits{0};
    std::atomic<int64_t> steps{0};
    std::atomic<int64_t> batch_failures{0};
  };

  static Result<std::unique_ptr<Writer>> open(sql::Store& store, Options options);

  // The outcomes, in the order of the steps. No steps: looks whether a full disk has space again,
  // if it is time.
  std::vector<Written> write(std::span<std::unique_ptr<Step>> steps, Now now);

  // Gives some of the space that deleted rows have left back to the disk, in a commit of its own.
  // False: there is no more to give, or it cannot be done now.
  bool give_back(Now now);

  // From now on it writes for these.
  void own(kernel::ShardSet shards, int64_t epoch);

  // True while the disk is full. From any thread.
  bool read_only() const { return full_.load(std::memory_order_relaxed); }
  // While the disk is full: the monotonic time from which on `write` looks again.
  int64_t next_try_ms() const { return next_try_ms_; }
  // Why nothing is written any more; empty: all is well.
  const std::optional<Error>& fatal() const { return fatal_; }
  // From any thread: nothing may be written any more.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  // Size of the log of recent commits.
  int64_t log_bytes() const { return db_->log_bytes(); }
  const Stats& stats() const { return stats_; }

 private:
  using Steps = std::span<std::unique_ptr<Step>>;
  using Keys = std::unordered_set<int64_t>;

  Writer(std::unique_ptr<sql::Connection> db, Options options)
      : db_(std::move(db)), options_(options), recent_(is_only_one() ? options.recent_keys : 0) {}
  bool is_only_one() const { return options_.shards.size() == kernel::ShardSet::all().size(); }
  // Adds one outcome per step to `out`. `turned_away`: keys whose later steps are Stale.
  void write(Steps steps, Now now, Keys& turned_away, std::vector<Written>& out);
  Result<void> try_batch(Steps steps, Now now, Keys& turned_away, std::vector<Written>& out);
  Result<void> begin();
  Result<void> commit();
  void tell(std::span<kernel::Changes* const> changes);
  Result<void> check_owner();
  Result<void> execute(std::string_view literal);
  void roll_back();
  bool is_fatal(const Error& error) const;
  bool is_of_the_store(const Error& error) const;
  template <typename T>
  Result<T> beside_the_rows(Result<T> result) const;
  void note_failure(const Error& error, Now now);
  void probe_disk(Now now);

  std::unique_ptr<sql::Connection> db_;
  Options options_;
  RecentKeys recent_;
  Stats stats_;
  int64_t checked_epoch_ = 0;  // the highest of the store when the shards were last ours
  int64_t next_try_ms_ = 0;    // while the disk is full
  std::optional<Error> fatal_;
  std::atomic<bool> full_{false};
  std::atomic<bool> stopped_{false};
};

}  // namespace millrace::store
