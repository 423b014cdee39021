// SPDX-License-Identifier: Apache-2.0
#include "store/writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/mutants.h"
#include "store/gate.h"
#include "store/row_reader.h"
#include "store/write.h"

namespace millrace::store {
// Nothing may be written after these.
bool Writer::is_fatal(const Error& error) const {
  return error.code() == sql::kSyncFailed || error.code() == sql::kDamaged ||
         (error.code() == sql::kOwned && !options_.shared);
}

// The fault of the store, whatever the rows are. The texts of statements are the same for all rows:
// a table that is not there, or a right that was taken, is nobody's.
bool Writer::is_of_the_store(const Error& error) const {
  return is_fatal(error) || error.code() == sql::kOwned || error.code() == sql::kFull ||
         error.code() == sql::kBusy || error.code() == sql::kAway ||
         error.code() == sql::kStatement;
}

constexpr std::string_view kHighestEpoch = "SELECT coalesce(max(epoch), 0) FROM shard";

// Of what touches none of the steps' rows: its errors are nobody's fault, whatever the engine calls
// them.
template <typename T>
Result<T> Writer::beside_the_rows(Result<T> result) const {
  if (result.ok() || is_of_the_store(result.error())) return result;
  return Error(ErrorKind::Unavailable, sql::kBusy, result.error().message());
}

Result<std::unique_ptr<Writer>> Writer::open(sql::Store& store, Options options) {
  TRY(auto db, store.open_writer());
  auto writer = std::unique_ptr<Writer>(new Writer(std::move(db), options));
  TRY(writer->recent_.load(*writer->db_));
  return writer;
}

std::vector<Written> Writer::write(std::span<std::unique_ptr<Step>> steps, Now now) {
  std::vector<Written> out;
  out.reserve(steps.size());
  // By the clock, not when it is quiet: steps that are turned away may come all the time.
  if (full_ && now.monotonic_ms >= next_try_ms_) probe_disk(now);
  Keys turned_away;
  if (!steps.empty()) write(steps, now, turned_away, out);
  return out;
}

void Writer::write(Steps steps, Now now, Keys& turned_away, std::vector<Written>& out) {
  auto answer_all = [&](WriteEnd end, const std::string& reason, bool elsewhere = false) {
    bool full = end == WriteEnd::Unavailable && full_;
    for (auto& step : steps) out.push_back({std::move(step), end, reason, full, elsewhere});
  };
  if (stopped_) return answer_all(WriteEnd::Unavailable, "the store has failed");
  if (full_) return answer_all(WriteEnd::Unavailable, "the disk is full");
  auto done = try_batch(steps, now, turned_away, out);
  if (done.ok()) return;
  note_failure(done.error(), now);
  if (is_of_the_store(done.error())) {
    answer_all(WriteEnd::Unavailable, done.error().message(), done.error().code() == sql::kOwned);
  } else if (steps.size() > 1) {
    // Somebody's rows are at fault: find out whose.
    write(steps.first(steps.size() / 2), now, turned_away, out);
    write(steps.subspan(steps.size() / 2), now, turned_away, out);
  } else {
    if (steps[0]->key != 0) turned_away.insert(steps[0]->key);
    bool stale = done.error().code() == sql::kStale;
    answer_all(stale ? WriteEnd::Stale : WriteEnd::Refused, done.error().message());
  }
}

Result<void> Writer::try_batch(Steps steps, Now now, Keys& turned_away, std::vector<Written>& out) {
  Keys turned_away_now = turned_away;
  std::vector<WriteEnd> ends;
  auto attempt = [&]() -> Result<void> {
    TRY(begin());
    auto has_feed = [](const auto& step) { return !step->changes.feed.empty(); };
    if (std::ranges::any_of(steps, has_feed)) TRY(beside_the_rows(lock_numbering(*db_)));
    TRY(ends, pass_gate(*db_, recent_, steps, now.unix_ms, turned_away_now));
    TRY(beside_the_rows(check_owner()));
    std::vector<kernel::Changes*> changes;
    changes.reserve(steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      if (ends[i] == WriteEnd::Committed) changes.push_back(&steps[i]->changes);
    }
    TRY(recent_.write(*db_));
    TRY(write_changes(*db_, changes));
    if (options_.tells) tell(changes);
    return commit();
  };
  // An exception is the fault of somebody's rows, as an error is.
  auto guarded = [&]() -> Result<void> {
    try {
      return attempt();
    } catch (const std::exception& e) {
      return Error(ErrorKind::Internal, "STO-0011", fmt::format("an exception: {}", e.what()));
    }
  };
  if (auto done = guarded(); !done.ok()) {
    roll_back();
    return done;
  }
  recent_.committed();
  turned_away = std::move(turned_away_now);
  stats_.commits.fetch_add(1, std::memory_order_relaxed);
  stats_.steps.fetch_add(static_cast<int64_t>(steps.size()), std::memory_order_relaxed);
  for (size_t i = 0; i < steps.size(); ++i) out.push_back({std::move(steps[i]), ends[i], {}});
  return {};
}

void Writer::own(kernel::ShardSet shards, int64_t epoch) {
  options_.shards = shards;
  options_.owner_epoch = epoch;
  checked_epoch_ = 0;
}

bool Writer::give_back(Now now) {
  constexpr int64_t kPages = 256;  // a few milliseconds
  if (full_ || stopped_ || fatal_) return false;
  auto more = db_->give_back(kPages);
  // A disk that is full for this is not yet full for what people ask.
  if (!more.ok() && is_fatal(more.error())) note_failure(more.error(), now);
  return more.ok() && *more;
}

Result<void> Writer::begin() {
  auto begin = [&]() -> Result<void> {
    TRY(execute("BEGIN IMMEDIATE"));
    return ahead_of_one(*db_, kHighestEpoch);
  };
  return beside_the_rows(begin());
}

Result<void> Writer::commit() {
  auto [rows, commit] = db_->commit();
  TRY(std::move(rows));
  auto done = beside_the_rows(std::move(commit));
  return mutant(Mutant::FailedCommitSucceeds) ? Result<void>() : std::move(done);
}

void Writer::tell(std::span<kernel::Changes* const> changes) {
  int64_t last_change = 0;
  kernel::ShardSet others;
  for (const auto* each : changes) {
    if (!each->feed.empty()) last_change = each->feed.back().seq;
    for (const auto& message : each->messages) {
      if (!options_.shards.has(message.shard)) others.add(message.shard);
    }
  }
  if (last_change > 0) db_->notify({kFeedTopic, std::to_string(last_change)});
  if (!others.empty()) db_->notify({kShardsTopic, std::to_string(others.bits())});
}

Result<void> Writer::check_owner() {
  if (mutant(Mutant::ShardsNotChecked)) return {};
  // Every claim gets a higher epoch than all before: while the highest is the one that was looked
  // at last, nobody has claimed a shard since.
  TRY(int64_t highest, query_int(*db_, kHighestEpoch));
  if (highest == checked_epoch_) return {};
  TRY(int64_t ours, query_int(*db_,
                              "SELECT count(*) FROM shard WHERE epoch = $1 AND "
                              "($2 >> shard) & 1 = 1",
                              options_.owner_epoch, options_.shards.bits()));
  if (ours != options_.shards.size()) {
    return Error(ErrorKind::Unavailable, sql::kOwned,
                 "another server has claimed the shards of this store");
  }
  checked_epoch_ = highest;
  return {};
}

Result<void> Writer::execute(std::string_view literal) {
  TRY(auto* statement, db_->prepare(literal));
  TRY(statement->execute());
  return {};
}

void Writer::roll_back() {
  recent_.rolled_back();
  // After SQLITE_FULL or IOERR the engine has rolled back the whole transaction by itself.
  if (db_->in_transaction()) {
    (void)execute(mutant(Mutant::RollbackCommits) ? "COMMIT" : "ROLLBACK");
  }
}

void Writer::note_failure(const Error& error, Now now) {
  stats_.batch_failures.fetch_add(1, std::memory_order_relaxed);
  // Of a store that is away the adapter tells, of what is fatal whoever ends the process.
  bool is_told =
      is_fatal(error) || error.code() == sql::kAway || (full_ && error.code() == sql::kFull);
  if (is_of_the_store(error) && !is_told)
    log_warn("store.not_written", {{"error", error.message()}});
  if (error.code() == sql::kFull) {
    next_try_ms_ = now.monotonic_ms + options_.full_retry_ms;
    full_ = true;
  }
  if (!is_fatal(error)) return;
  if (!fatal_) fatal_ = error;
  stop();
}

// A write that needs a page of the log; its value means nothing.
void Writer::probe_disk(Now now) {
  next_try_ms_ = now.monotonic_ms + options_.full_retry_ms;
  auto attempt = [&]() -> Result<void> {
    TRY(auto* write, db_->prepare("INSERT INTO meta (name, value) VALUES ('probe', $1) "
                                  "ON CONFLICT (name) DO UPDATE SET value = $1"));
    TRY(begin());
    TRY(check_owner());
    TRY(write->execute(std::to_string(now.unix_ms)));
    return commit();
  };
  auto done = attempt();
  if (done.ok()) {
    full_ = false;
    return;
  }
  roll_back();
  if (is_fatal(done.error())) note_failure(done.error(), now);
}

}  // namespace millrace::store
