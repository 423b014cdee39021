// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "engine/machine/context.h"
#include "engine/transitions/messages.h"

namespace millrace::engine {

// Runs on workers of this partition whose executions lie in shards of another one, because the
// shards have moved since: their ends go there as stored messages, and nothing of their rows is
// written here.
bool is_elsewhere(const Context& ctx, const kernel::ExecutionRow& row);
// How a run has ended, to whoever owns its execution. Larger than a message may be: the streams
// are left out, and the result says so.
void send_end(Context& ctx, const kernel::ExecutionRow& row, const RunEnded& ended);
// The same of one that its worker does not have any more. `unheard`: nothing of it has happened.
void send_loss(Context& ctx, const kernel::ExecutionRow& row, bool unheard, std::string_view why);

// Errors: Internal, ENG-0010: it is not as `send_end` has written it.
Result<RunEnded> read_end(std::string_view body);

}  // namespace millrace::engine
