// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <charconv>

namespace millrace {
namespace {

constexpr int64_t kEpochMs = 1704067200000;  // 2024-01-01T00:00:00Z
constexpr int kNodeBits = 10;
constexpr int kSequenceBits = 12;
constexpr int64_t kSequenceMask = (1 << kSequenceBits) - 1;

}  // namespace

Result<int64_t> parse_id(std::string_view text, std::string_view what) {
  int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value <= 0) {
    return Error(ErrorKind::Invalid, "BAS-0001",
                 std::string(what) + ": expected a decimal id, found '" +
                     std::string(text.substr(0, 40)) + "'");
  }
  return value;
}

IdSource::IdSource(uint16_t node, int64_t last)
    : node_bits_(static_cast<int64_t>(node & ((1 << kNodeBits) - 1)) << kSequenceBits),
      last_(last) {}

int64_t IdSource::next(int64_t now_ms) {
  int64_t ms = now_ms - kEpochMs;
  if (ms < 0) ms = 0;
  int64_t candidate = (ms << (kNodeBits + kSequenceBits)) | node_bits_;
  if (candidate <= last_) {
    // Same millisecond, or the clock went back: continue after the last id. A full sequence
    // borrows from the next millisecond.
    int64_t sequence = last_ & kSequenceMask;
    int64_t last_ms = last_ >> (kNodeBits + kSequenceBits);
    if (sequence == kSequenceMask) {
      candidate = ((last_ms + 1) << (kNodeBits + kSequenceBits)) | node_bits_;
    } else {
      candidate = (last_ms << (kNodeBits + kSequenceBits)) | node_bits_ | (sequence + 1);
    }
    // Another node's id was higher (a store restored from elsewhere): step over it.
    if (candidate <= last_) {
      candidate = ((last_ms + 1) << (kNodeBits + kSequenceBits)) | node_bits_;
    }
  }
  last_ = candidate;
  return candidate;
}

int64_t id_time_ms(int64_t id) { return (id >> (kNodeBits + kSequenceBits)) + kEpochMs; }

int64_t first_id_at(int64_t unix_ms) {
  int64_t ms = unix_ms - kEpochMs;
  return ms <= 0 ? 0 : ms << (kNodeBits + kSequenceBits);
}

}  // namespace millrace
