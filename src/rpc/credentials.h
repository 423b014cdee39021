// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace millrace::rpc {

// Where a worker or server keeps who it is, as PEM. The files may be replaced: the next handshake
// then has the new ones, at the latest `reload_s` seconds after.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string authorities;  // whom it trusts, and nobody else
  unsigned reload_s = 10;
};

// A client needs no certificate; one that it shows is verified.
std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files);
// Without a certificate of its own when `files` names none. The other side must be a server of
// ours, which its certificate's URI says; under which name or address it was reached does not
// matter.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const TlsFiles& files);

}  // namespace millrace::rpc
