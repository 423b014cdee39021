// SPDX-License-Identifier: Apache-2.0
#include "app/uploads.h"

#include <chrono>

#include "async/thread.h"
#include "base/log.h"

namespace millrace::app {
namespace {

constexpr int64_t kCopyPiece = 1 << 20;
constexpr int64_t kAwayMs = 30'000;

int64_t mono_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<std::unique_ptr<Uploads>> Uploads::start(kernel::WorkSource& source, kernel::Blobs& own,
                                                kernel::Blobs& room, int64_t threads) {
  std::unique_ptr<Uploads> uploads(new Uploads(source, own, room));
  for (int64_t i = 0; i < threads; ++i) {
    TRY(auto thread, async::start_thread("upload", [self = uploads.get()] { self->work(); }));
    uploads->threads_.push_back(std::move(thread));
  }
  return uploads;
}

void Uploads::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void Uploads::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Uploads::run(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
}

std::vector<std::string> Uploads::left_by(const kernel::Completion& completion) {
  std::vector<std::string> refs;
  for (const auto* stream : {&completion.out, &completion.err}) {
    if (!stream->blob.empty()) refs.push_back(stream->blob);
  }
  auto listed = own_.each(kernel::artifacts_prefix(completion.tenant, completion.key),
                          [&](const kernel::BlobEntry& entry) { refs.push_back(entry.ref); });
  if (!listed.ok()) log_warn("blobs.not_listed", listed.error());
  return refs;
}

Result<void> Uploads::copy(const std::string& ref) {
  TRY(int64_t size, own_.size(ref));
  TRY(auto writer, room_.create(ref));
  for (int64_t at = 0; at < size;) {
    TRY(auto piece, own_.read(ref, at, kCopyPiece));
    if (piece.empty()) {
      return Error(ErrorKind::Unavailable, "BLB-0001",
                   "blob '" + ref + "' became shorter while it was read");
    }
    if (writer->append(piece) < piece.size()) return writer->fault();
    at += static_cast<int64_t>(piece.size());
  }
  return writer->commit();
}

bool Uploads::is_away() const { return mono_ms() < away_until_ms_; }

// What cannot be reached is left alone for a while: each run would wait for it.
bool Uploads::copy_all(const std::vector<std::string>& refs) {
  for (const auto& ref : refs) {
    auto copied = copy(ref);
    bool has_gone = !copied.ok() && copied.error().kind() == ErrorKind::NotFound;  // up before
    if (copied.ok() || has_gone) continue;
    away_until_ms_ = mono_ms() + kAwayMs;
    log_warn("blob.not_uploaded", copied.error());
    return false;
  }
  return true;
}

void Uploads::remove(const std::vector<std::string>& refs) {
  for (const auto& ref : refs) {
    auto removed = own_.remove(ref);
    if (!removed.ok()) log_warn("blob.not_removed", removed.error());
  }
}

Result<void> Uploads::move(const std::string& ref) {
  TRY(copy(ref));
  return own_.remove(ref);
}

void Uploads::finished(SessionId session, kernel::Completion completion,
                       std::function<void()> done) {
  auto refs = left_by(completion);
  if (refs.empty() || is_away()) {
    return source_.finished(session, std::move(completion), std::move(done));
  }
  run([this, session, completion = std::move(completion), done = std::move(done),
       refs = std::move(refs)]() mutable {
    bool is_there = copy_all(refs);
    auto durable = [this, is_there, refs = std::move(refs), done = std::move(done)]() mutable {
      done();
      if (is_there) run([this, refs = std::move(refs)] { remove(refs); });
    };
    source_.finished(session, std::move(completion), std::move(durable));
  });
}

}  // namespace millrace::app
