// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "auth/peer.h"
#include "auth/token.h"
#include "base/result.h"
#include "rpc/message.h"

namespace millrace::rpc {

// Who calls, once the chain has let the call through.
struct Caller {
  auth::Principal who;             // by a bearer token
  std::optional<auth::Peer> peer;  // by a certificate
  std::string address;             // "127.0.0.1:4711"
  std::string request_id;
  std::string trace;                               // W3C traceparent
  std::chrono::system_clock::time_point deadline;  // of a unary call
};

// One call in the hands of its handler, unary or stream, as bytes (method.h has it with types).
// Thread-safe: from any thread, at any time, also when the call is over; then nothing happens.
// Callbacks come on a thread of gRPC, outside of any lock.
class Call {
 public:
  virtual ~Call() = default;

  virtual const Caller& caller() const = 0;
  // The next message, or null at the end. One at a time.
  virtual void read(std::function<void(const grpc::ByteBuffer*)> got) = 0;
  virtual void write(grpc::ByteBuffer message, std::function<void(bool)> written) = 0;
  void write(grpc::ByteBuffer message) { write(std::move(message), {}); }
  // After all that was written. The first one counts.
  virtual void finish(Result<void> how) = 0;
  virtual void on_end(std::function<void()> ended) = 0;
  virtual void on_drain(std::function<void()> drain) = 0;
};

}  // namespace millrace::rpc
