// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

// The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014): inputs that differ in a few bits give outputs that differ in half of them. What is stored
// depends on it: it may never change.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}
inline constexpr uint64_t kGolden64 = 0x9E3779B97F4A7C15ULL;  // its step from one input to the next

}  // namespace millrace
