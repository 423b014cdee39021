// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

// Pure: the clock is passed in.
namespace millrace::policy {

// So many in `per_ms`, at most `burst` of them at once.
struct Rate {
  int64_t limit = 50;
  int64_t per_ms = 1000;
  int64_t burst = 200;
};

// A token bucket as one number: when it will be full again. In any window of t there are never more
// than burst + limit / per_ms * t. (ATM Forum, Traffic Management 4.1, 4.4.2: the virtual
// scheduling form of the generic cell rate algorithm.) In microseconds, so that 50,000/s still has
// a distance.
class Gcra {
 public:
  Gcra() = default;
  // As it was stored.
  explicit Gcra(int64_t full_at_us) : full_at_us_(full_at_us) {}
  int64_t full_at_us() const { return full_at_us_; }
  // How long to wait, in ms; 0: taken.
  int64_t take(const Rate& rate, int64_t now_ms) {
    int64_t now = now_ms * 1000;
    int64_t distance = std::max<int64_t>(rate.per_ms * 1000 / rate.limit, 1);
    int64_t begin = std::max(full_at_us_, now);
    int64_t over = begin + distance - now - rate.burst * distance;
    if (over > 0) return (over + 999) / 1000;
    full_at_us_ = begin + distance;
    return 0;
  }
  // Nobody has taken anything that still counts: it may be forgotten.
  bool is_full(int64_t now_ms) const { return full_at_us_ <= now_ms * 1000; }

 private:
  int64_t full_at_us_ = 0;
};

}  // namespace millrace::policy
