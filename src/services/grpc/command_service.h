// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "auth/token.h"
#include "kernel/blobs.h"
#include "rpc/channel.h"
#include "services/grpc/method.h"

// millrace.internal.v1.CommandService, both ends of it: what one server asks another.
namespace millrace::rpc {

using HeaderLines = std::vector<std::pair<std::string, std::string>>;

// A request of a client that another server has taken.
struct Forwarded {
  std::string method;
  std::string target;  // path and query
  HeaderLines headers;
  std::string body;
  auth::Principal who;  // as that server found
  std::string address;  // the client's
  int hops = 1;
  std::string request_id;
  std::string trace;
  std::chrono::milliseconds left{30'000};  // until its client gives up
};

struct ForwardedAnswer {
  int status = 0;
  std::string content_type;
  HeaderLines headers;
  std::string body;
};

// What this server does for others. Called on threads of gRPC; they return at once.
struct CommandHandlers {
  std::function<void(Forwarded, std::function<void(Result<ForwardedAnswer>)>)> submit;
  // On a thread of its own: it reads files.
  std::function<void(std::function<void()>)> run_blocking;
  kernel::Blobs* blobs = nullptr;
};
std::vector<Method> command_service(CommandHandlers handlers);

// The other end: one server that is asked. Thread-safe.
class RemoteServer {
 public:
  // `token` is asked before each call; empty: the channel's certificate says who this is.
  RemoteServer(Channel channel, std::function<Secret()> token)
      : channel_(std::move(channel)), token_(std::move(token)) {}

  // `got` comes on a thread of gRPC. Errors: what the other one says, and when nothing has reached
  // it, so that somebody else may be asked: Unavailable, RPC-0011.
  void submit(const Forwarded& request, std::function<void(Result<ForwardedAnswer>)> got) const;
  struct Piece {
    int64_t size = 0;
    std::string bytes;
  };
  // Blocking. Errors: NotFound, BLB-0001; RPC-0009, RPC-0011.
  Result<Piece> read_blob(const std::string& ref, int64_t from, int64_t count,
                          std::chrono::milliseconds limit) const;

 private:
  CallOptions options(std::chrono::milliseconds limit) const;
  Channel channel_;
  std::function<Secret()> token_;
};

// What one GetBlob gives at most.
inline constexpr int64_t kBlobPiece = 1 << 20;

}  // namespace millrace::rpc
