// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/backoff.h"

#include <algorithm>

namespace millrace::sensor {

int64_t Backoff::next(int64_t ran_ms, double chance) {
  constexpr int kMostDoublings = 10;
  if (ran_ms >= kLongRunMs) ends_ = 0;
  int64_t due = std::min(kMostMs, kFirstMs << std::min(ends_, kMostDoublings));
  ++ends_;
  return due / 2 + static_cast<int64_t>(chance * static_cast<double>(due - due / 2));
}

}  // namespace millrace::sensor
