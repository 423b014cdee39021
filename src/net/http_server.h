// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/http.h"

namespace millrace::net {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // an IP address of this machine
  uint16_t port = 0;                  // 0: any free one, see HttpServer::port
  size_t max_connections = 4096;      // one more is answered 503 and closed
  size_t max_header_bytes = 16 << 10;
  async::Duration header_timeout{10'000};  // from a request's first byte to its header's end
  async::Duration body_timeout{60'000};    // for the whole body
  async::Duration idle_timeout{75'000};    // between requests
  async::Duration write_timeout{30'000};   // for the client to take what is sent at once
};

// What the server asks its owner.
struct HttpHandlers {
  // Answers a request. Cancelled only when a stop runs out of its grace. An exception becomes 500.
  std::function<Task<HttpResponse>(HttpRequest&)> handle;
  // The largest body in bytes that this request may have; only the head is there yet. A larger
  // one is refused before it is read. Default: 1 MiB.
  std::function<size_t(const HttpRequest&)> body_limit;
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
