// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

// X.509 (RFC 5280) for workers and servers: keys on P-256, everything as PEM.
namespace millrace::auth {

Secret make_private_key();
// What the owner of a key asks to have signed (PKCS #10, RFC 2986). Names are not part of it: who
// signs knows for whom it does. Errors: Invalid, AUT-0018.
Result<std::string> certificate_request(const Secret& key);

enum class CertificateUse : uint8_t { Client, ServerAndClient };

// What every server of ours is called in a handshake, whatever name it is reached by: gRPC asks for
// some name, and a server tells of each that its certificate does not have on stderr. Who it is,
// its URI says.
inline constexpr const char* kServerName = "server.millrace.internal";

struct CertificateNames {
  std::string uri;                     // see Peer
  std::vector<std::string> dns;        // "node-1.example"
  std::vector<std::string> addresses;  // "192.0.2.1"
};

struct CertificateFacts {
  std::vector<std::string> uris;
  int64_t begins_ms = 0;  // Unix ms
  int64_t ends_ms = 0;
  std::string fingerprint;  // SHA-256 of its DER form, lower-case hex
};
// Of the first certificate of `pem`. Errors: Invalid, AUT-0019.
Result<CertificateFacts> read_certificate(std::string_view pem);
// When to ask for the next one: two thirds of its life.
int64_t renewal_due_ms(const CertificateFacts& facts);

// That certificate of a bundle whose public key has this pin (Authority::pin), as PEM. Errors:
// NotFound, AUT-0019: none has it.
Result<std::string> authority_of_pin(std::string_view bundle, std::string_view pin);

// Who signs. It is not stored: whoever has the key ring has it, so that all servers of a store are
// the same authority, and a new key of the ring is a new authority beside the old one. Immutable,
// thread-safe.
class Authority {
 public:
  // The same seed gives the same key and name; the certificate's own signature is another each
  // time, which no verifier looks at. `seed`: of KeyRing::derive.
  static Authority derive(const Secret& seed);

  // What others trust: PEM, from 2024 to 2054.
  const std::string& certificate() const { return certificate_; }
  // SHA-256 of its public key (SubjectPublicKeyInfo, as in RFC 7469), lower-case hex.
  const std::string& pin() const { return pin_; }

  // Whether this is a certificate of its own issue, with its key.
  bool issued(const std::string& certificate, const Secret& key) const;
  // The certificate of whoever has made `request`: it proves that they have its key. Begins five
  // minutes ago, for clocks that go behind. Errors: Invalid, AUT-0018.
  Result<std::string> issue(std::string_view request, const CertificateNames& names,
                            CertificateUse use, int64_t now_ms, int64_t lifetime_ms) const;

 private:
  Authority(std::string certificate, Secret key, std::string pin)
      : certificate_(std::move(certificate)), key_(std::move(key)), pin_(std::move(pin)) {}
  std::string certificate_;
  Secret key_;
  std::string pin_;
};

// Those of a key ring: the first one issues, all are trusted.
class Authorities {
 public:
  explicit Authorities(const std::vector<Secret>& seeds);
  const Authority& issuer() const { return all_.front(); }
  std::string bundle() const;  // all certificates, PEM

 private:
  std::vector<Authority> all_;
};

inline constexpr int64_t kCertificateLifetimeMs = 24 * 3'600'000;

}  // namespace millrace::auth
