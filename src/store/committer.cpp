// SPDX-License-Identifier: Apache-2.0
#include "store/committer.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "store/repository.h"
#include "store/write.h"

namespace millrace::store {
namespace {

int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<int64_t> read_next_seq(sql::Connection& db) {
  TRY(auto* select, db.prepare("SELECT coalesce(max(seq), 0) + 1 FROM change_feed"));
  TRY(bool row, select->step());
  int64_t next = row ? select->column_int(0) : 1;
  select->reset();
  return next;
}

}  // namespace

Result<std::unique_ptr<Committer>> Committer::start(sql::Store& store, Options options,
                                                    Callbacks callbacks) {
  TRY(auto db, store.open_writer());
  TRY(int64_t next_seq, read_next_seq(*db));
  auto committer = std::unique_ptr<Committer>(
      new Committer(std::move(db), options, std::move(callbacks), next_seq));
  committer->thread_ = std::thread([raw = committer.get()] { raw->run(); });
  return committer;
}

Committer::Committer(std::unique_ptr<sql::Connection> db, Options options, Callbacks callbacks,
                     int64_t next_seq)
    : db_(std::move(db)),
      options_(options),
      callbacks_(std::move(callbacks)),
      next_seq_(next_seq) {}

Committer::~Committer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Committer::submit(std::vector<std::unique_ptr<Step>> steps) {
  if (steps.empty()) return;
  bool was_idle;
  {
    std::lock_guard lock(mutex_);
    was_idle = queue_.empty();
    pending_.fetch_add(static_cast<int64_t>(steps.size()), std::memory_order_release);
    if (was_idle) {
      queue_ = std::move(steps);
    } else {
      std::move(steps.begin(), steps.end(), std::back_inserter(queue_));
    }
  }
  if (was_idle) wake_.notify_one();
}

void Committer::run() {
  for (;;) {
    std::vector<std::unique_ptr<Step>> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      if (queue_.size() <= options_.max_batch) {
        batch.swap(queue_);
      } else {
        auto cut = queue_.begin() + static_cast<ptrdiff_t>(options_.max_batch);
        std::move(queue_.begin(), cut, std::back_inserter(batch));
        queue_.erase(queue_.begin(), cut);
      }
    }
    commit_batch(std::move(batch));
  }
}

void Committer::commit_batch(std::vector<std::unique_ptr<Step>> steps) {
  auto count = static_cast<int64_t>(steps.size());
  std::vector<Written> out;
  out.reserve(steps.size());
  int64_t now = callbacks_.now_ms();
  if (full_ && now - full_tried_at_ < options_.full_retry_ms) {
    fail_all(steps, Error(ErrorKind::Unavailable, sql::kFull, "the disk is full"), out);
  } else if (auto done = try_batch(steps, out); !done.ok()) {
    stats_.batch_failures.fetch_add(1, std::memory_order_relaxed);
    const Error& error = done.error();
    if (error.code() == sql::kSyncFailed) callbacks_.fatal(error);
    bool own_fault = error.code() != sql::kFull && error.code() != sql::kBusy;
    if (own_fault && steps.size() > 1) {
      // Somebody's rows are at fault: find out whose.
      for (auto& step : steps) {
        std::vector<std::unique_ptr<Step>> single;
        single.push_back(std::move(step));
        if (auto alone = try_batch(single, out); !alone.ok()) {
          if (alone.error().code() == sql::kSyncFailed) callbacks_.fatal(alone.error());
          fail_all(single, alone.error(), out);
        }
      }
    } else {
      fail_all(steps, error, out);
    }
  }
  // Before the deliveries, so that whoever they wake finds the committer idle.
  pending_.fetch_sub(count, std::memory_order_release);
  callbacks_.deliver(std::move(out));
}

Result<void> Committer::execute_literal(std::string_view text) {
  TRY(auto* statement, db_->prepare(text));
  TRY(statement->execute());
  return {};
}

