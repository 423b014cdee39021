// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace millrace::rules {

// Closed intervals; finds those around a point in time that grows with how many they are and with
// the logarithm of the rest. A search tree over the lower ends that knows the highest upper end of
// each subtree (Cormen et al., "Introduction to Algorithms", interval trees), laid out in a sorted
// array: the root of a range is its middle. Immutable.
template <typename End>
class Intervals {
 public:
  struct Entry {
    End low, high;
    uint32_t number;
  };

  Intervals() = default;
  explicit Intervals(std::vector<Entry> entries)
      : entries_(std::move(entries)), highest_(entries_.size()) {
    std::ranges::sort(entries_, {}, &Entry::low);
    if (!empty()) measure(0, entries_.size());
  }

  bool empty() const { return entries_.empty(); }
  // Adds the numbers of the intervals that hold `point`.
  void find(const End& point, std::vector<uint32_t>& out) const {
    find(point, 0, entries_.size(), out);
  }

 private:
  const End& measure(size_t begin, size_t end) {
    size_t middle = begin + (end - begin) / 2;
    End& highest = highest_[middle] = entries_[middle].high;
    if (begin < middle) highest = std::max(highest, measure(begin, middle));
    if (middle + 1 < end) highest = std::max(highest, measure(middle + 1, end));
    return highest;
  }

  void find(const End& point, size_t begin, size_t end, std::vector<uint32_t>& out) const {
    if (begin == end) return;
    size_t middle = begin + (end - begin) / 2;
    if (highest_[middle] < point) return;
    find(point, begin, middle, out);
    if (point < entries_[middle].low) return;
    if (!(entries_[middle].high < point)) out.push_back(entries_[middle].number);
    find(point, middle + 1, end, out);
  }

  std::vector<Entry> entries_;
  std::vector<End> highest_;  // of the range whose middle it is
};

}  // namespace millrace::rules
