// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/value.h"
#include "model/runtime.h"

namespace millrace::kernel {

// What a run printed on stdout, as data.
struct Printed {
  Value value;
  std::string error;  // not empty: why there is none, for people
};

// By the action's output format, within kStructuredOutput and kStructuredDepth. No value of text,
// and of empty JSON. Takes time in proportion to the text: up to seconds for 16 MiB of YAML.
Printed parse_printed(OutputFormat format, std::string_view text);

}  // namespace millrace::kernel
