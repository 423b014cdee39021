// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/http.h"

namespace millrace::net {

class ServerTls;

struct HttpServerOptions {
  std::string address = "127.0.0.1";     // an IP address of this machine
  uint16_t port = 0;                     // 0: any free one, see HttpServer::port
  std::shared_ptr<const ServerTls> tls;  // HTTPS; none: in the clear
  size_t max_connections = 4096;         // one more is answered 503 and closed, see `yields_after`
  // Of one address, so that nobody takes all places. Connections of a trusted proxy are not
  // limited; its requests count for the address that it tells.
  size_t max_connections_per_address = 1024;
  size_t max_requests_per_address = 1024;  // whose answer is not sent yet
  std::vector<Network> trusted_proxies;
  size_t max_header_bytes = 16 << 10;
  size_t body_budget = 64 << 20;  // see Admission::known
  // From a request's first byte to its header's end; from connecting to the first byte.
  async::Duration header_timeout{10'000};
  async::Duration idle_timeout{75'000};  // between requests
  // Where there is no place for a new connection, the one that has waited longest for a request
  // makes it, if it has waited so long.
  async::Duration yields_after{1000};
  // Bodies and answers go at `least_rate` bytes per second, after this long without one.
  async::Duration body_grace{10'000};
  async::Duration write_grace{30'000};
  size_t least_rate = 16 << 10;
};

// What is known of a request when its head is there.
struct Admission {
  // Answered at once; the body is not read.
  std::optional<HttpResponse> refusal;
  size_t body_limit = 1 << 20;  // in bytes; a larger body is refused before it is read
  // Its sender has shown a right. Of others' bodies, what is beyond 64 KiB is read under one budget
  // over all connections, and refused (503) where that has no room.
  bool known = true;
};

// What the server asks its owner.
struct HttpHandlers {
  // Answers a request. Cancelled when its client leaves, or when a stop runs out of its grace. An
  // exception becomes 500.
  std::function<Task<HttpResponse>(HttpRequest&)> handle;
  // Decides about a request that has a body, before that is read. Default: all are known.
  std::function<Admission(HttpRequest&)> admit;
  // Renders what never reaches `handle`: 400, 408, 413, 431, 500, 503. Default: problem+json.
  // Of the request only what was understood is there.
  std::function<HttpResponse(const HttpRequest&, int status, const Error&)> refuse;
};

// An HTTP/1.1 server on one loop: keep-alive, pipelining, streamed responses. Loop thread only.
class HttpServer {
 public:
  // Listens at once. Errors: Unavailable (NET-0004) with the address and the reason.
  static Result<std::unique_ptr<HttpServer>> listen(async::Executor loop, HttpServerOptions options,
                                                    HttpHandlers handlers);
  ~HttpServer();  // must be stopped before

  uint16_t port() const;
  size_t connections() const;

  // Accepts no more, closes idle connections, ends streams, lets requests in flight finish for at
  // most `grace`, then cancels them. Returns when every connection is closed.
  Task<void> stop(async::Duration grace);

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace millrace::net
