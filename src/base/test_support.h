// SPDX-License-Identifier: Apache-2.0
// For tests only.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

inline std::string repeated(std::string_view what, size_t n) {
  std::string out;
  out.reserve(what.size() * n);
  for (size_t i = 0; i < n; ++i) out += what;
  return out;
}

}  // namespace millrace
