// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/sensors.h"

#include "async/thread.h"
#include "services/sensor/loop.h"

namespace millrace::sensor {

std::string_view to_string(State state) {
  switch (state) {
    case State::Preparing: return "preparing";
    case State::Starting: return "starting";
    case State::Running: return "running";
    case State::Stopping: return "stopping";
    case State::BackingOff: return "backing_off";
  }
  return "unknown";
}

Sensors::Sensors(Limits limits, Outside outside)
    : inbox_(std::make_shared<Inbox>()),
      loop_(std::make_unique<Loop>(limits, std::move(outside), inbox_)) {}

Sensors::~Sensors() {
  begin_stop(0);
  stop();
}

Result<void> Sensors::start() {
  TRY(thread_, async::start_thread("sensor", [this] { loop_->run(); }));
  return {};
}

void Sensors::look() {
  if (loop_->is_asked.exchange(true)) return;
  inbox_->put([](auto& mail) { mail.look = true; });
}

bool Sensors::restart(const SensorKey& key) {
  if (!status(key)) return false;
  inbox_->put([&](auto& mail) { mail.restarts.push_back(key); });
  return true;
}

void Sensors::begin_stop(int64_t grace_ms) {
  inbox_->put([&](auto& mail) { mail.stop_grace_ms = grace_ms; });
}

void Sensors::stop() {
  if (thread_.joinable()) thread_.join();
}

std::vector<Status> Sensors::statuses() const {
  std::lock_guard lock(loop_->mutex);
  std::vector<Status> out;
  for (const auto& [key, life] : loop_->lives) out.push_back(life.status);
  return out;
}

Counts Sensors::counts() const {
  std::lock_guard lock(loop_->mutex);
  Counts counts{.starts = loop_->starts, .events = loop_->events};
  for (const auto& [key, life] : loop_->lives) {
    counts.running += life.status.state == State::Running ? 1 : 0;
    counts.down += life.status.state == State::BackingOff ? 1 : 0;
  }
  return counts;
}

std::optional<Status> Sensors::status(const SensorKey& key) const {
  std::lock_guard lock(loop_->mutex);
  auto at = loop_->lives.find(key);
  if (at == loop_->lives.end()) return std::nullopt;
  return at->second.status;
}

std::optional<std::vector<LogLine>> Sensors::log(const SensorKey& key, size_t most,
                                                 int64_t after) const {
  std::lock_guard lock(loop_->mutex);
  auto at = loop_->lives.find(key);
  if (at == loop_->lives.end()) return std::nullopt;
  return at->second.log.last(most, after);
}

}  // namespace millrace::sensor
