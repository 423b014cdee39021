// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The only place that includes OpenSSL. Everything is thread-safe.
namespace millrace::auth {

// Fills the span with bytes that nobody can predict. An argument everywhere, so that tests can
// say which bytes come.
using Random = std::function<void(std::span<uint8_t>)>;
// The operating system's source.
Random system_random();
std::string random_bytes(const Random& random, size_t count);

using Digest = std::array<uint8_t, 32>;
inline std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest sha256(std::string_view bytes);
// The same of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(std::string_view bytes);
  Digest finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};
// HMAC-SHA-256 (RFC 2104) of the parts one after the other.
Digest hmac_sha256(std::string_view key, std::initializer_list<std::string_view> parts);

// HMAC-SHA-1, its 20 bytes: for senders that sign with nothing better.
std::string hmac_sha1(std::string_view key, std::initializer_list<std::string_view> parts);

// Takes the same time wherever the texts differ; only their lengths can be learned from it.
bool equal_in_constant_time(std::string_view a, std::string_view b);

inline constexpr size_t kAesKeyBytes = 32;
inline constexpr size_t kAesNonceBytes = 12;
inline constexpr size_t kAesTagBytes = 16;

// AES-256-GCM (NIST SP 800-38D): the ciphertext and its tag. `associated` is authenticated, not
// encrypted. A nonce must never come twice under one key.
std::string aes_gcm_seal(std::string_view key, std::string_view nonce, std::string_view associated,
                         std::string_view plain);
// Nothing when key, nonce, associated data or a single bit of the box is not what was sealed.
std::optional<std::string> aes_gcm_open(std::string_view key, std::string_view nonce,
                                        std::string_view associated, std::string_view box);

}  // namespace millrace::auth
