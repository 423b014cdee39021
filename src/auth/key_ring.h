// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "auth/crypto.h"
#include "base/ids.h"
#include "base/secret.h"

namespace millrace::auth {

// What a sealed text belongs to. It is authenticated with the text: a sealed value that is copied
// to another row, or put back in an older version's place, does not open.
struct SealedFor {
  TenantId tenant;
  std::string_view scope;  // "webhook"; of a key its own: "system", "user:alice"
  std::string_view name;
  int64_t version = 0;
};

// The keys that seal secrets at rest. One is active and seals; all open. Immutable: a rotation
// makes a new ring, and what older keys have sealed stays readable.
class KeyRing {
 public:
  // A ring with one new key.
  static KeyRing create(const Random& random);
  // The ring's JSON form:
  //   {"active": "k2", "keys": [{"id": "k1", "key": BASE64}, {"id": "k2", "key": BASE64}]}
  // Errors: Invalid, AUT-0005; a message never quotes a key.
  static Result<KeyRing> parse(std::string_view json);
  std::string to_json() const;

  // A ring with one more key, which is active.
  KeyRing rotated(const Random& random) const;
  std::string_view active_id() const { return keys_[active_].id; }

  // `v1.KEY_ID.BASE64(nonce, ciphertext, tag)`, AES-256-GCM.
  std::string seal(const SealedFor& owner, std::string_view plain, const Random& random) const;
  // Errors: Internal, AUT-0006 (damaged, or it belongs to something else), AUT-0007 (its key is
  // not in the ring).
  Result<Secret> open(const SealedFor& owner, std::string_view sealed) const;
  // True when the active key has sealed it.
  bool is_current(std::string_view sealed) const;

  // A key of its own for one purpose, from each key of the ring, the active one first.
  std::vector<Secret> derive(std::string_view purpose) const;

 private:
  struct Key {
    std::string id;
    Secret bytes;
  };
  KeyRing(std::vector<Key> keys, size_t active) : keys_(std::move(keys)), active_(active) {}

  std::vector<Key> keys_;
  size_t active_ = 0;
};

// Reads the ring's file, or makes it (mode 0600, synced) when there is none. Blocking.
// Errors: Forbidden, AUT-0008, when others may read the file; Unavailable, AUT-0009.
Result<KeyRing> open_key_file(const std::string& path, const Random& random);
// Replaces the file in one step.
Result<void> write_key_file(const std::string& path, const KeyRing& ring);

}  // namespace millrace::auth
