// SPDX-License-Identifier: Apache-2.0
#include "app/identity_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"

namespace millrace::app {
namespace {

constexpr size_t kLongestPem = 256 << 10;

}  // namespace

Result<IdentityFiles> IdentityFiles::open(const std::string& folder, auth::Peer peer,
                                          const auth::Authorities& authorities, int64_t now_ms) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec || ::chmod(folder.c_str(), 0700) != 0) {
    return Error(ErrorKind::Unavailable, "APP-0004",
                 fmt::format("folder '{}': {}", folder,
                             ec ? ec.message() : "not ours to protect (chmod failed)"));
  }
  rpc::TlsFiles files{.certificate = folder + "/server.crt",
                      .key = folder + "/server.key",
                      .authorities = folder + "/authorities.crt"};
  IdentityFiles identity(std::move(files), std::move(peer));
  TRY(identity.renew(authorities, now_ms));
  return identity;
}

bool IdentityFiles::is_good(const auth::Authorities& authorities, int64_t now_ms,
                            int64_t& due_ms) const {
  auto key = read_file(files_.key, kLongestPem);
  auto certificate = read_file(files_.certificate, kLongestPem);
  auto trusted = read_file(files_.authorities, kLongestPem);
  if (!key.ok() || !certificate.ok() || !trusted.ok()) return false;
  auto facts = auth::read_certificate(*certificate);
  if (!facts.ok() || facts->uris != std::vector{peer_.uri()}) return false;
  due_ms = auth::renewal_due_ms(*facts);
  return due_ms > now_ms && facts->begins_ms <= now_ms &&
         authorities.issuer().issued(*certificate, Secret(*key));
}

// The key first, and last the certificate: whoever reads between the two finds that they do not
// belong together, and reads again.
Result<int64_t> IdentityFiles::renew(const auth::Authorities& authorities, int64_t now_ms) const {
  int64_t due_ms = 0;
  if (is_good(authorities, now_ms, due_ms)) return due_ms;
  auto key = auth::make_private_key();
  TRY(auto request, auth::certificate_request(key));
  TRY(auto certificate, authorities.issuer().issue(request, {peer_.uri(), {auth::kServerName}, {}},
                                                   auth::CertificateUse::ServerAndClient, now_ms,
                                                   auth::kCertificateLifetimeMs));
  TRY(replace_file(files_.authorities, authorities.bundle(), 0600));
  TRY(replace_file(files_.key, key.reveal(), 0600));
  TRY(replace_file(files_.certificate, certificate, 0600));
  TRY(auto facts, auth::read_certificate(certificate));
  return auth::renewal_due_ms(facts);
}

}  // namespace millrace::app
