// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "agent/messages.h"
#include "kernel/blobs.h"

namespace millrace::agent {

// The agent's side of live output: sends what comes while the server takes it, and then reads on
// where it was in the file into which the spawner writes the stream: that is the spool, and bounded
// as the output of a run is. What is not there any more, or never was (a short stream lies in the
// spawner's memory), is skipped, and the piece that follows says so.
//
// Not thread-safe.
class LiveOutput {
 public:
  // Not taken by the server, of one stream.
  static constexpr int64_t kWindow = 1 << 20;

  LiveOutput(kernel::Blobs& spool, std::function<void(Output)> send)
      : spool_(spool), send_(std::move(send)) {}

  void came(kernel::OutputChunk chunk);
  void taken(const OutputTaken& taken);
  void wanted(const OutputWanted& wanted);
  // The run has ended: what it printed comes as a whole.
  void forget(const kernel::RunKey& key);
  void forget_all() { streams_.clear(); }

 private:
  struct Stream {
    TenantId tenant;
    int64_t sent = 0;
    int64_t taken = 0;
    int64_t end = 0;  // of what has come
    bool lost = false;
  };
  using Streams = std::map<std::pair<kernel::RunKey, kernel::Stream>, Stream>;
  static bool has_room(const Stream& stream) { return stream.sent - stream.taken < kWindow; }
  void send(const Streams::key_type& of, Stream& stream, std::string bytes);
  // Out of the spool, as far as the window allows.
  void catch_up(const Streams::key_type& of, Stream& stream);

  kernel::Blobs& spool_;
  std::function<void(Output)> send_;
  Streams streams_;
};

}  // namespace millrace::agent
