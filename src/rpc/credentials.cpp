// SPDX-License-Identifier: Apache-2.0
#include "rpc/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>

#include "auth/peer.h"

namespace millrace::rpc {
namespace {

namespace tls = grpc::experimental;

bool is_service(grpc::string_ref uri) {
  auto peer = auth::Peer::parse({uri.data(), uri.size()});
  return peer.ok() && peer->kind == auth::Peer::Kind::Service;
}

// Asked after the chain was verified.
class IsOurServer final : public tls::ExternalCertificateVerifier {
 public:
  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* verdict) override {
    if (std::ranges::none_of(request->uri_names(), is_service)) {
      *verdict = grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                              "the other side's certificate is not that of a Millrace server");
    }
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}
};

std::shared_ptr<tls::FileWatcherCertificateProvider> provider(const TlsFiles& files) {
  return std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.certificate,
                                                               files.authorities, files.reload_s);
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files) {
  tls::TlsServerCredentialsOptions options(provider(files));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const TlsFiles& files) {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider(files));
  options.watch_root_certs();
  if (!files.certificate.empty()) options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<IsOurServer>());
  options.set_check_call_host(false);
  return tls::TlsCredentials(options);
}

}  // namespace millrace::rpc
