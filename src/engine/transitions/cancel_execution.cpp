// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/executions.h"

namespace millrace::engine {

using namespace kernel;

CancelExecution::CancelExecution(Caller caller, ExecutionId id, Reply<ExecutionRow> reply)
    : caller_(std::move(caller)), reply_(std::move(reply)) {
  key = id.value;
}

void CancelExecution::want(Wanted& wanted) const {
  wanted.executions.push_back(ExecutionId{key});
  wanted.trees.push_back(ExecutionId{key});
}

void CancelExecution::cancel_one(Context& ctx, const ExecutionRow& stored) {
  if (is_final(stored.status) || stored.status == ExecutionStatus::Canceling) return;
  if (!stored.worker) {
    // Nothing runs outside the server: it ends here.
    finish(ctx, *this, stored, ExecutionStatus::Canceled, FailureClass::Canceled, {});
    return;
  }
  ExecutionRow row = stored;
  row.version += 1;
  row.status = ExecutionStatus::Canceling;
  row.updated = ctx.now();
  row.held = fmt::format("waits for worker {} to confirm the end", row.worker.value);
  // Owed to the worker until the run's completion is durable: one per run, under the run's id.
  changes.outbox.push_back({.id = OutboxId{row.id.value},
                            .tenant = row.tenant,
                            .shard = shard_of(row.tenant, row.root.value),
                            .destination = Destination::WorkerCancel,
                            .subject = row.id.value,
                            .created = ctx.now()});
  to_end_.emplace_back(row.worker, row.key());
  note_execution(ctx, *this, row, ChangeOp::Updated);
  changes.executions.push_back(std::move(row));
}

Result<void> CancelExecution::decide(Context& ctx) {
  to_end_.clear();
  const auto* stored = ctx.rows().execution(ExecutionId{key});
  if (!stored || stored->tenant != caller_.tenant) {
    return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", key));
  }
  if (is_final(stored->status)) {
    return Error(ErrorKind::Conflict, "EXE-0011",
                 fmt::format("execution {} is final already: {}", key, to_string(stored->status)));
  }
  row_ = *stored;
  cancel_one(ctx, *stored);
  for (const auto* below : ctx.rows().tree(ExecutionId{key})) cancel_one(ctx, *below);
  for (const auto& changed : changes.executions) {
    if (changed.id.value == key) row_ = changed;
  }
  return {};
}

void CancelExecution::deliver(Deliveries& out) {
  for (const auto& [worker, run] : to_end_) out.cancel(worker, run);
  reply_(row_);
}

}  // namespace millrace::engine
