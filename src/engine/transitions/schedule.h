// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "engine/machine/context.h"

namespace millrace::engine {

// The name under which rules with the same trigger and the same parameters share one timer; empty:
// it is on no timer trigger.
std::string schedule_name(const RuleSpec& spec);
// The timer that a rule may share, if it is on a timer trigger.
void want_schedule(Wanted& wanted, TenantId tenant, const RuleSpec& spec);
// Sees to it that a rule on a timer trigger has its timer. One that is there keeps its due time,
// whoever has made it: an edit starts no interval anew, and a second rule joins. Wants its
// schedule. Errors are those of rules::parse_schedule.
Result<void> set_schedule(Context& ctx, TenantId tenant, const RuleSpec& spec);
// Invalid, RUL-0105, when a rule on a timer trigger would never fire: all its times are over.
Result<void> check_is_ahead(const RuleSpec& spec, int64_t now_ms);
// The timers of these rules' schedules go, unless another rule uses them, too. Wants schedules_of.
void end_schedules(Context& ctx, TenantId tenant, const std::set<std::string>& rules_that_go);
// A timer is due: adds its events, unless it is paused, and its next firing. Nothing when no rule
// uses it any more.
Result<void> fire_schedule(Context& ctx, const kernel::TimerRow& timer);
// Its events cannot be made: adds the next firing alone.
Result<void> skip_firing(Context& ctx, const kernel::TimerRow& timer);
// The names of timers that are paused, as the store has them.
std::set<std::string, std::less<>> paused_timers(std::string_view json);
std::string paused_to_json(const std::set<std::string, std::less<>>& schedules);
// One firing, as an event of the timer's trigger. `source_id`: what tells it from others of it.
kernel::EventRow firing_event(Context& ctx, TenantId tenant, const std::string& trigger,
                              const Value& parameters, int64_t at_ms, std::string source_id);
// When it has last made events, as its row says; 0: it has not.
int64_t last_firing(const kernel::TimerRow& timer);
// Computes its due time anew when its schedule cannot come to it: the clock was ahead, or the rules
// of its zone have changed.
Result<void> mend_schedule(Context& ctx, const kernel::TimerRow& timer);

}  // namespace millrace::engine
