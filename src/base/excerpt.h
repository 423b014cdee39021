// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"

namespace millrace {

// The value as compact JSON; where that is longer than `most` bytes, its beginning and "...". No
// more of it is written than is shown.
std::string json_excerpt(const Value& value, size_t most);

// The value itself where its JSON has at most `most` bytes, else json_excerpt of it as a text: for
// what people are shown of values that may be as large as an event.
Value excerpt(const Value& value, size_t most);

}  // namespace millrace
