// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/value.h"

namespace millrace::conductor {

// `core.echo count=3 text="a b" list=[1,2] name=<% ctx().name %>`: the pairs of a text, in order.
// A value is [..] to the last bracket of the line, "..", '..', a number, true or false in any
// case, null, or one expression on one line. Unquoted values are read as JSON where they are JSON;
// what is no pair is passed over, as in the reference.
std::vector<std::pair<std::string, Value>> parse_inline_params(std::string_view text);

}  // namespace millrace::conductor
