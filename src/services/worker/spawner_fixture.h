// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/wire.h"
#include "services/worker/control.h"
#include "services/worker/posix.h"
#include "services/worker/spawner.h"

// For tests: a data folder, a spawner of its own, and a blocking client that stands for the
// server.
namespace millrace::worker {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Client {
 public:
  explicit Client(const SpawnerOptions& options);

  const Hello& hello() const { return hello_; }
  void send(const Launch& launch);
  void send(const Kill& kill);
  void send(const Lease& lease);
  void send(const Ack& ack);
  void say_goodbye();
  void send_raw(const std::string& bytes) { write(bytes); }
  // The next Exited, or the one of `key`; fails the test after 30 s.
  kernel::Completion wait_exited();
  kernel::Completion wait_exited(const kernel::RunKey& key);
  // Waits until so many live bytes of the stream have come.
  void wait_for_output(const kernel::RunKey& key, kernel::Stream stream, size_t bytes);
  // Live output as its offsets say; a gap is filled with '?'.
  std::string live(const kernel::RunKey& key, kernel::Stream stream) const;
  // True when the spawner closed the connection.
  bool wait_closed();
  void drop() { fd_.reset(); }

 private:
  bool receive();  // one read; false at the end
  void write(const std::string& bytes);

  Fd fd_;
  FrameBuffer in_;
  Hello hello_;
  std::map<kernel::RunKey, kernel::Completion> exited_;
  std::map<std::pair<kernel::RunKey, int>, std::string> live_;
};

// Every test runs with cgroups and without them.
class SpawnerTest : public testing::TestWithParam<bool> {
 protected:
  SpawnerTest();
  ~SpawnerTest() override;

  Client connect() { return Client(options_); }
  // `sh -c command`, with a key of its own.
  Launch shell(const std::string& command);
  std::string read_data_file(const std::string& name) const;
  std::string path(const std::string& name) const { return data_.path() + "/" + name; }

  TempDir data_;
  SpawnerOptions options_;

 private:
  int64_t next_execution_ = 1000;
};

// What `condition` waits for must come within 20 s.
template <typename Condition>
bool eventually(Condition condition) {
  for (int64_t end = monotonic_ms() + 20'000; monotonic_ms() < end; usleep(2000)) {
    if (condition()) return true;
  }
  return false;
}

bool is_alive(pid_t pid);
// Ends the spawner of a data folder and all its runs.
void end_spawner(const SpawnerOptions& options);
// The whole file; waits until it has a line.
std::string wait_for_line(const std::string& path);

}  // namespace millrace::worker
