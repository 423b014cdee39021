// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "model/pack.h"

// The webhook endpoints that rules of StackStorm bring along, and what endpoints may be called.
namespace millrace::rules {

// Its rules name their endpoint as `url`.
inline constexpr std::string_view kStackstormWebhook = "core.st2.webhook";

// The name under which StackStorm takes what any trigger fires: the body says which. No endpoint
// and no rule has it.
inline constexpr std::string_view kAnyTriggersWebhook = "st2";

// An endpoint's name as it is compared: without slashes around it. `/git/push/` is `git/push`.
std::string_view webhook_name(std::string_view text);

// Why no endpoint can be called this, empty: one can. A name is part of the address: letters,
// digits, '.', '_', '~' and '-', in one part or several with '/' between them.
std::string webhook_name_fault(std::string_view name);

// The name of the endpoint that comes with a rule; empty: none does. Points into `spec`.
std::string_view webhook_of_rule(const RuleSpec& spec);

}  // namespace millrace::rules
