// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "model/pack.h"
#include "model/policy.h"

namespace millrace::packs {

// Reads a policy, in our form or in StackStorm's; what is wrong with it goes into `problems`, whose
// paths are JSON pointers into it. Of its name only the keys `name`, `ref` and `pack` are known
// here. `pack`: in which it stands; `action: build` is then one of that pack.
PolicySpec read_policy_value(const Value& value, std::string_view pack,
                             std::vector<Problem>& problems);

// In our form, as read_policy_value takes it.
Value policy_to_value(const PolicySpec& spec);

// What a policy says of parameters that its action does not have, or keeps secret. Paths as above.
std::vector<Problem> policy_problems(const PolicySpec& spec, const Action& action);
// Of all actions of its pack: what they keep secret. Not all of them need have all parameters.
std::vector<Problem> policy_problems(const PolicySpec& spec, const Pack& pack);

// "5s", "2m", "1h", "1d", "250ms", or a number of seconds. In ms.
std::optional<int64_t> parse_span(const Value& value);  // none: it is no time
std::string span_text(int64_t ms);

}  // namespace millrace::packs
