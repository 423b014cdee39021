// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "auth/crypto.h"
#include "base/result.h"
#include "base/secret.h"

namespace millrace::auth {

// Seals a text with what a person knows: a key by Argon2id (RFC 9106; 64 MiB, 3 passes), then
// AES-256-GCM. About 100 ms of CPU each. The text's form:
//   {"kdf": "argon2id", "memory_kib": 65536, "passes": 3, "salt": BASE64, "box": BASE64}
// with box = nonce, ciphertext, tag. Errors: Unavailable, AUT-0015 (the 64 MiB are not there).
Result<std::string> seal_with_passphrase(const Secret& passphrase, std::string_view plain,
                                         const Random& random);

// Errors: Invalid, AUT-0013 (it is no such text, or asks for more than 1 GiB or 10 passes);
// Forbidden, AUT-0014 (another passphrase, or it was changed); Unavailable, AUT-0015 (the memory
// that it asks for is not there).
Result<Secret> open_with_passphrase(const Secret& passphrase, std::string_view sealed);

}  // namespace millrace::auth
