// SPDX-License-Identifier: Apache-2.0
//
// The spawner's side of the control connection. One server at a time: the data folder's lock
// sees to that. So who comes while one is there is no server, whatever he can show.
#include <sys/socket.h>

#include <cerrno>

#include "base/stderr.h"
#include "base/time.h"
#include "services/worker/epoll_tag.h"
#include "services/worker/spawner_loop.h"

namespace millrace::worker {
namespace {

// What a server that comes back is shown of each stream.
constexpr size_t kTailBytes = 64 << 10;

}  // namespace

void SpawnerLoop::on_guest(int guest) {
  Fd fd = parts_.door.hear(guest);
  if (!fd) return;
  on_readable();  // the server before may just have gone
  if (!connection_) return use_connection(std::move(fd));
  put_stderr("spawner: a second connection is closed: the server's is alive\n");
}

void SpawnerLoop::use_connection(Fd fd) {
  connection_ = std::move(fd);
  in_ = {};
  out_.clear();
  waits_to_write_ = false;
  server_left_ = false;
  lonely_since_ms_ = 0;
  watch(epoll_.get(), connection_.get(), EPOLLIN, {EpollTag::Connection});
  greet();
}

void SpawnerLoop::greet() {
  Hello hello = identity_;
  for (const auto& [key, run] : runs_) {
    hello.runs.push_back({run->launch.tenant, key, run->started_ms});
  }
  parts_.results.for_each(
      [&](const kernel::Completion& c) { hello.runs.push_back({c.tenant, c.key, c.started_ms}); });
  encode(out_, hello);
  parts_.results.for_each([&](const kernel::Completion& c) { encode(out_, Exited{c}); });
  for (const auto& [key, run] : runs_) {
    for (int stream = 0; stream < 2; ++stream) {
      const StreamRecorder& recorder = run->recorder[stream];
      std::string tail = recorder.tail(kTailBytes);
      if (tail.empty()) continue;
      encode_chunk(out_, key, static_cast<kernel::Stream>(stream),
                   recorder.size() - static_cast<int64_t>(tail.size()), tail);
    }
  }
}

void SpawnerLoop::drop_connection() {
  connection_.reset();
  out_ = std::string();
  for (const auto& [key, tenant] : std::exchange(held_, {})) {
    kernel::Completion lost;
    lost.tenant = tenant;
    lost.key = key;
    lost.end = kernel::RunEnd::Lost;
    lost.message = "the server went away while it ran this itself";
    lost.started_ms = lost.ended_ms = unix_ms();
    parts_.results.add(std::move(lost));
  }
  parts_.results.persist();
}

void SpawnerLoop::on_readable() {
  while (connection_) {
    ssize_t n = recv(connection_.get(), in_.space(kReadStep), kReadStep, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return drop_connection();
    in_.filled(static_cast<size_t>(n));
    while (connection_) {
      auto frame = in_.next();
      if (!frame.ok()) {
        put_stderr("spawner: {}\n", frame.error().message());
        return drop_connection();
      }
      if (!*frame) break;
      on_frame(**frame);
    }
    if (static_cast<size_t>(n) < kReadStep) return;
  }
}

void SpawnerLoop::on_frame(std::string_view frame) {
  auto message = decode(frame);
  if (!message.ok()) {
    put_stderr("spawner: {}\n", message.error().message());
    return drop_connection();
  }
  if (auto* order = std::get_if<Launch>(&*message)) {
    launch(std::move(*order));
  } else if (auto* kill = std::get_if<Kill>(&*message)) {
    auto at = runs_.find(kill->key);
    if (at != runs_.end()) end(*at->second, kernel::RunEnd::Canceled);
  } else if (auto* ack = std::get_if<Ack>(&*message)) {
    held_.erase(ack->key);
    parts_.results.forget(ack->key);
  } else if (auto* hold = std::get_if<Hold>(&*message)) {
    held_[hold->key] = hold->tenant;
  } else if (auto* lease = std::get_if<Lease>(&*message)) {
    lease_ms_ = lease->until_ms;
  } else if (std::holds_alternative<Goodbye>(*message)) {
    server_left_ = true;
    drop_connection();
  }
}

void SpawnerLoop::flush() {
  size_t sent = 0;
  while (connection_ && sent < out_.size()) {
    ssize_t n = send(connection_.get(), out_.data() + sent, out_.size() - sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return drop_connection();
    sent += static_cast<size_t>(n);
  }
  out_.erase(0, sent);
  bool wait = connection_ && !out_.empty();
  if (connection_ && wait != waits_to_write_) {
    waits_to_write_ = wait;
    watch(epoll_.get(), connection_.get(), wait ? EPOLLIN | EPOLLOUT : EPOLLIN,
          {EpollTag::Connection}, EPOLL_CTL_MOD);
  }
}

}  // namespace millrace::worker
