// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"

namespace millrace::cli {

// A trace as a tree with times since its beginning. `unmatched`: verdicts of rules on the same
// trigger that did not match.
std::string trace_text(const Value& trace, const ValueList& unmatched, bool colour);

}  // namespace millrace::cli
