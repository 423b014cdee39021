// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "auth/permission.h"
#include "services/grpc/call.h"

namespace millrace::rpc {

// What a method asks of its caller. There is no default: a method without one does not start.
class Access {
 public:
  enum class Kind : uint8_t { Undeclared, Permission, Worker, Service, Open };

  constexpr Access() = default;
  constexpr Access(auth::Permission permission)
      : kind_(Kind::Permission), permission_(permission) {}
  // A worker, by its certificate.
  static constexpr Access worker() { return Access(Kind::Worker); }
  // Another server of this store, by its certificate.
  static constexpr Access service() { return Access(Kind::Service); }
  static constexpr Access open() { return Access(Kind::Open); }

  constexpr Kind kind() const { return kind_; }
  constexpr auth::Permission permission() const { return permission_; }

 private:
  constexpr explicit Access(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::Undeclared;
  auth::Permission permission_ = auth::Permission::Admin;
};

// Called on a thread of gRPC: they return at once, and answer from any thread.
using UnaryHandler = std::function<void(std::shared_ptr<Call>, const grpc::ByteBuffer& request)>;
using StreamHandler = std::function<void(std::shared_ptr<Call>)>;

// One line of what a server offers: name, right, handler.
struct Method {
  std::string name;  // "millrace.v1.SystemService/Info"
  Access access;
  std::variant<UnaryHandler, StreamHandler> handler;

  bool is_stream() const { return std::holds_alternative<StreamHandler>(handler); }
};

// The answer of a unary call: given once, from any thread. A call without one ends at its deadline.
template <typename Reply>
class Answer {
 public:
  explicit Answer(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  const Caller& caller() const { return call_->caller(); }
  void operator()(const Result<Reply>& reply) const {
    if (!reply.ok()) return call_->finish(reply.error());
    call_->write(to_bytes(*reply));
    call_->finish({});
  }

 private:
  std::shared_ptr<Call> call_;
};

// unary<InfoRequest, InfoReply>("millrace.v1.SystemService/Info", Permission::SystemRead,
//                               [](InfoRequest request, Answer<InfoReply> answer) {...})
template <typename Request, typename Reply>
Method unary(std::string name, Access access, std::function<void(Request, Answer<Reply>)> handler) {
  auto decode = [handler = std::move(handler)](std::shared_ptr<Call> call,
                                               const grpc::ByteBuffer& bytes) {
    Request request;
    if (auto read = from_bytes(bytes, request); !read.ok()) return call->finish(read.error());
    handler(std::move(request), Answer<Reply>(std::move(call)));
  };
  return {std::move(name), access, UnaryHandler(std::move(decode))};
}

// A stream with its messages as types. Copies are the same stream.
template <typename In, typename Out>
class Stream {
 public:
  explicit Stream(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  const Caller& caller() const { return call_->caller(); }
  // The next message; nothing when the client has sent its last one or is gone. A message that is
  // none ends the call as Invalid, and counts as the client's end. One read at a time.
  void read(std::function<void(std::optional<In>)> got) const {
    call_->read([call = call_, got = std::move(got)](const grpc::ByteBuffer* bytes) {
      if (!bytes) return got(std::nullopt);
      In message;
      if (auto is = from_bytes(*bytes, message); !is.ok()) {
        call->finish(is.error());
        return got(std::nullopt);
      }
      got(std::move(message));
    });
  }
  // In order. `written`: it has left, or (false) never will.
  void write(const Out& message, std::function<void(bool)> written = {}) const {
    call_->write(to_bytes(message), std::move(written));
  }
  // After all that was written.
  void finish(Result<void> how) const { call_->finish(std::move(how)); }
  // Called once: the call is over, whoever ended it. At once when it is already.
  void on_end(std::function<void()> ended) const { call_->on_end(std::move(ended)); }
  // Called at most once: the server stops. Who does nothing is cut off when its time is over.
  void on_drain(std::function<void()> drain) const { call_->on_drain(std::move(drain)); }

 private:
  std::shared_ptr<Call> call_;
};

// Of both ways, of the server alone, of the client alone: the handler reads and writes.
template <typename In, typename Out>
Method stream(std::string name, Access access, std::function<void(Stream<In, Out>)> handler) {
  auto open = [handler = std::move(handler)](std::shared_ptr<Call> call) {
    handler(Stream<In, Out>(std::move(call)));
  };
  return {std::move(name), access, StreamHandler(std::move(open))};
}

}  // namespace millrace::rpc
