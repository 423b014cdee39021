// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "engine/machine/context.h"

namespace millrace::engine {

// The name under which rules with the same trigger and the same parameters share one timer.
std::string schedule_name(const RuleSpec& spec);
// Adds the timer of a rule on a timer trigger. Errors are those of rules::parse_schedule.
Result<void> set_schedule(Context& ctx, TenantId tenant, const RuleSpec& spec);
// The timers of these rules' schedules go, unless another rule uses them, too. Wants schedules_of.
void end_schedules(Context& ctx, TenantId tenant, const std::set<std::string>& rules_that_go);
// A timer is due: adds its events, and its next firing. Nothing when no rule uses it any more.
Result<void> fire_schedule(Context& ctx, const kernel::TimerRow& timer);
// Its events cannot be made: adds the next firing alone.
Result<void> skip_firing(Context& ctx, const kernel::TimerRow& timer);

}  // namespace millrace::engine
