// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::sensor {

// argv: this name, the working folder, then the sensor's own command line.
inline constexpr std::string_view kWardenName = "millrace-sensor";
inline constexpr int kLifelineFd = 4;

}  // namespace millrace::sensor
