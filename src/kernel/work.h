// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/value.h"
#include "model/runtime.h"

// The port between the server, which decides what runs, and a worker, which runs it: in the same
// process, or on another machine. All of it is plain values; work_codec.h turns orders and
// completions into bytes and back.
namespace millrace::kernel {

// Names one run: a later attempt or a stolen lease has another attempt or epoch, and nothing
// that carries the old ones can commit (K6).
struct RunKey {
  ExecutionId execution;
  int32_t attempt = 1;
  int64_t epoch = 0;
  auto operator<=>(const RunKey&) const = default;
};

// Everything a worker needs to run one attempt. Made after the lease is durable. Files are named
// by content, never by a path of the server: the worker knows where it keeps releases.
struct WorkOrder {
  TenantId tenant;
  RunKey key;
  std::string action;       // ref
  std::string pack;         // ref of the pack that the action is of
  std::string release;      // digest of the pack's content: where entry_point is read from
  std::string entry_point;  // path below the release's actions/ folder; of Script
  Runner runner = Runner::Script;
  std::string runner_type;  // as the pack writes it; for people
  Sdk sdk = Sdk::None;      // what starts it, and says its result
  Reuse reuse = Reuse::None;
  std::string identity;  // for whom it runs: processes are kept for one alone
  Runtime runtime;       // of Script
  ParameterDelivery delivery = ParameterDelivery::Stdin;
  ParameterFormat parameter_format = ParameterFormat::Json;
  OutputFormat output_format = OutputFormat::Text;
  std::vector<std::string> arguments;  // these parameters become words of the command, in order
  std::vector<std::string> steering;   // these steer the run (cwd, env, ...), the action does not
                                       // get them
  Value parameters;                    // rendered, defaults filled in, checked against the schema
  Value config;                        // of the pack; of those with an SDK
  std::vector<std::string> secrets;    // masked in output; never logged
  std::vector<std::pair<std::string, std::string>> env;  // MILLRACE_* and the execution's own
  std::vector<std::string> permissions;                  // of the API token that the run asks for
  int64_t timeout_ms = 0;                                // of the run; 0: none

  bool operator==(const WorkOrder&) const = default;
};

// Result: what a run through the SDK says on a descriptor of its own; no part of its output.
enum class Stream : uint8_t { Stdout = 0, Stderr = 1, Result = 2 };

// One occurrence of a secret that masking has hidden. With the order's secrets the server can read
// what was printed, for data must not change; nothing that travels or lies on a disk holds one.
struct Hidden {
  int64_t mask = 0;     // offset of the mask in the stored stream
  int64_t begins = 0;   // of the occurrence, from the first byte that the mask stands for
  uint32_t secret = 0;  // which of WorkOrder::secrets

  bool operator==(const Hidden&) const = default;
};

// What one stream of a finished run left. Up to 64 KiB stands in `bytes`; more is a blob, already
// masked and durable, and `bytes` is then empty.
struct StreamOutput {
  std::string bytes;
  std::string blob;            // reference of the blob (kernel/blobs.h), or empty
  int64_t size = 0;            // stored bytes
  int64_t dropped = 0;         // bytes beyond the cap, not stored
  std::vector<Hidden> hidden;  // in the order of the stream; not stored

  bool operator==(const StreamOutput&) const = default;
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
  // From the spawner to its worker, which reads it into `output`; empty everywhere else.
  StreamOutput result;
  // Of in-process runs (core.http) the result as it is, of runs through the SDK what they have
  // said. Of others, when `is_read`: what stdout says, or why that cannot be told; the worker has
  // read it because it is large. Else null.
  Value output;
  std::string output_error;
  bool is_read = false;
  bool says_failed = false;  // of a run through the SDK: whatever its exit code
  int64_t started_ms = 0;
  int64_t ended_ms = 0;

