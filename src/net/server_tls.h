// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace millrace::net {

// One connection of a client, over a socket that does not block. The handshake happens on the way
// of the first read. Loop thread only.
class TlsSession {
 public:
  // What a call came to: bytes moved, or what the socket must be ready for first, or the end.
  enum class Need : uint8_t { Nothing, Readable, Writable, End };
  struct Moved {
    size_t bytes = 0;
    Need need = Need::Nothing;
  };

  TlsSession(std::shared_ptr<ssl_ctx_st> context, int socket);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;

  Moved read(char* data, size_t size);
  Moved write(const char* data, size_t size);
  // Says goodbye, if the socket takes it at once: the client knows then that nothing was cut off.
  void farewell();

 private:
  Moved outcome(int result) const;
  std::shared_ptr<ssl_ctx_st> context_;  // the session outlives a reload
  int socket_;
  ssl_st* session_;
};

// A server's certificate and its key, from files, which may be replaced while it runs: the next
// handshake then has the new ones. TLS 1.3, or 1.2 with ECDHE and AEAD; no renegotiation, no early
// data. Thread-safe.
class ServerTls {
 public:
  // Errors: Unavailable, NET-0022.
  static Result<std::shared_ptr<ServerTls>> load(std::string certificate_file,
                                                 std::string key_file);

  // Reads the files when one of them has changed. True: there are new ones. A file that cannot be
  // used is an error, and what was there stays in force. Blocking, brief.
  Result<bool> reload();
  std::unique_ptr<TlsSession> session(int socket) const;

 private:
  ServerTls(std::string certificate_file, std::string key_file)
      : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)) {}

  const std::string certificate_file_;
  const std::string key_file_;
  mutable std::mutex mutex_;
  std::string read_;  // what the files held when they were last looked at
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace millrace::net
