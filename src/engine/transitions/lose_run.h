// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// Nothing of this attempt has happened: the same one waits for a slot again.
void start_again(Context& ctx, const kernel::ExecutionRow& row);
// The run of `row` is lost: re-run it if nothing of it has happened or its effects allow that, else
// ask a person.
void lose_run(Context& ctx, const kernel::ExecutionRow& row, std::string_view why);

}  // namespace millrace::engine
