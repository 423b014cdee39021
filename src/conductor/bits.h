// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::conductor {

// A set of small numbers, as large as the largest of them.
class Bits {
 public:
  void add(size_t number) {
    if (number / 64 >= words_.size()) words_.resize(number / 64 + 1);
    words_[number / 64] |= uint64_t{1} << number % 64;
  }
  bool has(size_t number) const {
    return number / 64 < words_.size() && (words_[number / 64] >> number % 64 & 1) != 0;
  }
  void unite(const Bits& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void intersect(const Bits& other) {
    words_.resize(std::min(words_.size(), other.words_.size()));
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  bool includes(const Bits& other) const {
    for (size_t i = 0; i < other.words_.size(); ++i) {
      uint64_t own = i < words_.size() ? words_[i] : 0;
      if ((other.words_[i] & ~own) != 0) return false;
    }
    return true;
  }
  bool operator==(const Bits& other) const { return includes(other) && other.includes(*this); }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace millrace::conductor
