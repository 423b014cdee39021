// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/identity_files.h"
#include "auth/certificate.h"
#include "auth/key_ring.h"
#include "auth/peer.h"
#include "auth/token.h"
#include "services/api/options.h"
#include "services/grpc/authentication.h"
#include "services/grpc/server.h"

namespace millrace::app {

// The gRPC side of a server: who it is, whom it trusts, its listener. On the loopback in the clear,
// where peers show tokens of the key ring; elsewhere by certificates. Any thread.
class GrpcFront {
 public:
  struct Given {
    GrpcSection config;
    std::string folder;  // of the identity's files
    auth::Peer self;
    const auth::KeyRing& keys;
    const auth::TokenCache& tokens;
    std::function<void(const rpc::CallObservation&)> observe;
  };
  // Makes its certificate, where it has one: from here on it may ask others. Errors: of the files.
  static Result<std::unique_ptr<GrpcFront>> open(Given given);
  ~GrpcFront();

  // Listens. Errors: RPC-0001, RPC-0002.
  Result<void> start(std::vector<rpc::Method> methods);
  // HOST:PORT by which others reach it; empty before.
  std::string address() const;
  bool has_tls() const { return identity_.has_value(); }
  void set_serving(bool serving);
  void stop(std::chrono::milliseconds grace);

  // How others are reached: by certificate, or with a token.
  std::shared_ptr<grpc::ChannelCredentials> channel_credentials() const;
  Secret own_token() const;  // empty: the certificate says it

  // For POST /workers/join, and for renewals. Errors: AUT-0018; Forbidden, SEC-0004: a worker of
  // another machine, where there are no certificates.
  Result<api::WorkerIdentity> admit(const std::string& name, const std::string& request,
                                    std::string_view peer) const;
  std::string pin() const { return authorities_.issuer().pin(); }
  // Renews what is due; when to look again, Unix ms.
  Result<int64_t> renew(int64_t now_ms) const;

 private:
  explicit GrpcFront(Given given);
  const Given given_;
  const auth::Authorities authorities_;
  const auth::PeerTokens peer_tokens_;
  const rpc::Authentication authentication_;
  std::optional<IdentityFiles> identity_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace millrace::app
