// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/sql.h"

namespace millrace::app {

// Removes what runs left in files (output/EE/EXECUTION.ATTEMPT.EPOCH.out, artifacts/EXECUTION/)
// and whose execution the store does not know any more, if it is older than `before_ms`. Blocks.
// Returns how many files and folders went.
Result<int64_t> sweep_output(sql::Connection& reader, const std::string& data, int64_t before_ms);

}  // namespace millrace::app
