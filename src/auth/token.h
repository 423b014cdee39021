// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/crypto.h"
#include "auth/permission.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/secret.h"

namespace millrace::auth {

// API tokens: `mr_` and 32 random bytes as hex. The server keeps only their SHA-256: a token has
// 256 bits of entropy, so that a slow password hash would add nothing.
Secret make_token(const Random& random);
// Lower-case hex: what stands in the token's row.
std::string token_hash(std::string_view token);

// Who stands behind a request, and what they may do.
struct Principal {
  TenantId tenant;
  std::string identity;
  Permissions permissions;
  ExecutionId execution;           // of an execution-scoped token
  std::vector<std::string> roles;  // which inquiries it may answer
  // Of a sensor's token: of keys it reaches those of this pack, and it sends events of these
  // triggers. Empty: there is no such bound.
  std::string pack;
  std::vector<std::string> triggers;
  int64_t expires = 0;  // Unix ms; 0: never
  TokenId token;        // whose row it is of
};

// A role of a token stands among its permissions.
inline constexpr std::string_view kRolePrefix = "role:";
// So do the bounds of a sensor's.
inline constexpr std::string_view kPackPrefix = "pack:";
inline constexpr std::string_view kTriggerPrefix = "trigger:";

// What the words of a token's row allow. A name that this version does not know grants nothing.
Permissions granted_by(std::string_view words);

// The part of a token's row that the cache needs.
struct StoredToken {
  TokenId id;
  TenantId tenant;
  std::string hash;
  std::string identity;
  std::string permissions;  // and roles, as role:NAME, and bounds
  int64_t expires = 0;      // Unix ms; 0: never
};

// All live tokens by their hash. Thread-safe.
class TokenCache {
 public:
  // Adds or replaces.
  void put(const StoredToken& token);
  void remove(TokenId id);

  // Errors: Unauthorized, AUT-0002 (unknown or revoked), AUT-0003 (expired).
  Result<Principal> find(std::string_view token, int64_t now_ms) const;
  size_t size() const;

 private:
  struct Entry {
    TokenId id;
    std::string hash;
    Principal principal;
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Entry, StringHash, std::equal_to<>> by_hash_;
};

// One run of one execution, as its token names it.
struct RunClaim {
  TenantId tenant;
  ExecutionId execution;
  int32_t attempt = 1;
  int64_t epoch = 0;
  bool operator==(const RunClaim&) const = default;
};

// Execution-scoped tokens: `mrx.TENANT.EXECUTION.ATTEMPT.EPOCH.HMAC`, the HMAC-SHA-256 in hex
// over all that stands before it. Nothing is stored: the key proves that the server made it, and
// whoever accepts one must still see that this run is the current one (K6). `keys`: the first one
// signs, all are accepted (after a rotation).
class RunTokens {
 public:
  explicit RunTokens(std::vector<Secret> keys) : keys_(std::move(keys)) {}

  Secret make(const RunClaim& run) const;
  // Errors: Unauthorized, AUT-0004.
  Result<RunClaim> check(std::string_view token) const;
  static bool is_run_token(std::string_view token) { return token.starts_with("mrx."); }

 private:
  std::vector<Secret> keys_;
};

}  // namespace millrace::auth
