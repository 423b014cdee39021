// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "engine/machine/loaded.h"
#include "kernel/shards.h"
#include "store/read.h"

namespace millrace::engine {

class Catalog;

// Reads what a batch wants, over the partition's own read-only connection.
class Loader {
 public:
  // What the reading depends on besides what is wanted.
  struct Scope {
    kernel::ShardSet shards;  // of the partition: sweeps and the queue see no others
    // How many executions wait per tenant; tenants take turns.
    std::span<const store::QueueDepth> queued;
    const LiveWorkflows& live;  // their states are in memory and need not be read
    const Catalog& catalog;
    store::Retention& retention;
  };
  static Result<void> load(sql::Connection& db, const Wanted& wanted, const Scope& scope,
                           Loaded& into);
  // Makes the rows of a decided message visible to the later ones of its batch.
  static void apply(const kernel::Changes& changes, Loaded& rows);
  static std::optional<ExecutionId> pop_queue(Loaded& rows);

 private:
  Loader(sql::Connection& db, const Wanted& wanted, const Scope& scope, Loaded& into)
      : db_(db), wanted_(wanted), scope_(scope), into_(into) {}
  Result<void> read_ahead();
  Result<void> load_executions();
  Result<void> load_trees();
  Result<void> load_leased();
  Result<void> load_queue();
  Result<void> load_workflows();
  Result<void> load_key_values();
  Result<void> load_gauges();
  Result<void> load_gauge(const GaugeName& name);
  Result<void> load_heads(const GaugeName& after);
  void take_schedules(std::vector<kernel::TimerRow> rows);
  Result<void> load_timers_behind(TimerId after);
  Result<void> load_rest();
  Result<void> load_left();
  Result<void> load_unreleased(ExecutionId after);
  Result<bool> passes_over(Result<void> loaded, int64_t id);
  Result<void> load_one(Of<ExecutionId> of);
  Result<void> load_lineages(std::vector<Of<ExecutionId>> level);
  Result<void> load_state(Of<ExecutionId> of);
  Result<void> load_delays();
  Result<void> load_named_execution(TenantId tenant, std::string_view value);

  sql::Connection& db_;
  const Wanted& wanted_;
  const Scope& scope_;
  Loaded& into_;
  std::vector<Of<ExecutionId>> roots_;  // whose trees are wanted
};

}  // namespace millrace::engine
