// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "async/task.h"
#include "net/url.h"

namespace millrace::net {

// A connection to a server, plain or TLS. The one place where the two differ.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  // 0 at the server's end of the stream.
  virtual Task<Result<size_t>> read_some(char* data, size_t size) = 0;
  virtual Task<Result<void>> write(std::string_view head, std::string_view body) = 0;
  // False when the server has closed it or has sent something unasked.
  virtual bool is_quiet() = 0;
};

// Certificates of the system's store, and of `ca_file` unless it is "". Read once.
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> create(const std::string& ca_file);
  ~TlsContext();

 private:
  friend Task<Result<std::unique_ptr<ClientStream>>> open_stream(Url url, TlsContext* tls);
  struct State;
  explicit TlsContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Looks up the name, connects, and for https verifies the certificate against the host's name.
// `tls` may be nullptr for http.
Task<Result<std::unique_ptr<ClientStream>>> open_stream(Url url, TlsContext* tls);

}  // namespace millrace::net
