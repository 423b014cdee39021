// SPDX-License-Identifier: Apache-2.0
#include "kernel/hidden.h"

#include <algorithm>

namespace millrace::kernel {

std::string reveal(std::string_view stored, std::span<const Hidden> hidden,
                   std::span<const std::string> secrets) {
  std::string out;
  size_t at = 0;
  while (!hidden.empty()) {
    // All that one mask stands for: occurrences that overlap or touch.
    auto of_one = std::ranges::find_if(
        hidden, [&](const Hidden& h) { return h.mask != hidden.front().mask; });
    auto mask = static_cast<size_t>(hidden.front().mask);
    if (mask < at || !stored.substr(std::min(mask, stored.size())).starts_with(kMask)) break;
    std::string behind;
    bool known = true;
    for (const Hidden& one : std::span(hidden.begin(), of_one)) {
      known = known && one.secret < secrets.size() && one.begins >= 0 &&
              static_cast<size_t>(one.begins) <= behind.size();
      if (!known) break;
      const std::string& secret = secrets[one.secret];
      size_t seen = behind.size() - static_cast<size_t>(one.begins);
      if (seen < secret.size()) behind.append(secret, seen);
    }
    out.append(stored, at, mask - at);
    out += known ? std::string_view(behind) : kMask;
    at = mask + kMask.size();
    hidden = hidden.subspan(static_cast<size_t>(of_one - hidden.begin()));
  }
  out.append(stored, at);
  return out;
}

}  // namespace millrace::kernel
