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

  // In which the next one comes, and in which a whole burst of them comes back.
  int64_t distance_us() const { return std::max<int64_t>(per_ms * 1000 / limit, 1); }
  int64_t span_us() const {
    constexpr int64_t kLongest = int64_t{1} << 60;
    return std::min(burst, kLongest / distance_us()) * distance_us();
  }
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
    int64_t distance = rate.distance_us();
    // Fuller than full it is after a change of the rate, or of the clock: none waits for that.
    int64_t begin = std::min(std::max(full_at_us_, now), now + rate.span_us());
    int64_t over = begin + distance - now - rate.span_us();
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
