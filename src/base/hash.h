// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace {

// The hash of every table whose keys come from outside: SipHash-1-3 with a key that each process
// draws from the kernel, so that nobody can make keys that collide. A table's order never depends
// on it where the order is seen. Not for what is stored or compared between processes. Any thread.
uint64_t seeded_hash(std::string_view bytes) noexcept;

inline uint64_t seeded_hash(uint64_t word) noexcept {
  auto bytes = std::bit_cast<std::array<char, sizeof word>>(word);
  return seeded_hash(std::string_view(bytes.data(), bytes.size()));
}

// Lets unordered maps with std::string keys be searched by string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept { return seeded_hash(text); }
};

}  // namespace millrace
