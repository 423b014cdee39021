// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "kernel/rows.h"
#include "services/api/shared.h"

namespace millrace::api {

// Where live output of a run is: with the server that has the session of its worker.

// The node of that server, where it is another one; nothing: it is this one, or nobody runs it.
// Blocking.
Result<std::optional<int>> live_elsewhere(Shared& shared, sql::Connection& db,
                                          const kernel::ExecutionRow& row);

// What is kept of a run under way, of each stream from one offset on; what could not be had from
// another server in time is left out. Blocking.
std::vector<kernel::OutputChunk> kept_output(Shared& shared, sql::Connection& db,
                                             const kernel::ExecutionRow& row);

}  // namespace millrace::api
