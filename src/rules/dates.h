// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace millrace::rules {

// Unix milliseconds of a date and time as people and StackStorm write it: RFC 3339, or without
// seconds, or without a zone (then it is local time of the IANA zone `zone`), or a date alone.
// A local time in a gap counts from the end of the gap; one that occurs twice is the first.
// Error RUL-0003.
Result<int64_t> parse_date(std::string_view text, std::string_view zone);

}  // namespace millrace::rules