Result<void> Committer::check_owner() {
  // All shards of a SQLite store are claimed together: one row tells for all.
  TRY(auto* select, db_->prepare("SELECT epoch FROM shard WHERE shard = 0"));
  TRY(bool row, select->step());
  int64_t epoch = row ? select->column_int(0) : 0;
  select->reset();
  if (epoch == options_.owner_epoch) return {};
  return Error(ErrorKind::Unavailable, sql::kSyncFailed,
               "another server has claimed the shards of this store");
}

void Committer::roll_back() {
  // After SQLITE_FULL or IOERR the engine has rolled back the whole transaction by itself.
  if (db_->in_transaction()) (void)execute_literal("ROLLBACK");
}

// The dedupe keys come first: whoever loses one leaves the batch before anything else of it is
// written, so that a duplicate costs no rollback.
Result<void> Committer::pass_gate(std::vector<std::unique_ptr<Step>>& steps,
                                  std::vector<WriteEnd>& ends) {
  int64_t now = callbacks_.now_ms();
  std::unordered_set<int64_t> turned_away;  // keys whose later steps saw rows that are not there
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = *steps[i];
    if (step.key != 0 && turned_away.contains(step.key)) {
      ends[i] = WriteEnd::Stale;
      continue;
    }
    const auto& keys = step.changes.dedupe;
    for (size_t k = 0; k < keys.size(); ++k) {
      TRY(bool claimed, claim_key(*db_, keys[k], now));
      if (claimed) continue;
      for (size_t taken = 0; taken < k; ++taken) TRY(release_key(*db_, keys[taken]));
      ends[i] = WriteEnd::Duplicate;
      if (step.key != 0) turned_away.insert(step.key);
      break;
    }
  }
  return {};
}

Result<void> Committer::try_batch(std::vector<std::unique_ptr<Step>>& steps,
                                  std::vector<Written>& out) {
  int64_t begun = monotonic_ns();
  int64_t seq = next_seq_;
  std::vector<WriteEnd> ends(steps.size(), WriteEnd::Committed);
  auto attempt = [&]() -> Result<void> {
    TRY(execute_literal("BEGIN IMMEDIATE"));
    TRY(check_owner());
    TRY(pass_gate(steps, ends));
    std::vector<const kernel::Changes*> changes;
    changes.reserve(steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      if (ends[i] == WriteEnd::Committed) changes.push_back(&steps[i]->changes);
    }
    TRY(write_changes(*db_, changes, seq));
    return execute_literal("COMMIT");
  };
  if (auto done = attempt(); !done.ok()) {
    roll_back();
    return done;
  }
  full_ = false;
  next_seq_ = seq;
  stats_.commits.fetch_add(1, std::memory_order_relaxed);
  stats_.steps.fetch_add(static_cast<int64_t>(steps.size()), std::memory_order_relaxed);
  stats_.commit_ns.fetch_add(monotonic_ns() - begun, std::memory_order_relaxed);
  for (size_t i = 0; i < steps.size(); ++i) {
    out.push_back({.step = std::move(steps[i]), .end = ends[i], .reason = {}});
  }
  return {};
}

void Committer::fail_all(std::vector<std::unique_ptr<Step>>& steps, const Error& error,
                         std::vector<Written>& out) {
  bool full = error.code() == sql::kFull;
  if (full) {
    full_ = true;
    full_tried_at_ = callbacks_.now_ms();
  }
  WriteEnd end = full || error.code() == sql::kBusy ? WriteEnd::Unavailable
                 : error.code() == sql::kStale      ? WriteEnd::Stale
                                                    : WriteEnd::Refused;
  for (auto& step : steps) {
    if (!step) continue;  // already answered
    out.push_back(
        {.step = std::move(step), .end = end, .reason = error.message(), .disk_full = full});
  }
}

}  // namespace millrace::store
