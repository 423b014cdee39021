// SPDX-License-Identifier: Apache-2.0
#include "app/grpc_front.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "base/time.h"

namespace millrace::app {
namespace {

// Longer than a call, and than clocks differ.
constexpr int64_t kOwnTokenMs = 600'000;

bool is_this_machine(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost" ||
         address.starts_with("[::1]");
}

std::string name_of_machine() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string in_brackets(const std::string& host) {
  bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return is_v6 ? '[' + host + ']' : host;
}

// Names of the configuration may hold what a URI's part may not.
GrpcFront::Given with_plain_name(GrpcFront::Given given) {
  for (char& c : given.self.instance) {
    if (!auth::is_peer_name({&c, 1})) c = '-';
  }
  return given;
}

}  // namespace

GrpcFront::GrpcFront(Given given)
    : given_(with_plain_name(std::move(given))),
      authorities_(given_.keys.derive("authority")),
      peer_tokens_(given_.keys.derive("peer tokens")),
      authentication_(given_.tokens, peer_tokens_, unix_ms) {}

GrpcFront::~GrpcFront() = default;

Result<std::unique_ptr<GrpcFront>> GrpcFront::open(Given given) {
  std::unique_ptr<GrpcFront> front(new GrpcFront(std::move(given)));
  const auto& config = front->given_.config;
  if (config.tls || !is_this_machine(config.address)) {
    TRY(front->identity_, IdentityFiles::open(front->given_.folder, front->given_.self,
                                              front->authorities_, unix_ms()));
  }
  return front;
}

Result<void> GrpcFront::start(std::vector<rpc::Method> methods) {
  const auto& config = given_.config;
  rpc::ServerOptions options;
  options.address = in_brackets(config.address);
  options.port = static_cast<uint16_t>(config.port);
  options.max_calls = static_cast<int>(config.max_streams);
  options.keepalive_ms = config.keepalive_ms;
  options.keepalive_timeout_ms = config.keepalive_timeout_ms;
  options.reflection = config.reflection;
  options.now_ms = unix_ms;
  options.random = auth::system_random();
  options.observe = given_.observe;
  if (identity_) options.credentials = rpc::server_credentials(identity_->files());
  TRY(server_, rpc::Server::start(std::move(options), authentication_, std::move(methods)));
  return {};
}

std::string GrpcFront::address() const {
  if (!server_) return {};
  std::string host = given_.config.advertise;
  bool has_port = host.starts_with('[')
                      ? host.find("]:") != std::string::npos
                      : host.find(':') == host.rfind(':') && host.find(':') != std::string::npos;
  if (has_port) return host;
  if (host.empty()) host = given_.config.address;
  if (host == "0.0.0.0" || host == "::") host = name_of_machine();
  return fmt::format("{}:{}", in_brackets(host), server_->port());
}

void GrpcFront::set_serving(bool serving) {
  if (server_) server_->set_serving(serving);
}

void GrpcFront::stop(std::chrono::milliseconds grace) {
  if (server_) server_->stop(grace);
}

std::shared_ptr<grpc::ChannelCredentials> GrpcFront::channel_credentials() const {
  return identity_ ? rpc::channel_credentials(identity_->files()) : nullptr;
}

Secret GrpcFront::own_token() const {
  if (identity_) return {};
  return peer_tokens_.make(given_.self, unix_ms() + kOwnTokenMs);
}

Result<api::WorkerIdentity> GrpcFront::admit(const std::string& name, const std::string& request,
                                             std::string_view peer) const {
  auth::Peer worker{auth::Peer::Kind::Worker, name, {}};
  int64_t now_ms = unix_ms();
  // Also where it is not needed: what is no request is told.
  TRY(auto certificate,
      authorities_.issuer().issue(request, {worker.uri(), {}, {}}, auth::CertificateUse::Client,
                                  now_ms, auth::kCertificateLifetimeMs));
  api::WorkerIdentity joined{.certificate = std::move(certificate),
                             .authorities = authorities_.bundle(),
                             .token = {},
                             .expires = now_ms + auth::kCertificateLifetimeMs,
                             .grpc = address()};
  if (has_tls()) return joined;
  if (!is_this_machine(peer)) {
    return Error(ErrorKind::Forbidden, "SEC-0004",
                 fmt::format("worker '{}' asks from {}, and gRPC of this server is in the clear on "
                             "{}: give it an address that others reach (grpc.address)",
                             name, peer, given_.config.address));
  }
  joined.certificate.clear();
  joined.authorities.clear();
  joined.token = peer_tokens_.make(worker, joined.expires);
  return joined;
}

Result<int64_t> GrpcFront::renew(int64_t now_ms) const {
  if (identity_) return identity_->renew(authorities_, now_ms);
  return INT64_MAX;
}

}  // namespace millrace::app
