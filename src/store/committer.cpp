// SPDX-License-Identifier: Apache-2.0
#include "store/committer.h"

#include <algorithm>
#include <chrono>

#include "store/repository.h"
#include "store/row_reader.h"
#include "store/write.h"

namespace millrace::store {
namespace {

int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Nothing may be written after these.
bool is_fatal(const Error& error) {
  return error.code() == sql::kSyncFailed || error.code() == sql::kDamaged ||
         error.code() == sql::kOwned;
}

// The fault of the store, whatever the rows are.
bool is_of_the_store(const Error& error) {
  return is_fatal(error) || error.code() == sql::kFull || error.code() == sql::kBusy;
}

}  // namespace

Result<std::unique_ptr<Committer>> Committer::start(sql::Store& store, Options options,
                                                    Callbacks callbacks) {
  TRY(auto db, store.open_writer());
  TRY(int64_t next_seq, query_int(*db, "SELECT coalesce(max(seq), 0) + 1 FROM change_feed"));
  auto committer = std::unique_ptr<Committer>(
      new Committer(store, std::move(db), options, std::move(callbacks), next_seq));
  committer->thread_ = std::thread([raw = committer.get()] { raw->run(); });
  return committer;
}

Committer::Committer(sql::Store& store, std::unique_ptr<sql::Connection> db, Options options,
                     Callbacks callbacks, int64_t next_seq)
    : store_(store),
      db_(std::move(db)),
      options_(options),
      callbacks_(std::move(callbacks)),
      next_seq_(next_seq),
      checkpointer_(store, options.checkpoint_bytes, [this](const Error& error) {
        // A full disk or a lock only puts it off.
        if (is_fatal(error)) die(error);
      }) {}

Committer::~Committer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Committer::submit(Steps steps) {
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

// The committer's thread

void Committer::run() {
  for (;;) {
    Steps batch;
    if (!take_batch(batch)) return;
    // By the clock, not when it is quiet: steps that are turned away may come all the time.
    if (full_ && monotonic_ns() >= next_probe_ns_) probe_disk();
    if (!batch.empty()) commit(std::move(batch));
  }
}

// An empty batch: it is time to look at a full disk again. False: stop.
bool Committer::take_batch(Steps& batch) {
  std::unique_lock lock(mutex_);
  auto ready = [&] { return stopping_ || !queue_.empty(); };
  if (full_) {
    wake_.wait_for(lock, std::chrono::nanoseconds(next_probe_ns_ - monotonic_ns()), ready);
  } else {
    wake_.wait(lock, ready);
  }
  if (queue_.empty()) return !stopping_;
  if (queue_.size() <= options_.max_batch) {
    batch.swap(queue_);
  } else {
    auto cut = queue_.begin() + static_cast<ptrdiff_t>(options_.max_batch);
    batch.assign(std::move_iterator(queue_.begin()), std::move_iterator(cut));
    queue_.erase(queue_.begin(), cut);
  }
  return true;
}

void Committer::commit(Steps batch) {
  auto count = static_cast<int64_t>(batch.size());
  std::vector<Written> out;
  out.reserve(batch.size());
  Keys turned_away;
  write(batch, turned_away, out);
  // Before the deliveries, so that whoever they wake finds the committer idle.
  pending_.fetch_sub(count, std::memory_order_release);
  callbacks_.deliver(std::move(out));
  bound_log();
}

void Committer::write(std::span<std::unique_ptr<Step>> steps, Keys& turned_away,
                      std::vector<Written>& out) {
  auto answer_all = [&](WriteEnd end, const std::string& reason) {
    bool full = end == WriteEnd::Unavailable && full_;
    for (auto& step : steps) out.push_back({std::move(step), end, reason, full});
  };
  if (dead_) return answer_all(WriteEnd::Unavailable, "the store has failed");
  if (full_) return answer_all(WriteEnd::Unavailable, "the disk is full");
  auto done = try_batch(steps, turned_away, out);
  if (done.ok()) return;
  note_failure(done.error());
  if (is_of_the_store(done.error())) {
    answer_all(WriteEnd::Unavailable, done.error().message());
  } else if (steps.size() > 1) {
    // Somebody's rows are at fault: find out whose.
    write(steps.first(steps.size() / 2), turned_away, out);
    write(steps.subspan(steps.size() / 2), turned_away, out);
  } else {
    if (steps[0]->key != 0) turned_away.insert(steps[0]->key);
    bool stale = done.error().code() == sql::kStale;
    answer_all(stale ? WriteEnd::Stale : WriteEnd::Refused, done.error().message());
  }
}

Result<void> Committer::try_batch(std::span<std::unique_ptr<Step>> steps, Keys& turned_away,
                                  std::vector<Written>& out) {
  int64_t begun = monotonic_ns();
  int64_t seq = next_seq_;
  Keys turned_away_now = turned_away;
  std::vector<WriteEnd> ends(steps.size(), WriteEnd::Committed);
  auto attempt = [&]() -> Result<void> {
    TRY(execute("BEGIN IMMEDIATE"));
    TRY(check_owner());
    TRY(pass_gate(steps, turned_away_now, ends));
    std::vector<const kernel::Changes*> changes;
    changes.reserve(steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      if (ends[i] == WriteEnd::Committed) changes.push_back(&steps[i]->changes);
    }
    TRY(write_changes(*db_, changes, seq));
    return execute("COMMIT");
  };
  if (auto done = attempt(); !done.ok()) {
    roll_back();
    return done;
  }
  next_seq_ = seq;
  turned_away = std::move(turned_away_now);
  stats_.commits.fetch_add(1, std::memory_order_relaxed);
  stats_.steps.fetch_add(static_cast<int64_t>(steps.size()), std::memory_order_relaxed);
  stats_.commit_ns.fetch_add(monotonic_ns() - begun, std::memory_order_relaxed);
  for (size_t i = 0; i < steps.size(); ++i) out.push_back({std::move(steps[i]), ends[i], {}});
  return {};
}

// The dedupe keys come first: whoever loses one leaves the batch before anything else of it is
// written, so that a duplicate costs no rollback.
Result<void> Committer::pass_gate(std::span<std::unique_ptr<Step>> steps, Keys& turned_away,
                                  std::vector<WriteEnd>& ends) {
  int64_t now = callbacks_.now_ms();
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = *steps[i];
    if (step.key != 0 && turned_away.contains(step.key)) {
      // It was decided on rows that are not there.
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

Result<void> Committer::check_owner() {
  // All shards of a SQLite store are claimed together: one row tells for all.
  TRY(int64_t epoch, query_int(*db_, "SELECT epoch FROM shard WHERE shard = 0"));
  if (epoch == options_.owner_epoch) return {};
  return Error(ErrorKind::Unavailable, sql::kOwned,
               "another server has claimed the shards of this store");
}

Result<void> Committer::execute(std::string_view literal) {
  TRY(auto* statement, db_->prepare(literal));
  TRY(statement->execute());
  return {};
}

void Committer::roll_back() {
  // After SQLITE_FULL or IOERR the engine has rolled back the whole transaction by itself.
  if (db_->in_transaction()) (void)execute("ROLLBACK");
}

void Committer::note_failure(const Error& error) {
  stats_.batch_failures.fetch_add(1, std::memory_order_relaxed);
  if (error.code() == sql::kFull) {
    next_probe_ns_ = monotonic_ns() + options_.full_retry_ms * 1'000'000;
    full_ = true;
  }
  if (is_fatal(error)) die(error);
}

void Committer::die(const Error& error) {
  if (!dead_.exchange(true)) callbacks_.fatal(error);
}

// A write that needs a page of the log; its value means nothing.
void Committer::probe_disk() {
  next_probe_ns_ = monotonic_ns() + options_.full_retry_ms * 1'000'000;
  auto attempt = [&]() -> Result<void> {
    TRY(auto* write, db_->prepare("INSERT INTO meta (name, value) VALUES ('probe', $1) "
                                  "ON CONFLICT (name) DO UPDATE SET value = $1"));
    TRY(execute("BEGIN IMMEDIATE"));
    TRY(check_owner());
    TRY(write->execute(std::to_string(callbacks_.now_ms())));
    return execute("COMMIT");
  };
  if (auto done = attempt(); !done.ok()) {
    roll_back();
    if (is_fatal(done.error())) die(done.error());
    return;
  }
  full_ = false;
  if (callbacks_.recovered) callbacks_.recovered();
}

void Committer::bound_log() {
  int64_t log = db_->log_bytes();
  checkpointer_.log_grew_to(log);
  if (log < options_.max_log_bytes || dead_) return;
  // The checkpointer has moved most of it: what is left lets the log begin anew.
  if (auto moved = store_.checkpoint(); !moved.ok() && is_fatal(moved.error())) die(moved.error());
}

}  // namespace millrace::store
