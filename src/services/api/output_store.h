// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernel/blobs.h"
#include "kernel/rows.h"
#include "store/sql.h"

namespace millrace::api {

// A piece of the durable output of one attempt.
struct OutputSlice {
  std::string bytes;     // from the asked offset on
  int64_t size = 0;      // of the whole stream, as stored
  int64_t dropped = 0;   // bytes beyond the cap
  bool durable = false;  // false: the run has not ended, nothing is stored yet
};

// `attempt` 0: the newest that has output. Blocking.
Result<OutputSlice> read_output(sql::Connection& db, kernel::Blobs& blobs, TenantId tenant,
                                ExecutionId id, int attempt, kernel::Stream stream, int64_t from,
                                int64_t limit);

}  // namespace millrace::api
