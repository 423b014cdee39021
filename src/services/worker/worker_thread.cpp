// SPDX-License-Identifier: Apache-2.0
//
// The worker's thread: finds a spawner, learns what became of the runs, then reads what the
// spawner says. When the connection ends it begins again.
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"
#include "services/worker/child.h"
#include "services/worker/http_runs.h"
#include "services/worker/worker.h"

namespace millrace::worker {
namespace {

// Acknowledgements ride with the next launch, or go alone after this time.
constexpr int kAckDelayMs = 50;
constexpr int64_t kFirstRetryMs = 100;
constexpr int64_t kLastRetryMs = 30'000;
// A connection that lasted so long does not count as a failed attempt.
constexpr int64_t kStableMs = 1'000;
// When no spawner can be had for so long, its runs are reported as lost although nobody has
// killed what may be left of them.
constexpr int64_t kSpawnerGiveUpMs = 60'000;

std::vector<std::string> installed_runtimes(const RunDefaults& run) {
  std::string path;
  for (const auto& [name, value] : run.env) {
    if (name == "PATH") path = value;
  }
  std::vector<std::string> runtimes = {"shell", "native"};
  if (!find_program("python3", path).empty()) runtimes.push_back("python");
  if (!find_program("node", path).empty()) runtimes.push_back("node");
  return runtimes;
}

std::string instance_of(const Hello& hello) {
  return fmt::format("{}/{}/{}", hello.boot_id, hello.pid, hello.started_ns);
}

}  // namespace

void Worker::run() {
  int64_t retry_ms = kFirstRetryMs;
  while (!stopping_) {
    int64_t began_ms = monotonic_ms();
    auto connection = connect_spawner(config_.spawner);
    auto talked = connection.ok() ? talk(std::move(*connection))
                                  : Result<void>(std::move(connection).error());
    if (stopping_) break;
    hang_up();
    if (!talked.ok()) {
      log_error("worker.no_spawner", talked.error(), {{"worker", config_.name}});
      give_up_lost_runs();
    } else if (monotonic_ms() - began_ms > kStableMs) {
      retry_ms = kFirstRetryMs;
      continue;
    }
    pause(retry_ms);
    retry_ms = std::min(2 * retry_ms, kLastRetryMs);
  }
  say_goodbye();
}

// Returns when the connection is over, or when the worker stops.
Result<void> Worker::talk(Fd connection) {
  in_ = {};
  {
    std::lock_guard lock(mutex_);
    connection_ = std::move(connection);
  }
  TRY(Hello hello, read_hello());
  down_since_ms_ = 0;
  meet(hello);
  ready_ = true;
  while (!stopping_ && handle_frames() && receive()) {
  }
  ready_ = false;
  return {};
}

Result<Hello> Worker::read_hello() {
  for (;;) {
    TRY(auto frame, next_frame());
    if (!frame && !stopping_ && receive()) continue;
    auto* hello = frame ? std::get_if<Hello>(&*frame) : nullptr;
    if (!hello) {
      return Error(ErrorKind::Unavailable, "WRK-0007", "the spawner went away before its Hello");
    }
    if (hello->version != kProtocolVersion) {
      return Error(ErrorKind::Unavailable, "WRK-0009",
                   fmt::format("the spawner (pid {}) speaks version {} of the protocol, this "
                               "server {}: let its runs end, or end it by SIGTERM",
                               hello->pid, hello->version, kProtocolVersion));
    }
    return std::move(*hello);
  }
}

Result<std::optional<Frame>> Worker::next_frame() {
  TRY(auto bytes, in_.next());
  if (!bytes) return std::optional<Frame>();
  TRY(auto frame, decode(*bytes));
  return std::optional(std::move(frame));
}

// Waits until there is something to read. False when the connection is over.
bool Worker::receive() {
  pollfd waits[2] = {{connection_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  int timeout_ms = -1;
  {
    std::lock_guard lock(mutex_);
    if (reported_ > 0) timeout_ms = kAckDelayMs;
    if (!out_.empty()) waits[0].events |= POLLOUT;
  }
  int ready = poll(waits, 2, timeout_ms);
  if (ready < 0) return errno == EINTR;
  eventfd_t ignored;
  if (waits[1].revents) eventfd_read(wake_.get(), &ignored);
  {
    std::lock_guard lock(mutex_);
    ++stats_.wake_ups;
    if (waits[0].revents != POLLIN) flush();
  }
  if ((waits[0].revents & ~POLLOUT) == 0) return true;
  ssize_t n = recv(connection_.get(), in_.space(kReadStep), kReadStep, MSG_DONTWAIT);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  in_.filled(static_cast<size_t>(n));
  return n > 0;
}

// All that has come. False when it breaks the protocol.
bool Worker::handle_frames() {
  for (;;) {
    auto frame = next_frame();
    if (!frame.ok()) {
      log_error("worker.spawner_protocol", frame.error(), {{"worker", config_.name}});
      return false;
    }
    if (!*frame) return true;
    if (auto* exited = std::get_if<Exited>(&**frame)) {
      on_exited(std::move(exited->completion));
    } else if (auto* chunk = std::get_if<Chunk>(&**frame)) {
      on_chunk(std::move(*chunk));
    }
  }
}

void Worker::on_exited(kernel::Completion completion) {
  {
    // A spawner that lost sight of this server has given up what runs on here.
    std::lock_guard lock(mutex_);
    auto at = runs_.find(completion.key);
    if (at != runs_.end() && at->second.state == Run::State::InHouse) return;
  }
  report(std::move(completion));
}

void Worker::on_chunk(Chunk chunk) {
  kernel::OutputChunk output;
  {
    std::lock_guard lock(mutex_);
    auto at = runs_.find(chunk.key);
    if (at == runs_.end()) return;
    output.tenant = at->second.tenant;
  }
  output.key = chunk.key;
  output.stream = chunk.stream;
  output.offset = chunk.offset;
  output.bytes = std::move(chunk.bytes);
  source_.output(std::move(output));
}

void Worker::meet(const Hello& hello) {
  Completions over;
  if (session_open_) {
    std::lock_guard lock(mutex_);
    over = sort_out(hello);
    greeted_ = true;
    ++stats_.reconnects;
    flush();
  } else {
    adopt(hello);
  }
  spawner_ = hello;
  report_all(std::move(over));
}

// The first meeting: what the spawner holds is from an earlier server.
void Worker::adopt(const Hello& hello) {
  kernel::WorkerHello own;
  own.name = config_.name;
  own.slots = config_.slots;
  own.runtimes = installed_runtimes(config_.run);
  own.instance = instance_of(hello);
  {
    std::lock_guard lock(mutex_);
    for (const HeldRun& held : hello.runs) {
      runs_[held.key] = {.tenant = held.tenant, .state = Run::State::Sent};
      own.adopted.push_back(held.key);
    }
    greeted_ = true;
  }
  log_info("worker.opened", {{"worker", own.name},
                             {"slots", own.slots},
                             {"adopted", own.adopted.size()},
                             {"spawner_pid", hello.pid}});
  session_open_ = true;
  source_.open(std::move(own), *this);
}

// A later meeting: sends what waited, and returns the ends of the runs that are gone. A spawner
// kills what its predecessor left before it says Hello, so what it does not know is not running.
Worker::Completions Worker::sort_out(const Hello& hello) {
  std::set<kernel::RunKey> held;
  for (const HeldRun& run : hello.runs) held.insert(run.key);
  bool same = spawner_ && hello.same_spawner(*spawner_);
  Completions over;
  for (auto& [key, run] : runs_) {
    if (run.state == Run::State::InHouse) {
      encode(out_, Hold{run.tenant, key});
    } else if (run.state == Run::State::Unsent && run.in_house) {
      encode(out_, Hold{run.tenant, key});
      run.state = Run::State::InHouse;
      http_->start(std::move(*std::exchange(run.in_house, nullptr)));
    } else if (run.state == Run::State::Unsent) {
      out_ += std::exchange(run.frame, {});
      run.state = Run::State::Sent;
      ++stats_.launched;
    } else if (run.state == Run::State::Sent && held.contains(key)) {
      if (run.canceled) encode(out_, Kill{key});
    } else if (run.state == Run::State::Sent && same) {
      over.push_back(ended(run.tenant, key, kernel::RunEnd::SpawnFailed,
                           "the connection to the spawner broke before the launch"));
    } else if (run.state == Run::State::Sent) {
      over.push_back(ended(run.tenant, key, kernel::RunEnd::Lost,
                           "the spawner died; what it had started was killed"));
    }
  }
  log_warn("worker.reconnected", {{"worker", config_.name},
                                  {"same_spawner", same},
                                  {"held", held.size()},
                                  {"lost", over.size()}});
  return over;
}

void Worker::give_up_lost_runs() {
  int64_t now = monotonic_ms();
  if (down_since_ms_ == 0) down_since_ms_ = now;
  if (now - down_since_ms_ < kSpawnerGiveUpMs) return;
  Completions over;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, run] : runs_) {
      if (run.state != Run::State::Sent) continue;
      over.push_back(ended(run.tenant, key, kernel::RunEnd::Lost,
                           "the spawner is gone; whether its processes are is not known"));
    }
  }
  report_all(std::move(over));
}

void Worker::hang_up() {
  std::lock_guard lock(mutex_);
  connection_.reset();
  greeted_ = false;
  out_.clear();
}

void Worker::pause(int64_t ms) {
  pollfd wait{wake_.get(), POLLIN, 0};
  poll(&wait, 1, static_cast<int>(ms));
}

// Tells the spawner that nobody needs to be waited for, as far as it can be told at once.
void Worker::say_goodbye() {
  std::lock_guard lock(mutex_);
  if (greeted_) {
    collect_acks();
    encode(out_, Goodbye{});
    for (pollfd wait{connection_.get(), POLLOUT, 0}; !flush() && poll(&wait, 1, 1000) == 1;) {
      if (wait.revents != POLLOUT) break;
    }
  }
  connection_.reset();
  greeted_ = false;
}

}  // namespace millrace::worker
