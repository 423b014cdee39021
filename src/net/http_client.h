// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "async/task.h"
#include "net/url.h"

namespace millrace::net {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  HeaderList headers;  // without Host, Content-Length, Transfer-Encoding, Connection
  std::string body;
};

struct ClientResponse {
  int status = 0;
  HeaderList headers;
  std::string body;

  // The first value, or "".
  std::string_view find_header(std::string_view name) const;
};

struct HttpClientOptions {
  async::Duration connect_timeout{10'000};  // name, connection and TLS together
  async::Duration read_timeout{60'000};     // the longest silence of the server
  size_t max_response_bytes = 16 << 20;     // of a body that is not streamed
  int max_redirects = 0;
  size_t max_idle = 64;  // kept connections of all servers; the one that waits longest goes
  std::string ca_file;   // PEM; trusted besides the system's store
  std::string user_agent = "millrace";
};

// An HTTP/1.1 client on one loop; keeps connections alive and reuses them. Requests may run side
// by side. Certificates are verified against the system's store. For a limit on the whole
// exchange: async::with_deadline.
//
// Errors: Invalid (NET-0010 URL, NET-0011 method or header), Unavailable (NET-0012: no
// connection, NET-0013: it broke, NET-0016: no certificates to trust), Timeout (NET-0014), TooLarge
// (NET-0015).
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;

  Task<Result<ClientResponse>> send(ClientRequest request);

  // Gives the pieces of a 2xx body to `on_piece` as they arrive, until it returns false. A body of
  // another status is collected into the response.
  using OnPiece = std::function<bool(std::string_view)>;
  Task<Result<ClientResponse>> stream(ClientRequest request, OnPiece on_piece);

 private:
  class Exchange;
  struct Idle;

  Task<Result<ClientResponse>> send_once(const ClientRequest& request, const Url& url,
                                         const OnPiece& on_piece);

  HttpClientOptions options_;
  std::unique_ptr<Idle> idle_;
};

}  // namespace millrace::net
