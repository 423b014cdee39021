// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/sql.h"

namespace millrace::store {

enum class Severity : uint8_t {
  Warning,  // odd, but nothing is lost
  Broken,   // a promise does not hold
};
std::string_view to_string(Severity severity);

struct Finding {
  std::string promise;  // "K1" to "K10" of the architecture, or "store"
  Severity severity = Severity::Broken;
  std::string entity;   // "execution 123"; empty: the store as a whole
  std::string message;  // what is wrong and what to do
};

struct ExamineOptions {
  // Without a clock what depends on age is left out.
  int64_t now_ms = 0;
  int64_t event_retention_ms = 30LL * 24 * 3600 * 1000;
  int64_t execution_retention_ms = 30LL * 24 * 3600 * 1000;
  // The engine's own check of every page: reads the whole file.
  bool check_bytes = true;
};

// Checks the promises of the kernel on what is stored, in one snapshot; writes nothing and may run
// beside a server. One query per check; of each at most kMostFindings are told. `reader` must not
// cut off long queries.
Result<std::vector<Finding>> examine(sql::Connection& reader, const ExamineOptions& options = {});
inline constexpr int kMostFindings = 20;

}  // namespace millrace::store
