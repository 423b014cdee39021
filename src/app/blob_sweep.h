// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "kernel/blobs.h"
#include "store/sql.h"

namespace millrace::app {

// Removes output and artifacts of executions that the store does not hold any more (retention has
// taken them). Young ones are left alone: their completion may not be written yet. Blocking;
// returns how many blobs are gone.
Result<int64_t> sweep_blobs(sql::Connection& reader, kernel::Blobs& blobs, int64_t before_ms);

}  // namespace millrace::app
