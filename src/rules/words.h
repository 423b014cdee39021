// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"

namespace millrace::rules {

// A criterion's verdict (to_value) as a sentence. Of one that does not hold it says what was found
// and what is wrong with that: `trigger.ref is "refs/tags/v1": does not start with "refs/heads/"`.
std::string in_words(const Value& verdict);

// The same verdicts, each with its sentence as `message`, parts included.
Value with_words(Value verdicts);

}  // namespace millrace::rules
