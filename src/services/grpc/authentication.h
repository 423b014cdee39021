// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/peer.h"
#include "auth/token.h"
#include "services/grpc/call.h"
#include "services/grpc/method.h"

namespace millrace::rpc {

// What a call shows of its caller.
struct Presented {
  std::string_view bearer;             // without its scheme
  std::vector<std::string_view> uris;  // of a certificate that the handshake has verified
  bool is_local = false;               // the connection is of this machine
};

// Who calls, and whether they may. Thread-safe.
class Authentication {
 public:
  Authentication(const auth::TokenCache& tokens, const auth::PeerTokens& peers,
                 std::function<int64_t()> now_ms)
      : tokens_(tokens), peers_(peers), now_ms_(std::move(now_ms)) {}

  // Fills `who` or `peer`; a certificate counts more than a token. Nothing that is shown is no
  // error yet. Errors: Unauthorized, AUT-0002, AUT-0003, AUT-0016, AUT-0017; RPC-0004, a worker's
  // or server's token from another machine.
  Result<void> identify(const Presented& presented, Caller& caller) const;

 private:
  const auth::TokenCache& tokens_;
  const auth::PeerTokens& peers_;
  std::function<int64_t()> now_ms_;
};

// Errors: Unauthorized, RPC-0004: nobody; Forbidden, RPC-0005: somebody else.
Result<void> check_access(const Access& access, const Caller& caller);

// "ipv4:127.0.0.1:4711" and "unix:" are of this machine.
bool is_local_peer(std::string_view peer);
// The same as people write it: "127.0.0.1:4711", "[::1]:4711".
std::string address_of_peer(std::string_view peer);

}  // namespace millrace::rpc
