// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/blobs.h"
#include "store/sql.h"

namespace millrace::app {

// Removes output and artifacts of executions that the store does not hold any more (retention has
// taken them). Young ones are left alone: their completion may not be written yet. Blocking;
// returns how many blobs are gone.
Result<int64_t> sweep_blobs(sql::Connection& reader, kernel::Blobs& blobs, int64_t before_ms);

// What lies here although its execution has ended: it should have gone into the room that servers
// share. Blocking.
Result<std::vector<std::string>> blobs_of_ended(sql::Connection& reader, kernel::Blobs& own);

}  // namespace millrace::app
