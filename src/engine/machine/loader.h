// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "engine/machine/transition.h"
#include "store/read.h"

namespace millrace::engine {

// Reads what a batch wants, over the executor's own read-only connection.
class Loader {
 public:
  // `queued`: how many executions wait per tenant; tenants take turns.
  // `live`: workflows whose state is in memory and need not be read.
  static Result<void> load(sql::Connection& db, const Wanted& wanted,
                           std::span<const store::QueueDepth> queued, const LiveWorkflows& live,
                           Loaded& into);
  // Makes the rows of a decided transition visible to the later ones of its batch.
  static void apply(const kernel::Changes& changes, Loaded& rows);
  static std::optional<ExecutionId> pop_queue(Loaded& rows);

 private:
  static Result<void> load_executions(sql::Connection& db, const Wanted& wanted,
                                      std::span<const store::QueueDepth> queued, Loaded& into);
  static Result<void> load_named_execution(sql::Connection& db, std::string_view value,
                                           Loaded& into);
  static Result<void> load_one(sql::Connection& db, ExecutionId id, Loaded& into);
  static Result<void> load_lineage(sql::Connection& db, ExecutionId id, const LiveWorkflows& live,
                                   Loaded& into);
  static Result<void> load_state(sql::Connection& db, ExecutionId id, Loaded& into);
  static Result<void> load_workflows(sql::Connection& db, const Wanted& wanted,
                                     const LiveWorkflows& live, Loaded& into);
  static Result<void> load_key_values(sql::Connection& db, const Wanted& wanted, Loaded& into);
  static Result<void> load_rest(sql::Connection& db, const Wanted& wanted, Loaded& into);
};

}  // namespace millrace::engine
