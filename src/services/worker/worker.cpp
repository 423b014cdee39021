// SPDX-License-Identifier: Apache-2.0
#include "services/worker/worker.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/time.h"
#include "services/worker/http_runs.h"

namespace millrace::worker {
kernel::Completion ended(TenantId tenant, const kernel::RunKey& key, kernel::RunEnd end,
                         std::string message) {
  kernel::Completion c;
  c.tenant = tenant;
  c.key = key;
  c.end = end;
  c.message = std::move(message);
  c.started_ms = c.ended_ms = unix_ms();
  return c;
}

Worker::Worker(kernel::WorkSource& source, async::Loop& loop, WorkerConfig config)
    : source_(source),
      config_(std::move(config)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      http_(std::make_unique<HttpRuns>(loop, [this](auto c) { report(std::move(c)); })) {
  ASSERT_MSG(wake_, "out of file descriptors");
  if (config_.slots == 0) {
    config_.slots = 2 * static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  }
}

Worker::~Worker() { ASSERT_MSG(!thread_.joinable(), "a worker must be stopped first"); }

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

Task<void> Worker::stop() {
  if (!thread_.joinable()) co_return;
  source_.close();
  co_await http_->stop();
  stopping_ = true;
  wake();
  thread_.join();
  ready_ = false;
}

WorkerStats Worker::stats() const {
  std::lock_guard lock(mutex_);
  WorkerStats stats = stats_;
  stats.running = static_cast<int64_t>(runs_.size()) - reported_;
  return stats;
}

void Worker::grant(std::vector<kernel::WorkOrder> orders) {
  Completions refused;
  std::vector<Launch> launches;
  for (const auto& order : orders) {
    if (order.action->runner == Runner::Http) continue;
    auto launch = plan_launch(order, config_.run);
    if (launch.ok()) {
      launches.push_back(std::move(*launch));
    } else {
      refused.push_back(
          ended(order.tenant, order.key, kernel::RunEnd::SpawnFailed, launch.error().message()));
    }
  }
  {
    std::lock_guard lock(mutex_);
    for (const auto& launch : launches) accept(launch, refused);
    for (const auto& order : orders) {
      if (order.action->runner == Runner::Http) accept_in_house(order);
    }
    if (!flush()) wake();
  }
  report_all(std::move(refused));
}

void Worker::accept(const Launch& launch, Completions& refused) {
  auto [at, is_new] = runs_.try_emplace(launch.key);
  if (!is_new) return;
  Run& run = at->second;
  run.tenant = launch.tenant;
  run.state = greeted_ ? Run::State::Sent : Run::State::Unsent;
  if (!encode(greeted_ ? out_ : run.frame, launch)) {
    runs_.erase(at);
    refused.push_back(
        ended(launch.tenant, launch.key, kernel::RunEnd::SpawnFailed,
              fmt::format("the parameters are too large: at most {} MiB can be passed",
                          kMaxFrame >> 20)));
  } else if (greeted_) {
    ++stats_.launched;
  }
}

// The spawner knows of the run before it begins.
void Worker::accept_in_house(const kernel::WorkOrder& order) {
  auto [at, is_new] = runs_.try_emplace(order.key);
  if (!is_new) return;
  Run& run = at->second;
  run.tenant = order.tenant;
  if (greeted_) {
    run.state = Run::State::InHouse;
    encode(out_, Hold{order.tenant, order.key});
    flush();
    http_->start(order);
  } else {
    run.state = Run::State::Unsent;
    run.in_house = std::make_shared<kernel::WorkOrder>(order);
  }
}

void Worker::cancel(const kernel::RunKey& key) {
  std::optional<kernel::Completion> over;
  {
    std::lock_guard lock(mutex_);
    auto at = runs_.find(key);
    if (at == runs_.end()) {
      over = ended({}, key, kernel::RunEnd::Lost, "the worker does not know this run");
    } else if (at->second.state == Run::State::Unsent) {
      over = ended(at->second.tenant, key, kernel::RunEnd::Canceled, "ended before it began");
    } else if (at->second.state == Run::State::Sent && !at->second.canceled) {
      at->second.canceled = true;
      if (greeted_) encode(out_, Kill{key});
      if (!flush()) wake();
    } else if (at->second.state == Run::State::InHouse) {
      http_->cancel(key);
    }
  }
  if (over) report(std::move(*over));
}

void Worker::report(kernel::Completion completion) {
  {
    std::lock_guard lock(mutex_);
    Run& run = runs_[completion.key];
    if (run.state == Run::State::Reported) return;
    run.tenant = completion.tenant;
    run.state = Run::State::Reported;
    run.frame = std::string();
    run.in_house = nullptr;
    ++reported_;
    ++stats_.finished;
  }
  kernel::RunKey key = completion.key;
  source_.finished(std::move(completion), [acks = acks_, key] {
    std::lock_guard lock(acks->mutex);
    acks->keys.push_back(key);
  });
}

void Worker::report_all(Completions completions) {
  for (auto& completion : completions) report(std::move(completion));
}

// Forgets the runs whose completions are durable, and tells the spawner so.
void Worker::collect_acks() {
  std::vector<kernel::RunKey> keys;
  {
    std::lock_guard lock(acks_->mutex);
    keys.swap(acks_->keys);
  }
  for (const auto& key : keys) {
    reported_ -= static_cast<int64_t>(runs_.erase(key));
    if (greeted_) encode(out_, Ack{key});
  }
}

// Sends what it can. False when something is left: the thread sends that once the socket takes it.
bool Worker::flush() {
  collect_acks();
  size_t sent = 0;
  while (connection_ && sent < out_.size()) {
    ssize_t n = send(connection_.get(), out_.data() + sent, out_.size() - sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;  // full, or broken: the thread sees which
    sent += static_cast<size_t>(n);
  }
  out_.erase(0, sent);
  return out_.empty();
}

void Worker::wake() { eventfd_write(wake_.get(), 1); }

}  // namespace millrace::worker
