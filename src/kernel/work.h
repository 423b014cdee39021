// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/value.h"
#include "model/pack.h"

namespace millrace::kernel {

// Names one run: a later attempt or a stolen lease has another attempt or epoch, and nothing
// that carries the old ones can commit (K6).
struct RunKey {
  ExecutionId execution;
  int32_t attempt = 1;
  int64_t epoch = 0;
  auto operator<=>(const RunKey&) const = default;
};

// Everything a worker needs to run one attempt. Made after the lease is durable; plain data, so
// that it can cross a process border.
struct WorkOrder {
  TenantId tenant;
  RunKey key;
  std::shared_ptr<const Action> action;
  Runtime runtime;                   // of Script actions
  std::string pack_folder;           // absolute; read-only at run time
  Value parameters;                  // rendered, defaults filled in, checked against the schema
  std::vector<std::string> secrets;  // masked in output; never logged
  std::vector<std::pair<std::string, std::string>> env;  // MILLRACE_* and the execution's own
  int64_t timeout_ms = 0;
};

enum class Stream : uint8_t { Stdout = 0, Stderr = 1 };

// What one stream of a finished run left. Up to 64 KiB stands in `bytes`; more lies in `file`,
// already masked and synced, and `bytes` is then empty.
struct StreamOutput {
  std::string bytes;
  std::string file;     // path below the data folder's output/, or empty
  int64_t size = 0;     // stored bytes
  int64_t dropped = 0;  // bytes beyond the cap, not stored
};

enum class RunEnd : uint8_t {
  Exited,       // `exit_code` tells
  Signaled,     // ended by a signal of its own making; `exit_code` is 128 + signal
  TimedOut,     // killed after its timeout; the whole tree is gone
  Canceled,     // killed on request; the whole tree is gone
  SpawnFailed,  // never started; `message` says why
  Lost,         // nobody knows how it ended
};

struct Completion {
  TenantId tenant;
  RunKey key;
  RunEnd end = RunEnd::Exited;
  int exit_code = 0;
  std::string message;  // for people: why it could not start, what killed it
  StreamOutput out;
  StreamOutput err;
  Value output;  // of in-process runs (core.http): the result as it is; else null
  int64_t started_ms = 0;
  int64_t ended_ms = 0;
};

// A live piece of output: a hint for followers, not durable. Already masked.
struct OutputChunk {
  TenantId tenant;
  RunKey key;
  Stream stream = Stream::Stdout;
  int64_t offset = 0;  // of the first byte in its stream
  std::string bytes;
};

// What a worker tells about itself when it opens its session.
struct WorkerHello {
  std::string name;
  int slots = 0;  // runs at the same time
  std::vector<std::string> runtimes;
  // Changes whenever runs may have been forgotten: the spawner's own id. While it stays the same,
  // a run that is not in `adopted` was never started and may be granted again.
  std::string instance;
  std::vector<RunKey> adopted;  // runs that live on from before: the same attempts
};

// The receiving side of a worker. Calls come on the worker's own executor (they are posted).
class WorkReceiver {
 public:
  virtual ~WorkReceiver() = default;
  // Start these; `started` is already durable for each (K7).
  virtual void grant(std::vector<WorkOrder> orders) = 0;
  // End this run and report it as Canceled. Repeated until the run's completion is durable;
  // an unknown run is reported as Lost.
  virtual void cancel(const RunKey& key) = 0;
};

// All that a worker knows of the server: in process today, over gRPC between machines later.
// The implementation is thread-safe. Callbacks come on any thread: the worker posts them on.
class WorkSource {
 public:
  virtual ~WorkSource() = default;
  // Opens the worker's session. Grants flow to `receiver` from then on, until `close`.
  virtual void open(WorkerHello hello, WorkReceiver& receiver) = 0;
  // No more grants; returns after the last call into the receiver has ended.
  virtual void close() = 0;
  // A hint for followers of the output.
  virtual void output(OutputChunk chunk) = 0;
  // `done` is called when the completion is durable, or refused for good (an old epoch, an
  // already final execution): either way the worker may forget the run. While the store is
  // unavailable the source retries by itself.
  virtual void finished(Completion completion, std::function<void()> done) = 0;
};

}  // namespace millrace::kernel
