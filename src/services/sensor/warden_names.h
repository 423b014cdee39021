// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::sensor {

// argv: this name, the working folder, limits as RESOURCE:SOFT:HARD with commas between, then the
// sensor's own command line.
inline constexpr std::string_view kWardenName = "millrace-sensor";
inline constexpr int kLifelineFd = 4;

}  // namespace millrace::sensor
