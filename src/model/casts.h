// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/value.h"

namespace millrace {

// `value` as the type that `schema` declares, where it reads as that and nothing of it is lost;
// else as it came, and the check against the schema says what is wrong. What fits is not touched: a
// text stays a text where texts are taken.
//
//   integer  "5", " +5 ", 42.0        number  "1.5", "1e3"
//   boolean  true false yes no on off 1 0 as texts in any case; 1 and 0
//   array    JSON, or texts between commas, each cast to the type of the items
//   object   JSON                     string  of anything else its JSON: 42, true, {"a":1}
//
// After StackStorm's casts; Python's spelling of lists and maps ('a', None) is not read.
Value cast_value(const Value& schema, const Value& value);

}  // namespace millrace
