// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace date {
class time_zone;
}

namespace millrace::rules {

// One IANA time zone. Times are seconds; local ones count as if the wall clock showed UTC.
// The zone files come from the operating system (tzdata), are read once on first use and then
// kept: to the rest of this module they are constants. "UTC" needs no file. Cheap to copy.
class Zone {
 public:
  Zone() = default;  // UTC
  // Errors: Invalid, RUL-0004 (no such zone, with the nearest name); Unavailable, RUL-0007 (tzdata
  // cannot be read).
  static Result<Zone> find(std::string_view name);

  // A stretch of time with one offset from UTC. Unix seconds; `end` is not part of it.
  struct Stretch {
    int64_t begin = 0;
    int64_t end = 0;
    int64_t offset = 0;  // local = unix + offset
  };
  Stretch at(int64_t unix_s) const;

  // A local time in a gap becomes the end of the gap; one that occurs twice the first of them.
  int64_t to_unix(int64_t local_s) const;

 private:
  explicit Zone(const date::time_zone* zone) : zone_(zone) {}
  const date::time_zone* zone_ = nullptr;  // nullptr: UTC. Lives as long as the process.
};

}  // namespace millrace::rules
