// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "auth/crypto.h"
#include "base/result.h"
#include "policy/gcra.h"
#include "services/grpc/authentication.h"
#include "services/grpc/method.h"

namespace grpc {
class ServerCredentials;
}

namespace millrace::rpc {

// One call that is over, for metrics.
struct CallObservation {
  std::string_view service;  // "millrace.v1.SystemService"; "" when there is no such method
  std::string_view method;   // "Info"
  std::string_view code;     // "OK", "NOT_FOUND"
  int64_t duration_ns = 0;
  bool is_stream = false;
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;                                     // 0: any that is free
  std::shared_ptr<grpc::ServerCredentials> credentials;  // none: in the clear
  int max_calls = 1000;                                  // at once, streams among them
  std::chrono::milliseconds deadline{30'000};            // of a unary call whose client gives none
  int64_t keepalive_ms = 30'000;
  int64_t keepalive_timeout_ms = 10'000;
  policy::Rate rate{.limit = 200, .per_ms = 1000, .burst = 1000};  // of one client
  bool reflection = false;
  std::function<int64_t()> now_ms;  // Unix ms
  auth::Random random;
  std::function<void(const CallObservation&)> observe;  // may be empty; any thread
};

// The gRPC server. Every method, of whatever service, comes through one chain before its handler:
// request id, trace, deadline, size, who calls, may they, how often; and after it: metrics, log,
// the error's status. Runs on threads of gRPC's own.
class Server {
 public:
  // Serves at once, but as not serving (grpc.health.v1). `authentication` outlives it, and what the
  // methods use. Errors: Internal, RPC-0001: the table of methods; Unavailable, RPC-0002: the
  // address.
  static Result<std::unique_ptr<Server>> start(ServerOptions options,
                                               const Authentication& authentication,
                                               std::vector<Method> methods);
  ~Server();
  Server(const Server&) = delete;

  int port() const;
  // What /ready says.
  void set_serving(bool serving);
  // No new calls; streams are told, and whoever is not done after `grace` is cut off. Blocks until
  // the last call is over. Once.
  void stop(std::chrono::milliseconds grace);

 private:
  class Chain;
  explicit Server(std::unique_ptr<Chain> chain);
  std::unique_ptr<Chain> chain_;
};

}  // namespace millrace::rpc
