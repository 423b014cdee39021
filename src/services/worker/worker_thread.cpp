// SPDX-License-Identifier: Apache-2.0
//
// The worker's thread: finds a spawner, learns what became of the runs, then reads what the
// spawner and its mail say. When the connection ends it begins again.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"
#include "services/worker/boundary.h"
#include "services/worker/worker.h"

namespace millrace::worker {
namespace {

// Acknowledgements ride with the next launch, or go alone after this time.
constexpr int64_t kAckDelayMs = 50;
constexpr int64_t kFirstRetryMs = 100;
constexpr int64_t kLastRetryMs = 30'000;
// A connection that lasted so long does not count as a failed attempt.
constexpr int64_t kStableMs = 1'000;
// When no spawner can be had for so long, its runs are reported as lost although nobody has
// killed what may be left of them.
constexpr int64_t kSpawnerGiveUpMs = 60'000;

}  // namespace

void Worker::run() {
  int64_t retry_ms = kFirstRetryMs;
  while (!stopping_) {
    int64_t began_ms = monotonic_ms();
    Result<void> talked;
    // What is about no run costs the connection: the next one learns anew what runs.
    auto thrown = thrown_by([&] { talked = connect_and_talk(); });
    ready_ = false;
    if (thrown) {
      talked = Error(ErrorKind::Internal, "WRK-0010",
                     fmt::format("an exception in the worker's thread: {}", *thrown));
    }
    if (stopping_) break;
    hang_up();
    is_away_ = !talked.ok();
    if (!talked.ok()) {
      log_error("worker.not_connected", talked.error(), {{"worker", config_.name}});
      give_up_lost_runs();
    } else if (monotonic_ms() - began_ms > kStableMs) {
      retry_ms = kFirstRetryMs;
      continue;
    }
    pause(retry_ms);
    retry_ms = std::min(2 * retry_ms, kLastRetryMs);
  }
  close_session();
  say_goodbye();
}

Result<void> Worker::connect_and_talk() {
  TRY(Fd connection, connect_spawner(config_.spawner, [this] { return may_go_on(); }));
  return talk(std::move(connection));
}

// Returns when the connection or the session is over, or when the worker stops.
Result<void> Worker::talk(Fd connection) {
  in_ = {};
  connection_ = std::move(connection);
  TRY(Hello hello, read_hello());
  down_since_ms_ = 0;
  if (session_) {
    meet_again(hello);
  } else {
    TRY(open_session(hello));
  }
  spawner_ = std::move(hello);
  ready_ = session_.has_value();
  if (ready_) is_away_ = false;
  while (may_go_on() && session_ && handle_frames() && receive()) {
  }
  ready_ = false;
  return {};
}

Result<Hello> Worker::read_hello() {
  for (;;) {
    TRY(auto frame, next_frame());
    if (!frame && may_go_on() && receive()) continue;
    auto* hello = frame ? std::get_if<Hello>(&*frame) : nullptr;
    if (!hello) {
      return Error(ErrorKind::Unavailable, "WRK-0007", "the spawner went away before its Hello");
    }
    if (hello->version != kProtocolVersion) {
      // It need not wait for anybody: when its runs have ended, a spawner of this version may come.
      encode(out_, Goodbye{});
      flush();
      return Error(ErrorKind::Unavailable, "WRK-0009",
                   fmt::format("the spawner (pid {}) speaks version {} of the protocol, this "
                               "server {}: it leaves when its runs have ended; SIGTERM ends both",
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

// Sends what there is and waits for mail or for something to read. False when the connection is
// over.
bool Worker::receive() {
  pollfd waits[2] = {{connection_.get(), POLLIN, 0}, {mailbox_->fd(), POLLIN, 0}};
  if (!flush()) waits[0].events |= POLLOUT;
  int64_t timeout_ms = next_renewal_ms();
  if (counters_.reported > 0 && (timeout_ms < 0 || timeout_ms > kAckDelayMs))
    timeout_ms = kAckDelayMs;
  bool sleeps = mailbox_->may_sleep();
  int ready = poll(waits, 2, sleeps ? static_cast<int>(timeout_ms) : 0);
  if (sleeps) {
    mailbox_->awake();
    ++counters_.wake_ups;
  }
  if (ready < 0) return errno == EINTR;
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
      const kernel::Completion& c = exited->completion;
      attend(c.tenant, kernel::RunKey(c.key), [&] { on_exited(std::move(exited->completion)); });
    } else if (auto* chunk = std::get_if<Chunk>(&**frame)) {
      // Live output is a hint: what it throws costs the piece.
      auto thrown = thrown_by([&] { on_chunk(std::move(*chunk)); });
      if (thrown) log_error("worker.exception", {{"worker", config_.name}, {"what", *thrown}});
    }
  }
}

// Another connection in the same session: sends what waited, and reports what is gone.
void Worker::meet_again(const Hello& hello) {
  greeted_ = true;
  ++counters_.reconnects;
  lease_runs();
  for (auto& completion : sort_out(hello)) report(std::move(completion));
}

// Returns the ends of the runs that are gone. A spawner kills what its predecessor left before it
// says Hello, so what it does not know is not running.
Worker::Completions Worker::sort_out(const Hello& hello) {
  std::set<kernel::RunKey> held;
  for (const HeldRun& run : hello.runs) held.insert(run.key);
  bool same = spawner_ && hello.same_spawner(*spawner_);
  Completions over;
  std::vector<kernel::RunKey> unsent;
  for (auto& [key, run] : runs_) {
    if (run.state == Run::State::InHouse) {
      encode(out_, Hold{run.tenant, key});
    } else if (run.state == Run::State::Unsent) {
      unsent.push_back(key);
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
  for (const auto& key : unsent) launch(key, runs_.at(key));
  log_warn("worker.reconnected", {{"worker", config_.name},
                                  {"same_spawner", same},
                                  {"held", held.size()},
                                  {"lost", over.size()}});
  return over;
}

void Worker::give_up_lost_runs() {
  int64_t now = monotonic_ms();
  if (down_since_ms_ == 0) down_since_ms_ = now;
  if (now - down_since_ms_ < kSpawnerGiveUpMs || !session_) return;
  Completions over;
  for (const auto& [key, run] : runs_) {
    if (run.state != Run::State::Sent) continue;
    over.push_back(ended(run.tenant, key, kernel::RunEnd::Lost,
                         "the spawner is gone; whether its processes are is not known"));
  }
  for (auto& completion : over) report(std::move(completion));
}

// Sends what it can. False when something is left: the socket is full, or broken.
bool Worker::flush() {
  size_t sent = 0;
  while (connection_ && sent < out_.size()) {
    ssize_t n = send(connection_.get(), out_.data() + sent, out_.size() - sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    sent += static_cast<size_t>(n);
  }
  out_.erase(0, sent);
  return out_.empty();
}

void Worker::hang_up() {
  connection_.reset();
  greeted_ = false;
  out_.clear();
}

// Without a connection. Mail is read meanwhile.
void Worker::pause(int64_t ms) {
  int64_t end = monotonic_ms() + ms;
  for (int64_t left = ms; may_go_on() && left > 0; left = end - monotonic_ms()) {
    int64_t renewal_ms = next_renewal_ms();
    wait_for_mail(renewal_ms < 0 ? left : std::min(left, renewal_ms));
  }
}

void Worker::wait_for_mail(int64_t ms) {
  pollfd wait{mailbox_->fd(), POLLIN, 0};
  if (mailbox_->may_sleep()) {
    poll(&wait, 1, static_cast<int>(ms));
    mailbox_->awake();
  }
  read_mail();
}

// Tells the spawner that nobody needs to be waited for, as far as it can be told at once. The last
// acknowledgements first; other mail finds no session.
void Worker::say_goodbye() {
  read_mail();
  if (greeted_) {
    encode(out_, Goodbye{});
    for (pollfd wait{connection_.get(), POLLOUT, 0}; !flush() && poll(&wait, 1, 1000) == 1;) {
      if (wait.revents != POLLOUT) break;
    }
  }
  connection_.reset();
  greeted_ = false;
}

}  // namespace millrace::worker
