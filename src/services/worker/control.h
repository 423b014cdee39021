// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kernel/work.h"
#include "services/worker/run_limits.h"

namespace millrace::worker {

// The language between a worker (in the server) and its spawner. Grammar: control.cpp.
inline constexpr uint32_t kProtocolVersion = 5;

enum class Delivery : uint8_t { Stdin = 0, File = 1 };

// Worker to spawner, first on a connection through the socket: the bytes of {run}/spawner.secret.
// Read by SpawnerDoor.
struct Proof {
  std::string secret;
};

// What a process that serves one call after another is held to. Of the worker's configuration.
struct WarmTerms {
  int64_t processes = 8;  // of one spawner; 0: none
  int64_t calls = 1'000;  // of one process, which ends then
  int64_t age_ms = 3'600'000;
  int64_t idle_ms = 60'000;
  int64_t memory_bytes = 512 << 20;  // after a call
  bool operator==(const WarmTerms&) const = default;
};

// Of a launch that such a process may serve; its argv then has `--serve` behind it.
struct WarmCall : WarmTerms {
  Reuse reuse = Reuse::None;
  Sdk sdk = Sdk::None;
  // Whose calls one process serves: all that a call may know is in it. Never logged.
  std::string key;
  std::vector<std::string> env;  // the process's own; Launch::env is the call's
};

// Worker to spawner: start this. A key that the spawner knows already is ignored.
// The spawner adds TMPDIR, MILLRACE_ARTIFACTS_DIR and, for Delivery::File,
// MILLRACE_PARAMETERS_FILE to the environment, because only it knows the run's folders.
struct Launch {
  TenantId tenant;
  kernel::RunKey key;
  std::vector<std::string> argv;
  std::vector<std::string> env;  // NAME=value, each name once
  std::string cwd;               // relative to the run's own temp folder
  Delivery delivery = Delivery::Stdin;
  std::string parameters;    // bytes for stdin or the file
  bool says_result = false;  // on a descriptor of its own, whose number MILLRACE_RESULT_FD says
  std::vector<std::string> secrets;
  int64_t timeout_ms = 0;  // 0: none
  int64_t grace_ms = 0;    // between SIGTERM and SIGKILL
  int64_t output_cap = 0;  // stored bytes per stream
  RunLimits limits;
  WarmCall warm;
};

// Worker to spawner: end the run as Canceled.
struct Kill {
  kernel::RunKey key;
};

// Worker to spawner: the server itself runs this one, without a process. Should the connection
// end before the Ack, the spawner reports the run as Lost: so the next server hears of it.
struct Hold {
  TenantId tenant;
  kernel::RunKey key;
};

// Worker to spawner: the server's word for its runs holds until then. When no later word has come
// the spawner kills them all, and each that it is told to start: somebody else may run them soon.
// Whatever has become of the worker: dead, stopped, or cut off from its server.
struct Lease {
  int64_t until_ms = 0;  // CLOCK_MONOTONIC of this machine; 0: it holds for ever
};

// Worker to spawner: the completion is durable; forget the run.
struct Ack {
  kernel::RunKey key;
};

// Worker to spawner: this server stops in good order; do not wait for another one when idle.
struct Goodbye {};

// One run that the spawner still holds.
struct HeldRun {
  TenantId tenant;
  kernel::RunKey key;
  int64_t started_ms = 0;
};

// Spawner to worker, first on every connection. Runs that have ended are among `runs` too; their
// Exited frames follow at once.
struct Hello {
  uint32_t version = kProtocolVersion;
  std::string boot_id;
  int64_t pid = 0;
  int64_t started_ns = 0;  // since boot: with pid and boot id it names one spawner process
  std::vector<HeldRun> runs;
  bool same_spawner(const Hello& other) const {
    return boot_id == other.boot_id && pid == other.pid && started_ns == other.started_ns;
  }
  // The same as one text.
  std::string instance() const;
};

// Spawner to worker: output as it comes, masked. A hint: dropped when the worker lags.
struct Chunk {
  kernel::RunKey key;
  kernel::Stream stream = kernel::Stream::Stdout;
  int64_t offset = 0;
  std::string bytes;
};

// Spawner to worker: how a run ended. Sent again on every new connection until it is acknowledged.
struct Exited {
  kernel::Completion completion;  // without `output`
};

using Frame = std::variant<Proof, Launch, Kill, Hold, Lease, Ack, Goodbye, Hello, Chunk, Exited>;

// Each appends one frame to `out`. False, and nothing appended, when it is above kMaxFrame.
void encode(std::string& out, const Proof& proof);
[[nodiscard]] bool encode(std::string& out, const Launch& launch);
void encode(std::string& out, const Kill& kill);
void encode(std::string& out, const Hold& hold);
void encode(std::string& out, const Lease& lease);
void encode(std::string& out, const Ack& ack);
void encode(std::string& out, const Goodbye& goodbye);
void encode(std::string& out, const Hello& hello);
void encode_chunk(std::string& out, const kernel::RunKey& key, kernel::Stream stream,
                  int64_t offset, std::string_view bytes);
void encode(std::string& out, const Exited& exited);

// One frame as FrameBuffer::next gives it.
Result<Frame> decode(std::string_view frame);

}  // namespace millrace::worker
