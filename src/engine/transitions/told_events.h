// SPDX-License-Identifier: Apache-2.0
// Events that the server makes of what it does itself, under StackStorm's triggers and ours. Each
// is written with its cause, and only where an enabled rule is on its trigger: else it costs a
// look-up.
#pragma once

#include <string>
#include <string_view>

#include "engine/machine/context.h"
#include "engine/machine/transition.h"
#include "engine/transitions/commands.h"
#include "model/pack.h"

namespace millrace::engine {

// How many rules may have led to an event, each by an execution of the one before. An enforcement
// behind that fails: it is a loop, or near enough to one.
inline constexpr int32_t kLongestChain = 100;
// How much deeper each of `rules` that match one event together lies than one alone: 25 for each
// factor of ten. So rules that multiply end, too: the numbers of rules that matched at each event
// on the way to an execution have a product below 10,000.
int32_t breadth_of(size_t rules);
// How much deeper the end of a workflow's step lies than that of the whole, which rules hear one by
// one: as if ten rules had matched.
inline constexpr int32_t kStepDepth = 25;

// How deep this execution lies below an event from outside; what it makes happen is as deep. Steps
// of workflows have it from their workflow.
int32_t chain_of(const kernel::ExecutionRow& row);
// The same of a run that asks with its token; 0: nobody's. It was wanted before.
void want_run(Wanted& wanted, const Caller& caller);
int32_t chain_of(const Context& ctx, const Caller& caller);
// An ExecutionRow::env_json, with at least this chain.
std::string env_of_chain(std::string env_json, int32_t chain);

// core.st2.generic.actiontrigger, and core.st2.generic.notifytrigger where the action or whoever
// asked for it says so.
void tell_ended(Context& ctx, const kernel::ExecutionRow& row, const Value& result);
// core.st2.generic.inquiry, core.inquiry_created.
void tell_asked(Context& ctx, const kernel::ExecutionRow& row, const kernel::InquiryRow& inquiry);
// core.inquiry_answered.
void tell_answered(Context& ctx, const kernel::ExecutionRow& row,
                   const kernel::InquiryRow& inquiry);
// core.st2.key_value_pair.create, update, value_change, delete. `before` and `after` may be null.
// The values of encrypted keys are left out.
// `caller` wrote it, and his run was wanted.
void tell_key(Context& ctx, const Caller& caller, const kernel::KeyRow* before,
              const kernel::KeyRow* after);
// core.pack_installed: another release has come into force. As above.
void tell_installed(Context& ctx, const Caller& caller, const Pack& pack);
// core.system_alert: somebody should look at this.
void tell_alert(Context& ctx, TenantId tenant, std::string_view kind, int64_t subject,
                std::string_view reason);

}  // namespace millrace::engine
