// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/value.h"
#include "engine/engine.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::engine {

// A rule held against an event: what `rule test` and `rule why` show.
struct RuleVerdict {
  RuleSpec spec;
  int64_t revision = 0;
  bool matched = false;
  std::string reason;  // when it was not even tried: disabled, other trigger, not there yet
  Value criteria;      // list of {path, type, pattern, value, holds, message}
  Value parameters;    // rendered, when it matched
  std::string error;   // the parameters could not be rendered
};

// A rule against an event of the past or a given payload. Blocks: reads the keys that it names.
Result<RuleVerdict> test_rule(const Engine& engine, sql::Connection& reader, const RuleSpec& spec,
                              const kernel::EventRow& event);
// The rule as it was when the event came.
Result<RuleVerdict> why(const Engine& engine, sql::Connection& reader, TenantId tenant,
                        const std::string& rule_ref, EventId event);

}  // namespace millrace::engine
