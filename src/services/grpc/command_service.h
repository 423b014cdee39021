// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "agent/messages.h"
#include "auth/token.h"
#include "kernel/blobs.h"
#include "kernel/permits.h"
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

using OnOutput = std::function<void(const kernel::OutputChunk&)>;
using OnPermits = std::function<void(Result<std::vector<kernel::Permit>>)>;

// What this server does for others. Called on threads of gRPC; they return at once.
struct CommandHandlers {
  std::function<void(Forwarded, std::function<void(Result<ForwardedAnswer>)>)> submit;
  // On a thread of its own: it reads files. With an error: it may not, which is the answer.
  std::function<void(std::function<void(Result<void>)>)> run_blocking;
  kernel::Blobs* blobs = nullptr;
  // Of what is staged here.
  std::function<Result<agent::ReleasePiece>(const agent::WantRelease&)> read_release;
  // As engine::Engine has them.
  std::function<int64_t(Of<ExecutionId>, OnOutput)> on_output;
  std::function<void(int64_t)> forget_output;
  std::function<void(kernel::PermitAsk, OnPermits)> lend;
  std::function<void(int64_t)> take_back;
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
  // `got` comes on a thread of gRPC. Errors: NotFound, APP-0011: it is not there; as read_blob.
  void read_release(const agent::WantRelease& want, std::chrono::milliseconds limit,
                    std::function<void(Result<agent::ReleasePiece>)> got) const;
  // `got` comes on a thread of gRPC. Errors: as submit.
  void ask_slots(const kernel::PermitAsk& ask, OnPermits got) const;
  // Nobody hears whether it has arrived: a permit is over by itself.
  void give_slot_back(int64_t number) const;
  // Output of a run whose worker's home that server is: what is kept, and unless `kept_only` what
  // comes, until what is returned is dropped. `over` is called once, `on_output` never after it;
  // both on threads of gRPC.
  struct Output {
    OnOutput on_output;
    std::function<void()> over;
  };
  [[nodiscard]] std::shared_ptr<void> follow_output(Of<ExecutionId> execution, bool kept_only,
                                                    Output output) const;

 private:
  CallOptions options(std::chrono::milliseconds limit) const;
  Channel channel_;
  std::function<Secret()> token_;
};

// What one GetBlob gives at most.
inline constexpr int64_t kBlobPiece = 1 << 20;
// Live output on its way to one follower; what comes beyond it he misses.
inline constexpr int64_t kOutputOnItsWay = 4 << 20;

}  // namespace millrace::rpc
