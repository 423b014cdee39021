// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "store/sql.h"

namespace millrace::store {

// A statement that was run. Never what was bound to it: secrets are among that.
struct StatementRun {
  std::string_view text;
  int64_t rows = 0;  // read or touched; of a batch that was put off: how many it has
  int64_t us = 0;    // how long its caller waited for it
  bool failed = false;
};

// A store over another that tells of its statements, on the threads of their connections. Of rows
// that were put off (sql::Batch) the time is that of adding them; that of running them is with the
// statement that waits for them.
std::unique_ptr<sql::Store> logged(std::unique_ptr<sql::Store> inner,
                                   std::function<void(const StatementRun&)> tell);

}  // namespace millrace::store
