// SPDX-License-Identifier: Apache-2.0
// For tests only.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rpc/channel.h"
#include "services/grpc/server.h"

namespace millrace::rpc {

constexpr int64_t kTestNow = 1'800'000'000'000;

// The same bytes on every run.
inline auth::Random counted_random() {
  return [next = std::make_shared<std::atomic<int>>(0)](std::span<uint8_t> out) {
    for (auto& byte : out) byte = static_cast<uint8_t>(next->fetch_add(1));
  };
}

// What a server knows of who may call, and a server.
struct ServerRig {
  auth::TokenCache tokens;
  auth::PeerTokens peers{std::vector<Secret>{Secret("test key")}};
  Authentication authentication{tokens, peers, [] { return kTestNow; }};
  std::unique_ptr<Server> server;

  static ServerOptions options() {
    ServerOptions options;
    options.now_ms = [] { return kTestNow; };
    options.random = counted_random();
    return options;
  }

  void allow(const std::string& token, const std::string& permissions, int64_t expires = 0) {
    tokens.put({TokenId{static_cast<int64_t>(tokens.size()) + 1}, TenantId{1},
                auth::token_hash(token), "alice", permissions, expires});
  }
  Result<void> start(std::vector<Method> methods, ServerOptions with = options()) {
    TRY(server, Server::start(std::move(with), authentication, std::move(methods)));
    return {};
  }
  Channel channel() const { return Channel("127.0.0.1:" + std::to_string(server->port())); }
};

// Waits for the answer.
template <typename Reply>
Result<Reply> ask(const Channel& channel, const std::string& method,
                  const google::protobuf::MessageLite& request, const CallOptions& options = {}) {
  std::promise<Result<Reply>> answered;
  channel.call<Reply>(method, request, options,
                      [&](Result<Reply> reply) { answered.set_value(std::move(reply)); });
  return answered.get_future().get();
}

inline CallOptions as(std::string token) {
  CallOptions options;
  options.bearer = Secret(std::move(token));
  return options;
}

}  // namespace millrace::rpc
