// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/value.h"

namespace millrace {

struct JsonLimits {
  size_t max_depth = 64;
  size_t max_bytes = 64 << 20;
  size_t max_keys = 10'000;     // of one object, a repeated one counted again
  bool rounds_numbers = false;  // a whole number beyond 64 bits becomes the nearest Float
};

// For what this server wrote itself and must read back, however many keys it has by now, and
// however much has been put around it.
inline constexpr JsonLimits kOwnJson{.max_depth = 256, .max_keys = SIZE_MAX};

// Parses one JSON text (RFC 8259) straight into a Value. A repeated key: the last one wins.
// A whole number without fraction and exponent becomes Int (but -0: Int has no such), any other
// Float. One that does not fit (64 bits signed; the range of doubles; from 2^53 on what is no
// double) is refused: it would be another number.
// Errors (Invalid, BAS-0002) name line, column and byte offset, counted from 1, 1 and 0.
Result<Value> parse_json(std::string_view text, const JsonLimits& limits = {});

// Compact JSON. Bytes that are no UTF-8 become U+FFFD; NaN and infinities become null.
std::string to_json(const Value& value);
void append_json(std::string& out, const Value& value);
void append_json_string(std::string& out, std::string_view text);
// Two spaces per level, for people.
std::string to_pretty_json(const Value& value);

// True when `text` is well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace millrace
