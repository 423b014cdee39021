// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace millrace::rules {

// The text without its cases: two texts are equal but for the case of their letters, of all
// scripts, exactly when their folds are equal. Unicode's simple folding, as RE2's (?i) has it, and
// the Turkish capital I with its dot is an `i`. One letter gives one letter, so that a part of a
// text gives a part of its fold.
std::string fold(std::string_view text);

}  // namespace millrace::rules
