// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/value.h"

namespace millrace::api {

inline constexpr int64_t kLongestWaitMs = 600'000;

// Of what becomes an event's payload: it is nested deeper where it is stored, and that must parse
// again under the default limits.
inline constexpr JsonLimits kPayloadLimits{.max_depth = 60};

// "250ms", "30s", "2m"; "" is 0. Errors: Invalid, API-0016, also above ten minutes.
Result<int64_t> parse_wait(std::string_view text);

// Stored JSON as a value; "" is null; what does not parse comes as its text.
Value stored_json(std::string_view text);

// The longest start of `bytes` that does not end inside a UTF-8 character.
std::string_view whole_characters(std::string_view bytes);

}  // namespace millrace::api
