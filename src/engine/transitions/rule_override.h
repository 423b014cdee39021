// SPDX-License-Identifier: Apache-2.0
// What an operator has changed of a pack's rule, under a name. It lies over what the pack's file
// says: a release that changes the file changes what the override leaves alone.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"
#include "model/pack.h"

namespace millrace::engine {

struct RuleOverride {
  std::string name;
  std::string by;
  int64_t at = 0;
  // Part of a rule's JSON form (rule_to_value). Of `trigger` and `action` what it names, and of
  // their parameters, where null takes one away; all else as a whole.
  Value set = Value::map();

  bool is_there() const { return set.size() > 0; }
};

// As RuleRow::override_json has it; none: "".
std::string to_json_text(const RuleOverride& override);
Result<RuleOverride> read_override(std::string_view json);
// For people: {name, by, at, set}.
Value to_value(const RuleOverride& override);

// Errors: Invalid, RUL-0106, a problem for each part that cannot be set.
Result<void> check_override(const Value& set);
// Both said, the later one over the earlier one.
Value merged(const Value& earlier, const Value& later);
Result<RuleSpec> overridden(const RuleSpec& of_file, const Value& set);
// What has to be set for `wanted` to come of `of_file`; `enabled` is no part of it.
Value difference(const RuleSpec& of_file, const RuleSpec& wanted);

}  // namespace millrace::engine
