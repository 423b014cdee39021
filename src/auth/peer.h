// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace millrace::auth {

// A process that is no user: what its certificate names, in a URI (security.md 5).
//   millrace://worker/NAME
//   millrace://service/ROLE/INSTANCE
struct Peer {
  enum class Kind : uint8_t { Worker, Service };
  Kind kind = Kind::Worker;
  std::string name;      // of the worker; a service's role
  std::string instance;  // of a service

  std::string uri() const;
  // Errors: Unauthorized, AUT-0016.
  static Result<Peer> parse(std::string_view uri);
  bool operator==(const Peer&) const = default;
};

// Letters, digits, `.`, `_`, `-`: 1 to 128 of them.
bool is_peer_name(std::string_view text);

// Where there are no certificates, which is on one machine: `mrp.EXPIRES.HMAC.URI`, the HMAC over
// both. Nothing is stored: who has the key ring made it. `keys`: the first one signs, all are
// accepted (after a rotation).
class PeerTokens {
 public:
  explicit PeerTokens(std::vector<Secret> keys) : keys_(std::move(keys)) {}

  Secret make(const Peer& peer, int64_t expires_ms) const;
  // Errors: Unauthorized, AUT-0017.
  Result<Peer> check(std::string_view token, int64_t now_ms) const;
  static bool is_peer_token(std::string_view token) { return token.starts_with("mrp."); }

 private:
  std::string proof(const Secret& key, std::string_view expires, std::string_view uri) const;
  std::vector<Secret> keys_;
};

}  // namespace millrace::auth
