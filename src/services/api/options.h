// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "auth/crypto.h"
#include "auth/token.h"
#include "base/result.h"
#include "base/secret.h"
#include "kernel/blobs.h"
#include "net/http.h"
#include "net/http_client.h"
#include "services/api/pack_changes.h"
#include "services/api/sensor_desk.h"

namespace millrace::api {

enum class Phase : uint8_t { Starting, Ready, Draining };

// One answered request, for metrics.
struct Observation {
  std::string_view route;  // the route's name, "" when none matched
  std::string_view method;
  int status = 0;
  int64_t duration_ns = 0;  // until the answer was ready; a stream's begin
};

// The identity of a worker that was let in.
struct WorkerIdentity {
  std::string certificate;  // PEM
  std::string authorities;  // PEM
  Secret token;             // instead of it, on one machine
  int64_t expires = 0;      // Unix ms
  std::string grpc;         // where its session is
};

// How workers from outside are let in; without `admit` none are.
struct Joining {
  // `request`: PKCS #10, PEM; `peer`: the address that asks. Errors: AUT-0018, SEC-0004.
  std::function<Result<WorkerIdentity>(const std::string& name, const std::string& request,
                                       std::string_view peer)>
      admit;
  std::string pin;  // of the authority
};

// A client's request on its way to the server that owns what it is about.
struct ForwardedRequest {
  std::string method;
  std::string target;  // path and query
  net::HeaderList headers;
  std::string body;
  auth::Principal who;  // as the server found that took it; no identity: the route asks for none
  std::string peer;     // the client's address
  int hops = 0;         // servers that it has come through
  std::string request_id;
  std::string trace;
  async::Duration left{};
};
struct ForwardedAnswer {
  int status = 0;
  std::string content_type;
  net::HeaderList headers;
  std::string body;
};

// What the composition root gives besides the collaborators.
struct ApiOptions {
  std::string version;             // of the program
  kernel::Blobs* blobs = nullptr;  // process output above 64 KiB; outlives the API
  int64_t max_connections = 0;     // told in /info
  size_t webhook_body_limit = 10 << 20;
  size_t event_body_limit = 1 << 20;
  int last_verdicts = 50;           // of a rule, when nobody says how many
  int max_streams = 256;            // open event streams; one more is answered 429
  int max_streams_each = 64;        // of these, of one identity
  int64_t keep_alive_ms = 15'000;   // a silent stream sends a comment this often
  int64_t stream_pause_ms = 20;     // a stream reads the change feed at most this often
  std::function<int64_t()> now_ms;  // Unix ms
  auth::Random random;
  std::function<std::string()> metrics;  // the text of /metrics
  // What keeps the server from being all well, a line each; told in /health. May be empty.
  std::function<std::vector<std::string>()> troubles;
  std::function<void(const Observation&)> observe;  // may be empty
  Joining join;
  PackDesk packs;
  SensorDesk sensors;
  // Asks another server, by its node; empty: there are no others. Loop thread. Errors: those of the
  // way there; one with the code `not_reached`: nothing has arrived.
  std::function<Task<Result<net::HttpResponse>>(ForwardedRequest, int node)> forward;
  std::string not_reached;
  // Output of a run whose worker has its session with the server of that node: what is kept of it,
  // and unless `kept_only` what comes, until the answer is dropped. `over` is called once, `got`
  // never after it; any thread. Null: that server is not known. Empty: there are no others.
  std::function<std::shared_ptr<void>(int node, Of<ExecutionId>, bool kept_only,
                                      std::function<void(const kernel::OutputChunk&)> got,
                                      std::function<void()> over)>
      follow_output;
  std::function<std::string()> grpc_address;  // HOST:PORT, told in /info; empty: none
};

}  // namespace millrace::api
