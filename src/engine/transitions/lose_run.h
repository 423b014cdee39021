// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// The run of `row` is lost: re-run it if its effects allow that, else ask a person.
void lose_run(Context& ctx, const kernel::ExecutionRow& row, std::string_view why);

}  // namespace millrace::engine
