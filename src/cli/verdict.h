// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"
#include "cli/output.h"

namespace millrace::cli {

// `yes  trigger.body.ref equals "a"`, or in words why it does not hold; one line per criterion,
// parts indented.
std::string criteria_lines(const Value& verdicts, std::string_view indent, bool colour);

// The verdict of rule test and rule why.
std::string verdict_text(const Value& verdict, bool colour);
// In two lines or more: the rule, and what kept it from matching.
std::string brief_verdict_text(const Value& verdict, bool colour);

// Verdicts of one rule on several events, a row for each.
std::string verdict_rows(const ValueList& verdicts, const Style& style);

}  // namespace millrace::cli
