// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace {

// Whether a number that is more or less than 0 as it is written (1e-400) was read as 0: no double
// is as small.
inline bool vanished(std::string_view written, double read) {
  std::string_view mantissa = written.substr(0, written.find_first_of("eE"));
  return read == 0 && mantissa.find_first_of("123456789") != std::string_view::npos;
}

}  // namespace millrace
