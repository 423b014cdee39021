// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "kernel/work.h"

namespace millrace::kernel {

// What stands in the place of a secret, whatever its length.
inline constexpr std::string_view kMask = "********";
// Shorter secrets are not masked: "1" or "yes" would blot out ordinary text and thereby tell the
// secret.
inline constexpr size_t kShortestSecret = 4;

// What was printed, of a stream as it is stored. A mask that stands for a secret which is not in
// the list (the run's own token) stays.
std::string reveal(std::string_view stored, std::span<const Hidden> hidden,
                   std::span<const std::string> secrets);

}  // namespace millrace::kernel
