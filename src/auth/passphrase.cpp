// SPDX-License-Identifier: Apache-2.0
#include "auth/passphrase.h"

#include <fmt/format.h>
#include <sodium.h>

#include "base/json.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

constexpr int64_t kMemoryKib = 64 << 10;
constexpr int64_t kPasses = 3;
constexpr int64_t kMostMemoryKib = 1 << 20;
constexpr int64_t kMostPasses = 10;
constexpr std::string_view kPurpose = "millrace keys.json";

Result<Secret> key_of(const Secret& passphrase, std::string_view salt, int64_t memory_kib,
                      int64_t passes) {
  std::string key(kAesKeyBytes, '\0');
  const auto& text = passphrase.reveal();
  int failed = crypto_pwhash(reinterpret_cast<unsigned char*>(key.data()), key.size(), text.data(),
                             text.size(), reinterpret_cast<const unsigned char*>(salt.data()),
                             static_cast<unsigned long long>(passes),
                             static_cast<size_t>(memory_kib) * 1024, crypto_pwhash_ALG_ARGON2ID13);
  if (failed == 0) return Secret(std::move(key));
  return Error(
      ErrorKind::Unavailable, "AUT-0015",
      fmt::format("a passphrase needs {} MiB of memory for a moment, and this process does "
                  "not get it",
                  (memory_kib + 1023) / 1024));
}

Error not_sealed() {
  return Error(ErrorKind::Invalid, "AUT-0013",
               "this is no text that Millrace has sealed with a passphrase");
}

}  // namespace

Result<std::string> seal_with_passphrase(const Secret& passphrase, std::string_view plain,
                                         const Random& random) {
  std::string salt = random_bytes(random, crypto_pwhash_SALTBYTES);
  std::string nonce = random_bytes(random, kAesNonceBytes);
  TRY(Secret key, key_of(passphrase, salt, kMemoryKib, kPasses));
  std::string box = nonce + aes_gcm_seal(key.reveal(), nonce, kPurpose, plain);
  return to_json(Value::map({{"kdf", "argon2id"},
                             {"memory_kib", kMemoryKib},
                             {"passes", kPasses},
                             {"salt", base64_encode(salt)},
                             {"box", base64_encode(box)}}));
}

Result<Secret> open_with_passphrase(const Secret& passphrase, std::string_view sealed) {
  auto value = parse_json(sealed);
  if (!value.ok() || !value->is_map()) return not_sealed();
  std::string salt;
  std::string box;
  bool is_text = base64_decode(value->string_or("salt", ""), salt) &&
                 base64_decode(value->string_or("box", ""), box);
  int64_t memory_kib = value->int_or("memory_kib", 0);
  int64_t passes = value->int_or("passes", 0);
  bool is_sane = is_text && value->string_or("kdf", "") == "argon2id" &&
                 salt.size() == crypto_pwhash_SALTBYTES && box.size() > kAesNonceBytes &&
                 memory_kib >= 8 && memory_kib <= kMostMemoryKib && passes >= 1 &&
                 passes <= kMostPasses;
  if (!is_sane) return not_sealed();
  TRY(Secret key, key_of(passphrase, salt, memory_kib, passes));
  std::string_view rest = box;
  auto nonce = rest.substr(0, kAesNonceBytes);
  auto plain = aes_gcm_open(key.reveal(), nonce, kPurpose, rest.substr(kAesNonceBytes));
  if (plain) return Secret(std::move(*plain));
  return Error(ErrorKind::Forbidden, "AUT-0014",
               "the passphrase does not open these keys: it is another one, or they were changed");
}

}  // namespace millrace::auth
