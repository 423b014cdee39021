// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cctz {
class time_zone;
}

namespace millrace::rules {

// The impure file of this module: it reads files and keeps them.
//
// One IANA time zone. Times are seconds; local ones count as if the wall clock showed UTC.
// The zone files come from the operating system (tzdata), are read on first use and then kept until
// forget_changed() finds that one has changed: to the rest of this module they are constants. "UTC"
// needs no file. Cheap to copy, and as it was read. Beyond the last change that a file lists, its
// rule for the years to come holds (RFC 8536, 3.3). Thread-safe.
class Zone {
 public:
  // Whether the file of a zone that has been used is another one since it was read: find() reads it
  // again. One look at each of them; one that is gone or cannot be read stays as it was.
  static bool forget_changed();

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
  explicit Zone(std::shared_ptr<const cctz::time_zone> zone) : zone_(std::move(zone)) {}
  int64_t years_repeated_s(int64_t unix_s) const;
  std::shared_ptr<const cctz::time_zone> zone_;  // nullptr: UTC
};

}  // namespace millrace::rules
