// SPDX-License-Identifier: Apache-2.0
#include "store/committer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "async/thread.h"

namespace millrace::store {
namespace {

int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t monotonic_ms() { return monotonic_ns() / 1'000'000; }

// A full disk or a lock only puts a checkpoint off.
bool is_fatal(const Error& error) {
  return error.code() == sql::kSyncFailed || error.code() == sql::kDamaged;
}

}  // namespace

Result<std::unique_ptr<Committer>> Committer::start(sql::Store& store, Options options,
                                                    Callbacks callbacks) {
  TRY(auto writer, Writer::open(store, {.shards = options.shards,
                                        .owner_epoch = options.owner_epoch,
                                        .full_retry_ms = options.full_retry_ms,
                                        .tells = options.tells,
                                        .recent_keys = options.recent_keys,
                                        .shared = options.shared}));
  auto committer = std::unique_ptr<Committer>(
      new Committer(store, std::move(writer), options, std::move(callbacks)));
  TRY(committer->checkpointer_.start());
  TRY(committer->thread_, async::start_thread("commit", [raw = committer.get()] { raw->run(); }));
  return committer;
}

Committer::Committer(sql::Store& store, std::unique_ptr<Writer> writer, Options options,
                     Callbacks callbacks)
    : store_(store),
      writer_(std::move(writer)),
      options_(options),
      callbacks_(std::move(callbacks)),
      stats_{writer_->stats().commits, writer_->stats().steps, writer_->stats().batch_failures,
             commit_ns_},
      checkpointer_(store, options.checkpoint_bytes, [this](const Error& error) {
        if (is_fatal(error)) die(error);
      }) {}

Committer::~Committer() { close(); }

void Committer::close() {
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

void Committer::submit_here(Steps steps) {
  if (steps.empty()) return;
  {
    std::unique_lock lock(mutex_);
    bool is_free = !writing_ && queue_.empty() && steps.size() <= options_.max_batch;
    if (!is_free) {
      lock.unlock();
      return submit(std::move(steps));
    }
    writing_ = true;
    pending_.fetch_add(static_cast<int64_t>(steps.size()), std::memory_order_release);
  }
  commit(std::move(steps));
  written();
}

void Committer::ask_help() {
  {
    std::lock_guard lock(mutex_);
    help_asked_ = true;
  }
  wake_.notify_one();
}

// Who has written leaves what came meanwhile, and the chores, to the committer's thread.
void Committer::written() {
  bool is_more;
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    is_more = stopping_ || !queue_.empty() || has_chores();
  }
  if (is_more) wake_.notify_one();
}

bool Committer::has_chores() const { return has_space_to_give_ || writer_->read_only(); }

void Committer::own(kernel::ShardSet shards, int64_t epoch) {
  std::lock_guard lock(mutex_);
  next_owned_ = {shards, epoch};
}

// The committer's thread

void Committer::run() {
  for (Steps batch; take_batch(batch); batch.clear()) {
    bool is_idle = batch.empty() && !writer_->read_only();
    if (is_idle) {
      give_back();
    } else {
      commit(std::move(batch));
    }
    std::lock_guard lock(mutex_);
    writing_ = false;
  }
}

// An empty batch: it is time to look at a full disk again, or there is time to give space back.
// False: stop.
bool Committer::take_batch(Steps& batch) {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto is_asked = [&] { return help_asked_ || (!writing_ && (stopping_ || !queue_.empty())); };
    if (writing_ || !has_chores()) {
      wake_.wait(lock, [&] { return is_asked() || (!writing_ && has_chores()); });
    }
    if (!writing_ && writer_->read_only()) {
      auto pause = std::chrono::milliseconds(writer_->next_try_ms() - monotonic_ms());
      wake_.wait_for(lock, pause, is_asked);
    }
    if (std::exchange(help_asked_, false)) {
      lock.unlock();
      callbacks_.assist();
      lock.lock();
      continue;
    }
    if (!writing_) break;
  }
  if (queue_.empty() && stopping_) return false;
  writing_ = true;
  if (queue_.empty()) return true;
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
  std::optional<std::pair<kernel::ShardSet, int64_t>> owned;
  {
    std::lock_guard lock(mutex_);
    owned = std::exchange(next_owned_, std::nullopt);
  }
  if (owned) writer_->own(owned->first, owned->second);
  bool was_full = writer_->read_only();
  has_space_to_give_ |=
      std::ranges::any_of(batch, [](const auto& step) { return !step->changes.expired.empty(); });
  int64_t begun = monotonic_ns();
  auto written = writer_->write(batch, {callbacks_.now_ms(), begun / 1'000'000});
  commit_ns_.fetch_add(monotonic_ns() - begun, std::memory_order_relaxed);
  if (writer_->fatal()) die(*writer_->fatal());
  if (was_full && !writer_->read_only() && callbacks_.recovered) callbacks_.recovered();
  if (batch.empty()) return;
  // Before the deliveries, so that whoever they wake finds the committer idle.
  pending_.fetch_sub(static_cast<int64_t>(batch.size()), std::memory_order_release);
  callbacks_.deliver(std::move(written));
  bound_log();
}

// While nothing is to be written, a little at a time: whoever comes waits for one small commit.
void Committer::give_back() {
  int64_t now = monotonic_ms();
  has_space_to_give_ = !dead_ && writer_->give_back({callbacks_.now_ms(), now});
  if (writer_->fatal()) return die(*writer_->fatal());
  has_given_ |= has_space_to_give_;
  if (has_space_to_give_ || !has_given_) return bound_log();
  has_given_ = false;
  checkpointer_.move_all();
}

void Committer::bound_log() {
  int64_t log = writer_->log_bytes();
  checkpointer_.log_grew_to(log);
  if (log < moved_here_at_) moved_here_at_ = 0;  // it began anew
  if (log < std::min(options_.restart_bytes, options_.max_log_bytes) || dead_) return;
  bool is_little = log - checkpointer_.moved_to() <= options_.little_bytes;
  if (!is_little && log < options_.max_log_bytes) return checkpointer_.move_all();
  // A reader may have kept the log from beginning anew: not after each commit.
  if (moved_here_at_ > 0 && log - moved_here_at_ < options_.little_bytes) return;
  moved_here_at_ = log;
  // Whoever waits for the next commit waits for this: a sync of the main file.
  if (auto moved = store_.checkpoint(); !moved.ok() && is_fatal(moved.error())) die(moved.error());
}

void Committer::die(const Error& error) {
  writer_->stop();
  if (!dead_.exchange(true)) callbacks_.fatal(error);
}

}  // namespace millrace::store
