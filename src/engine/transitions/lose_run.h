// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// The run of `row` is lost: re-run it if nothing of it has happened or its effects allow that, else
// ask a person.
void lose_run(Context& ctx, const kernel::ExecutionRow& row, std::string_view why);

// Its worker does not run `row` any more, and has not said how it ended: it is canceled if that was
// asked for, starts again if it has never heard of it (`unheard`), else it is lost.
void end_lease(Context& ctx, const kernel::ExecutionRow& row, bool unheard, std::string_view why);
// The same, also of one in another partition's shard: that one is told.
void end_lease_anywhere(Context& ctx, const kernel::ExecutionRow& row, bool unheard,
                        std::string_view why);

}  // namespace millrace::engine
