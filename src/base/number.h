// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace millrace {

// Whether a number that is more or less than 0 as it is written (1e-400) was read as 0: no double
// is as small.
inline bool vanished(std::string_view written, double read) {
  std::string_view mantissa = written.substr(0, written.find_first_of("eE"));
  return read == 0 && mantissa.find_first_of("123456789") != std::string_view::npos;
}

// Whether a number of 2^53 or more, from where not every whole number is a double, was read as
// another one than was written: 9007199254740993.0 as 9007199254740992.0. It may be written with
// the fewest digits that tell the double, with 17, or with all. `written` as in JSON.
bool is_another_number(std::string_view written, double read);

// Exactly, where a comparison of doubles would round the whole number.
std::partial_ordering compare(int64_t whole, double number);

}  // namespace millrace
