// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>

#include <deque>
#include <mutex>
#include <vector>

#include "services/grpc/call.h"
#include "services/grpc/method.h"

namespace millrace::rpc {

// What a call came to, for whoever counts and logs.
struct CallEnd {
  const Call& call;
  const Method* method = nullptr;  // null: there is none of that name
  std::string_view name;           // as the client wrote it
  const Caller& caller;
  const std::optional<Error>& error;
  std::chrono::nanoseconds took;
};

// A call as gRPC has it. It keeps itself alive until gRPC is done with it; handlers may keep it for
// longer.
class LiveCall final : public Call, private grpc::ServerGenericBidiReactor {
 public:
  using Ended = std::function<void(const CallEnd&)>;

  // `context` lives until gRPC is done.
  static std::shared_ptr<LiveCall> open(grpc::GenericCallbackServerContext& context,
                                        const Method* method, Caller caller, Ended ended);
  grpc::ServerGenericBidiReactor* reactor() { return this; }
  // Calls the handler: with the request, once it is read, or with the stream.
  void serve();
  // The server stops.
  void drain();

  const Caller& caller() const override { return caller_; }
  void read(std::function<void(const grpc::ByteBuffer*)> got) override;
  using Call::write;
  void write(grpc::ByteBuffer message, std::function<void(bool)> written) override;
  void finish(Result<void> how) override;
  void on_end(std::function<void()> ended) override;
  void on_drain(std::function<void()> drain) override;

 private:
  using Got = std::function<void(const grpc::ByteBuffer*)>;
  struct Outgoing {
    grpc::ByteBuffer message;
    std::function<void(bool)> written;
  };
  // What is to be called when the lock is given back.
  using Later = std::vector<std::function<void()>>;

  LiveCall(grpc::GenericCallbackServerContext& context, const Method* method, Caller caller,
           Ended ended);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void end(Result<void> how, bool at_once);
  void finish_now(Later& later);  // with the lock

  grpc::GenericCallbackServerContext* context_;
  const Method* method_;
  const std::string name_;
  const Caller caller_;
  const Ended ended_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  grpc::Alarm alarm_;  // the deadline of a unary call

  std::mutex mutex_;
  std::shared_ptr<LiveCall> self_;  // until gRPC is done
  grpc::ByteBuffer incoming_;
  Got reading_;
  bool client_is_done_ = false;
  std::deque<Outgoing> outgoing_;    // the first one is under way
  std::optional<Result<void>> how_;  // it is to end so, when all is written
  bool finished_ = false;            // gRPC was told
  bool is_draining_ = false;
  std::optional<Error> error_;
  std::vector<std::function<void()>> on_end_;
  std::function<void()> on_drain_;
};

}  // namespace millrace::rpc
