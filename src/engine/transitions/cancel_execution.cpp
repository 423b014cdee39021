// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/advance.h"
#include "engine/transitions/executions.h"

namespace millrace::engine {

using namespace kernel;

CancelExecution::CancelExecution(Caller caller, ExecutionId id, Reply<ExecutionRow> reply)
    : caller_(std::move(caller)), reply_(std::move(reply)) {
  key = id.value;
}

CancelExecution::CancelExecution(const MessageRow& message)
    : caller_{.tenant = message.tenant}, message_{message.tenant, message.id} {
  key = message.subject;
}

void CancelExecution::want(Wanted& wanted) const {
  ExecutionId id{key};
  wanted.lineages.push_back(id);
  wanted.executions.push_back(id);
  wanted.trees.push_back(id);
  if (message_.id) wanted.messages.push_back(message_);
}

// An execution and all below it, which end first where they can.
Result<void> CancelExecution::cancel_tree(Context& ctx, ExecutionId id) {
  const auto* row = ctx.execution(*this, id);
  if (!row) return {};
  std::vector<ExecutionId> below;
  bool open = !is_final(row->status);
  const LiveWorkflow* live = open && !row->worker ? ctx.workflow(*this, id) : nullptr;
  if (again) return {};
  if (live) {
    // What undoes other steps is not canceled with them.
    for (const auto& [step, what] : live->open) {
      if (!live->undoes(what)) below.push_back(step);
    }
    TRY(cancel_workflow(ctx, ExecutionRow(*row)));
  } else if (open && row->worker) {
    cancel_run(ctx, ExecutionRow(*row));
  } else if (open) {
    // Nothing runs outside the server: it ends here.
    finish(ctx, *this, ExecutionRow(*row), ExecutionStatus::Canceled, FailureClass::Canceled,
           Value());
  } else if (id.value == key) {
    for (const auto* each : ctx.rows().tree(id)) {
      if (each->parent == id) below.push_back(each->id);
    }
  }
  for (ExecutionId step : below) {
    if (again) return {};
    TRY(cancel_tree(ctx, step));
  }
  if (live && !again) go_on(ctx, *this, ExecutionRow(*ctx.execution(*this, id)));
  return {};
}

Result<void> CancelExecution::cancel_workflow(Context& ctx, const ExecutionRow& row) {
  if (row.status == ExecutionStatus::Canceling) return {};
  ExecutionRow& changed = ctx.edit(*this, row);
  changed.status = ExecutionStatus::Canceling;
  changed.held = "waits for its steps to end";
  note_execution(ctx, *this, changed, ChangeOp::Updated);
  return ask_workflow(ctx, *this, ExecutionRow(changed), conductor::Status::Canceled);
}

void CancelExecution::cancel_run(Context& ctx, const ExecutionRow& stored) {
  if (stored.status == ExecutionStatus::Canceling) return;
  ExecutionRow& row = ctx.edit(*this, stored);
  row.status = ExecutionStatus::Canceling;
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
}

Result<void> CancelExecution::decide(Context& ctx) {
  to_end_.clear();
  const auto* stored = ctx.rows().execution(ExecutionId{key});
  if (message_.id) {
    if (!ctx.rows().has_message(message_.id)) return {};  // handled before (K4)
    changes.acked.push_back(message_);
  } else if (!stored || stored->tenant != caller_.tenant) {
    return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", key));
  } else if (is_final(stored->status)) {
    return Error(ErrorKind::Conflict, "EXE-0011",
                 fmt::format("execution {} is final already: {}", key, to_string(stored->status)));
  }
  TRY(cancel_tree(ctx, ExecutionId{key}));
  if (const auto* row = ctx.execution(*this, ExecutionId{key})) row_ = *row;
  return {};
}

void CancelExecution::deliver(Deliveries& out) {
  for (const auto& [worker, run] : to_end_) out.cancel(worker, run);
  if (reply_) reply_(row_);
}

}  // namespace millrace::engine
