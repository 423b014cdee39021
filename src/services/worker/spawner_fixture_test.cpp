// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "services/worker/process_walk.h"
#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {
constexpr int kPatienceMs = 30'000;
}

TempDir::TempDir() {
  char name[] = "/tmp/millrace-test-XXXXXX";
  path_ = mkdtemp(name);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Client::Client(const SpawnerOptions& options) {
  auto fd = connect_spawner(options, [] { return true; });
  if (!fd.ok()) {
    ADD_FAILURE() << fd.error().describe() << "\n"
                  << read_small_file(options.data_dir + "/run/spawner.log");
    return;
  }
  fd_ = std::move(*fd);
  while (hello_.pid == 0 && receive()) {
  }
}

bool Client::receive() {
  pollfd wait{fd_.get(), POLLIN, 0};
  if (poll(&wait, 1, kPatienceMs) != 1) {
    ADD_FAILURE() << "the spawner said nothing for 30 s";
    return false;
  }
  ssize_t n = recv(fd_.get(), in_.space(1 << 20), 1 << 20, 0);
  if (n <= 0) return false;
  in_.filled(static_cast<size_t>(n));
  for (;;) {
    auto frame = in_.next();
    if (!frame.ok()) ADD_FAILURE() << frame.error().describe();
    if (!frame.ok() || !*frame) return frame.ok();
    auto message = decode(**frame);
    if (!message.ok()) {
      ADD_FAILURE() << message.error().describe();
      return false;
    }
    if (auto* hello = std::get_if<Hello>(&*message)) hello_ = *hello;
    if (auto* exited = std::get_if<Exited>(&*message)) {
      exited_[exited->completion.key] = exited->completion;
    }
    if (auto* chunk = std::get_if<Chunk>(&*message)) {
      auto& text = live_[{chunk->key, static_cast<int>(chunk->stream)}];
      auto offset = static_cast<size_t>(chunk->offset);
      if (text.size() < offset + chunk->bytes.size()) {
        text.resize(offset + chunk->bytes.size(), '?');
      }
      text.replace(offset, chunk->bytes.size(), chunk->bytes);
    }
  }
}

void Client::write(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    ASSERT_GT(n, 0);
    sent += static_cast<size_t>(n);
  }
}

void Client::send(const Launch& launch) {
  std::string bytes;
  ASSERT_TRUE(encode(bytes, launch));
  write(bytes);
}

void Client::send(const Kill& kill) {
  std::string bytes;
  encode(bytes, kill);
  write(bytes);
}

void Client::send(const Lease& lease) {
  std::string bytes;
  encode(bytes, lease);
  write(bytes);
}

void Client::send(const Ack& ack) {
  std::string bytes;
  encode(bytes, ack);
  write(bytes);
}

void Client::say_goodbye() {
  std::string bytes;
  encode(bytes, Goodbye{});
  write(bytes);
}

kernel::Completion Client::wait_exited() {
  while (exited_.empty() && receive()) {
  }
  if (exited_.empty()) return {};
  auto completion = exited_.begin()->second;
  exited_.erase(exited_.begin());
  return completion;
}

kernel::Completion Client::wait_exited(const kernel::RunKey& key) {
  while (!exited_.contains(key) && receive()) {
  }
  auto completion = exited_[key];
  exited_.erase(key);
  return completion;
}

void Client::wait_for_output(const kernel::RunKey& key, kernel::Stream stream, size_t bytes) {
  while (live(key, stream).size() < bytes && receive()) {
  }
}

std::string Client::live(const kernel::RunKey& key, kernel::Stream stream) const {
  auto at = live_.find({key, static_cast<int>(stream)});
  return at == live_.end() ? std::string() : at->second;
}

bool Client::wait_closed() {
  while (receive()) {
  }
  return !testing::Test::HasFailure();
}

SpawnerTest::SpawnerTest() {
  options_.data_dir = data_.path();
  options_.linger_ms = 2000;
  options_.use_cgroups = GetParam();
}

SpawnerTest::~SpawnerTest() {
  // Whatever a failed test left goes with its spawner.
  if (HasFailure()) {
    fprintf(stderr, "spawner.log:\n%s\n", read_small_file(path("run/spawner.log")).c_str());
  }
  end_spawner(options_);
}

Launch SpawnerTest::shell(const std::string& command) {
  Launch launch;
  launch.tenant = kDefaultTenant;
  launch.key = {ExecutionId(next_execution_++), 1, 7};
  launch.argv = {"/bin/sh", "-c", command};
  launch.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  launch.timeout_ms = 60'000;
  launch.grace_ms = 5'000;
  launch.output_cap = 10 << 20;
  return launch;
}

std::string SpawnerTest::read_data_file(const std::string& name) const {
  return read_small_file(path(name));
}

void end_spawner(const SpawnerOptions& options) {
  Client last(options);
  if (last.hello().pid <= 0) return;
  kill(static_cast<pid_t>(last.hello().pid), SIGTERM);
  last.wait_closed();
}

bool is_alive(pid_t pid) { return pid > 0 && read_process(pid).pid == pid; }

std::string wait_for_line(const std::string& path) {
  std::string text;
  EXPECT_TRUE(eventually([&] {
    text = read_small_file(path);
    return text.find('\n') != std::string::npos;
  })) << path;
  return text;
}

}  // namespace millrace::worker