  bool operator==(const Completion&) const = default;
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
  std::vector<RunKey> adopted = {};  // runs that live on from before: the same attempts
  // It is another process than the server: its session is a lease that has to be renewed.
  bool elsewhere = false;
  std::vector<std::string> labels = {};  // what it offers (model/labels.h), runtimes apart
  // Rises with each session that it asks for: what it has asked of another server before, and hears
  // no answer of, opens none after this. 0: of the server's own process, there is no other.
  int64_t opening = 0;
};

// What the worker has to know of a run that its session adopts, and that else stands in its order.
struct AdoptedRun {
  TenantId tenant;
  RunKey key;
  OutputFormat output_format = OutputFormat::Text;
  std::vector<std::string> secrets;  // as in its order; of Text none
};

// The code of the refusal of a session that has an older WorkerHello::opening than one before.
inline constexpr std::string_view kLateOpening = "AGT-0009";

// A worker's lease on all that it runs. Ids are never used twice; a worker has one session at a
// time, and the next one ends it.
struct Session {
  SessionId id;
  WorkerId worker;
  // Of a worker in another process: the session ends when it was not renewed for ttl_ms, renewals
  // are due each renew_ms, and after fence_ms without an answer the worker ends its runs itself,
  // before somebody else may start them. ttl_ms 0: it lasts as long as this process.
  int64_t ttl_ms = 0;
  int64_t renew_ms = 0;
  int64_t fence_ms = 0;
  // Monotonic: from when on the lease is sure to count; 0: from the call of `open`.
  int64_t since_ms = 0;
  std::vector<AdoptedRun> adopted = {};  // of those that the worker has named: they go on
};

// The receiving side of a worker. Called from any thread, also the one that commits: the calls
// keep what they are given and return at once. What is not of the current session is ignored.
class WorkReceiver {
 public:
  virtual ~WorkReceiver() = default;
  // Start these; `started` is already durable for each (K7).
  virtual void grant(SessionId session, std::vector<WorkOrder> orders) = 0;
  // End this run and report it as Canceled; `reason` is for people. Repeated until the run's
  // completion is durable; an unknown run is reported as Lost, for its tenant.
  virtual void cancel(SessionId session, const Of<RunKey>& run, std::string reason) = 0;
  // The session is over: open another one. A hint, which a renewal gives as well.
  virtual void over(SessionId /*session*/) {}
};

// All that a worker knows of the server. Thread-safe. Callbacks come once, on any thread, perhaps
// before the call returns: they keep what they are given and return at once.
//
//   open -> opened -> grant... -> finished...  close
//   grant -> preparing -> prepared -> go -> started, or: no, forget it
class WorkSource {
 public:
  virtual ~WorkSource() = default;
  // Opens a session. Nothing is granted before `opened` has returned; then grants flow to
  // `receiver` until `close`. An error: there is no session, try again later.
  virtual void open(WorkerHello hello, WorkReceiver& receiver,
                    std::function<void(Result<Session>)> opened) = 0;
  // NotFound: the session is over. Its worker opens another one, and names what it still runs.
  virtual void renew(SessionId session, std::function<void(Result<void>)> renewed) = 0;
  // Ends this session and no other; returns after the last call into its receiver has ended. Its
  // worker leaves. With a ttl it has ended its runs, and what becomes of them is decided now;
  // without one its spawner keeps them for the next session.
  virtual void close(SessionId session) = 0;
  // Nothing more is granted in this session. Its worker leaves when its runs have ended.
  virtual void drain(SessionId /*session*/) {}
  // A hint for followers of the output.
  virtual void output(SessionId session, OutputChunk chunk) = 0;
  // The run cannot start before its environment is there; `what` says what is being built.
  // Nothing of the order has happened yet: until `prepared` the execution counts as scheduled.
  virtual void preparing(SessionId session, TenantId tenant, const RunKey& key,
                         std::string what) = 0;
  // The environment is there. `go(true)` when `started` is durable again: the run may begin.
  // `go(false)` when it may not (canceled, an old epoch): forget it, nobody waits for its end.
  virtual void prepared(SessionId session, TenantId tenant, const RunKey& key,
                        std::function<void(bool)> go) = 0;
  // `done` is called when the completion is durable, or refused for good (an old epoch, an
  // already final execution): either way the worker may forget the run. While the store is
  // unavailable the source retries by itself. Of a session that is over nothing is taken and
  // `done` never called: the worker reports the run in its next session.
  virtual void finished(SessionId session, Completion completion, std::function<void()> done) = 0;
};

}  // namespace millrace::kernel
