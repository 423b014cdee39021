// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

#include "base/result.h"
#include "expr/meter.h"

namespace millrace::expr {

// The stable order of `count` elements by `less(i, j) -> Result<bool>`, which may fail: a
// bottom-up merge sort.
template <typename Less>
Result<std::vector<size_t>> stable_order(Meter& meter, size_t count, Less less) {
  TRY(meter.take(count * 2 * sizeof(size_t)));
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> merged(count);
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t start = 0; start < count; start += width * 2) {
      size_t middle = std::min(start + width, count);
      size_t end = std::min(start + width * 2, count);
      size_t left = start;
      size_t right = middle;
      for (size_t out = start; out < end; ++out) {
        TRY(meter.step());
        bool take_right = left == middle;
        if (!take_right && right < end) {
          TRY(take_right, less(order[right], order[left]));
        }
        merged[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

}  // namespace millrace::expr
