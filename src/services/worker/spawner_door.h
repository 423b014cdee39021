// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "services/worker/posix.h"

namespace millrace::worker {

// The frame that proves who connects, and how long he may take for it.
inline constexpr size_t kSecretBytes = 32;
inline constexpr int64_t kProofMs = 2'000;

// Makes {run}/spawner.secret anew, 0600, and returns what is in it. Of the spawner, under its lock.
Result<std::string> make_secret(const std::string& run_folder);
// The secret of the spawner that listens in this folder; empty when there is none to be read.
std::string read_secret(int run_fd);

// The socket of a spawner, and those who stand before it. A peer comes in by the first frame that
// he sends, which carries the secret; he is compared in constant time, nothing that he says before
// is parsed, and who takes longer than kProofMs is sent away.
//
// The spawner's own thread. Its descriptors are watched by the epoll given, as Listener and Guest.
class SpawnerDoor {
 public:
  SpawnerDoor(Fd listener, const std::string& secret);

  void watch_with(int epoll);
  // Takes in who waits at the socket, as guests. Who is of another user is sent away.
  void open();
  // What the guest has sent: the connection, once it is proven; else none.
  Fd hear(int guest);
  // Sends away who has had his time. Returns when the next one's is over, monotonic; 0: nobody's.
  int64_t close_late(int64_t now_ms);

 private:
  struct Guest {
    Fd fd;
    std::string said;
    int64_t until_ms = 0;
  };
  Guest& seat();

  Fd listener_;
  std::string proof_;  // the whole frame
  int epoll_ = -1;
  std::vector<Guest> guests_;
};

}  // namespace millrace::worker
