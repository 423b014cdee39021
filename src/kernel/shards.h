// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "base/ids.h"

namespace millrace::kernel {

inline constexpr int kShards = 64;
// Messages, timers, queue entries and workflows of one root execution share a shard (0..63).
int shard_of(TenantId tenant, int64_t root);

// A set of shards: what one partition owns, what one step writes.
class ShardSet {
 public:
  constexpr ShardSet() = default;  // empty
  static constexpr ShardSet all() { return ShardSet(~uint64_t{0}); }
  static constexpr ShardSet of(int shard) { return ShardSet(uint64_t{1} << shard); }
  // From `first` up to, not including, `end`.
  static constexpr ShardSet range(int first, int end) {
    ShardSet set;
    for (int shard = first; shard < end; ++shard) set.add(shard);
    return set;
  }
  constexpr void add(int shard) { bits_ |= uint64_t{1} << shard; }
  constexpr bool has(int shard) const { return (bits_ >> shard & 1) != 0; }
  constexpr bool covers(ShardSet other) const { return (other.bits_ & ~bits_) == 0; }
  constexpr int size() const { return std::popcount(bits_); }
  constexpr bool empty() const { return bits_ == 0; }
  // Bit N stands for shard N: how a statement gets the set.
  constexpr int64_t bits() const { return static_cast<int64_t>(bits_); }
  constexpr bool operator==(const ShardSet&) const = default;

 private:
  constexpr explicit ShardSet(uint64_t bits) : bits_(bits) {}
  uint64_t bits_ = 0;
};

}  // namespace millrace::kernel
