// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "engine/machine/context.h"
#include "kernel/rows.h"
#include "kernel/work.h"
#include "model/pack.h"

namespace millrace::engine {

// What stands on a command line is read by every user of the machine.
Result<void> check_secrets_are_hidden(const Action& action);

// What a worker is told of a row whose `started` is written in the same commit.
Result<kernel::WorkOrder> make_order(Context& ctx, const kernel::ExecutionRow& row);

// The configuration that a run of this action is given; empty: it is given none.
Value config_of_run(Context& ctx, const kernel::ExecutionRow& row, const Pack& pack,
                    const Action& action);

}  // namespace millrace::engine
