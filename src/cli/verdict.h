// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"

namespace millrace::cli {

// `yes  trigger.body.ref equals "a"`, with what was found where it does not hold; one line per
// criterion, parts indented.
std::string criteria_lines(const Value& verdicts, std::string_view indent, bool colour);

// The verdict of rule test and rule why.
std::string verdict_text(const Value& verdict, bool colour);

}  // namespace millrace::cli
