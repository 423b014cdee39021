// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// A moment as API structs carry it: Unix milliseconds. 0 is "none". In JSON an RFC 3339 string.
struct Timestamp {
  int64_t ms = 0;
  constexpr explicit operator bool() const { return ms != 0; }
  constexpr auto operator<=>(const Timestamp&) const = default;
};

// Now, on the wall clock: for what stands at the edge (app, adapters). Pure modules and the engine
// are given the time.
int64_t unix_ms();

// "2026-01-31T12:00:00.250Z"; years outside 0000 to 9999 are clamped.
std::string to_rfc3339(int64_t unix_ms);

// RFC 3339, any offset; digits below a millisecond are cut off. Errors: Invalid, BAS-0005.
Result<int64_t> parse_rfc3339(std::string_view text);

}  // namespace millrace
