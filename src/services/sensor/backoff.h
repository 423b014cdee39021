// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace::sensor {

// How long a sensor that has ended waits for its next start: twice as long each time, with chance
// in it, so that those that died of the same thing do not come back at the same moment. Pure.
class Backoff {
 public:
  static constexpr int64_t kFirstMs = 1'000;
  static constexpr int64_t kMostMs = 120'000;
  // Who ran for so long begins anew.
  static constexpr int64_t kLongRunMs = 60'000;

  // `chance` is from [0, 1): the wait is half of what is due, or up to all of it.
  int64_t next(int64_t ran_ms, double chance);
  void reset() { ends_ = 0; }
  int ends() const { return ends_; }  // in a row

 private:
  int ends_ = 0;
};

}  // namespace millrace::sensor
