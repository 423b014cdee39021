// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "rpc/message.h"

namespace grpc {
class Channel;
class ChannelCredentials;
}  // namespace grpc

namespace millrace::rpc {

// The code of an error (Unavailable) that says that a call has not left: it may be made elsewhere.
inline constexpr std::string_view kNotReached = "RPC-0011";

// What goes with a call besides its message.
struct CallOptions {
  Secret bearer;  // empty: the certificate says who calls
  std::string request_id;
  std::string trace;                          // W3C traceparent
  std::chrono::milliseconds timeout{30'000};  // 0: the server's own limit
};

// A connection to a server, made when it is first needed and again when it broke. Thread-safe;
// copies are the same connection.
class Channel {
 public:
  // `target`: "127.0.0.1:9090". Without credentials: in the clear.
  explicit Channel(const std::string& target,
                   std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr);

  // `got` is called once, on a thread of gRPC. A server that is not there is kNotReached at once:
  // nobody waits for it.
  void call(const std::string& method, const google::protobuf::MessageLite& request,
            const CallOptions& options, std::function<void(Result<grpc::ByteBuffer>)> got) const;
  template <typename Reply>
  void call(const std::string& method, const google::protobuf::MessageLite& request,
            const CallOptions& options, std::function<void(Result<Reply>)> got) const {
    call(method, request, options, [got = std::move(got)](Result<grpc::ByteBuffer> bytes) {
      if (!bytes.ok()) return got(bytes.error());
      Reply reply;
      if (auto read = from_bytes(*bytes, reply); !read.ok()) return got(read.error());
      got(std::move(reply));
    });
  }

  // A call that is answered with many messages. `got` is called with each, then `over` once, both
  // on threads of gRPC; `options.timeout` is for all of it, 0: none. Whoever drops what is returned
  // ends the call; a message that is on its way then may still come.
  struct Stream {
    std::function<void(const grpc::ByteBuffer&)> got;
    std::function<void(Result<void>)> over;
  };
  [[nodiscard]] std::shared_ptr<void> follow(const std::string& method,
                                             const google::protobuf::MessageLite& request,
                                             const CallOptions& options, Stream stream) const;

  const std::shared_ptr<grpc::Channel>& raw() const { return channel_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace millrace::rpc
