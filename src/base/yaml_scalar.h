// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/value.h"

namespace millrace {

// What PyYAML's resolver (YAML 1.1) takes a plain scalar for.
enum class YamlScalar : uint8_t { Null, Bool, Int, Float, Timestamp, String };
YamlScalar yaml_scalar_kind(std::string_view text);

// What a plain (unquoted) scalar stands for; a timestamp stays a string. A whole number beyond 64
// bits becomes a float, as in JSON.
Value resolve_yaml_scalar(std::string_view text);

// Under the tag !!float, which takes more spellings than the resolver: `3`, `1e3`.
std::optional<double> yaml_float(std::string_view text);

}  // namespace millrace
