// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/authentication.h"

#include <fmt/format.h>

#include "base/text.h"

namespace millrace::rpc {
namespace {

Error nobody(std::string_view expected) {
  return Error(ErrorKind::Unauthorized, "RPC-0004",
               fmt::format("expected {}, found no credential", expected));
}

Result<void> check_peer(auth::Peer::Kind kind, std::string_view what, const Caller& caller) {
  if (caller.peer && caller.peer->kind == kind) return {};
  auto expected = fmt::format("the certificate of a {}", what);
  if (!caller.peer && caller.who.identity.empty()) return nobody(expected);
  return Error(
      ErrorKind::Forbidden, "RPC-0005",
      fmt::format("expected {}, found {}", expected,
                  caller.peer ? caller.peer->uri() : "the token of '" + caller.who.identity + "'"));
}

}  // namespace

Result<void> Authentication::identify(const Presented& presented, Caller& caller) const {
  for (auto uri : presented.uris) {
    if (!uri.starts_with("millrace://")) continue;
    TRY(caller.peer, auth::Peer::parse(uri));
    return {};
  }
  if (presented.bearer.empty()) return {};
  if (auth::PeerTokens::is_peer_token(presented.bearer)) {
    if (!presented.is_local) {
      return Error(ErrorKind::Unauthorized, "RPC-0004",
                   "expected a certificate: a token of a worker or server counts only on the "
                   "machine of the server");
    }
    TRY(caller.peer, peers_.check(presented.bearer, now_ms_()));
    return {};
  }
  TRY(caller.who, tokens_.find(presented.bearer, now_ms_()));
  return {};
}

Result<void> check_access(const Access& access, const Caller& caller) {
  switch (access.kind()) {
    case Access::Kind::Open: return {};
    case Access::Kind::Worker: return check_peer(auth::Peer::Kind::Worker, "worker", caller);
    case Access::Kind::Service: return check_peer(auth::Peer::Kind::Service, "server", caller);
    case Access::Kind::Undeclared: break;
    case Access::Kind::Permission: {
      if (caller.who.permissions.allow(access.permission())) return {};
      if (caller.who.identity.empty() && !caller.peer) {
        return nobody("authorization: Bearer TOKEN");
      }
      return Error(ErrorKind::Forbidden, "RPC-0005",
                   fmt::format("'{}' lacks the permission '{}'",
                               caller.peer ? caller.peer->uri() : caller.who.identity,
                               auth::to_string(access.permission())));
    }
  }
  return Error(ErrorKind::Internal, "RPC-0001", "the method says not who may call it");
}

bool is_local_peer(std::string_view peer) {
  return peer.starts_with("ipv4:127.") || peer.starts_with("ipv6:%5B::1%5D:") ||
         peer.starts_with("ipv6:[::1]:") || peer.starts_with("unix:");
}

std::string address_of_peer(std::string_view peer) {
  auto scheme = peer.find(':');
  std::string address(scheme == std::string_view::npos ? peer : peer.substr(scheme + 1));
  for (auto [from, to] : {std::pair{"%5B", '['}, std::pair{"%5D", ']'}}) {
    if (auto at = address.find(from); at != std::string::npos) address.replace(at, 3, 1, to);
  }
  return address;
}

}  // namespace millrace::rpc
