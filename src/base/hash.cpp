// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <sys/random.h>

#include <cstring>

#include "base/result.h"

namespace millrace {
namespace {

struct Key {
  uint64_t first, second;
};

Key drawn() {
  Key key;
  // Up to 256 bytes come whole and uninterrupted (getrandom(2)).
  ssize_t got = getrandom(&key, sizeof key, 0);
  ASSERT_MSG(got == sizeof key, "the kernel gives no random bytes");
  return key;
}

// Aumasson, Bernstein: SipHash: a fast short-input PRF (2012), with 1 and 3 rounds as in Rust and
// Python.
struct State {
  uint64_t v0, v1, v2, v3;

  [[clang::no_sanitize("unsigned-integer-overflow")]] void round() {  // it wraps, on purpose
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t seeded_hash(std::string_view bytes) noexcept {
  static const Key key = drawn();
  State state{key.first ^ 0x736F6D6570736575ULL, key.second ^ 0x646F72616E646F6DULL,
              key.first ^ 0x6C7967656E657261ULL, key.second ^ 0x7465646279746573ULL};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    state.take(word);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t i = at; i < bytes.size(); ++i) {
    last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * (i - at));
  }
  state.take(last);
  state.v2 ^= 0xFF;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace millrace
