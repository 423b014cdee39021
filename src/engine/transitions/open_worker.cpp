// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "engine/transitions/executions.h"

namespace millrace::engine {

using namespace kernel;

void lose_run(Context& ctx, Transition& t, const ExecutionRow& stored, std::string_view why) {
  if (may_rerun_when_lost(stored.effect_class)) {
    requeue(ctx, t, stored);
    return;
  }
  ExecutionRow row = stored;
  row.version += 1;
  row.status = ExecutionStatus::NeedsDecision;
  row.failure = FailureClass::InfraLost;
  row.worker = {};
  row.updated = ctx.now();
  row.held = fmt::format(
      "attempt {} was lost ({}) and its effect class {} forbids a silent re-run; an operator "
      "decides: millrace execution resolve {} retry|succeed|fail|abandon",
      row.attempt, why, to_string(row.effect_class), row.id.value);
  note_execution(ctx, t, row, ChangeOp::Updated);
  t.changes.executions.push_back(std::move(row));
}

namespace {

// Runs inside the worker's own process end with it: the spawner knows nothing of them.
bool runs_in_worker(Context& ctx, const ExecutionRow& row) {
  auto found = ctx.catalog().find_action(row.action, row.release);
  return !found || found->action->runner == Runner::Http;
}

// The lease was durable, but the spawner that lives since then has never heard of the run, or its
// environment was still being built.
void start_again(Context& ctx, Transition& t, const ExecutionRow& stored) {
  ExecutionRow row = stored;
  row.attempt -= 1;  // requeue counts it up again: nothing of this attempt has happened
  requeue(ctx, t, std::move(row));
}

}  // namespace

OpenWorker::OpenWorker(WorkerHello hello, std::function<void(Result<Session>)> opened)
    : hello_(std::move(hello)), opened_(std::move(opened)) {}

void OpenWorker::deliver(Deliveries& out) {
  opened_(session_);
  for (const auto& run : to_end_) out.cancel(row_.id, run);
}

Result<void> OpenWorker::decide(Context& ctx) {
  busy_ = 0;
  to_end_.clear();
  const WorkerRow* known = ctx.rows().worker(hello_.name);
  row_ = known ? *known : WorkerRow{};
  if (!known) {
    row_.id = ctx.new_id<WorkerId>();
    row_.tenant = kDefaultTenant;
    row_.name = hello_.name;
  }
  bool same_instance = known && known->instance == hello_.instance && !hello_.instance.empty();
  row_.instance = hello_.instance;
  row_.slots = hello_.slots;
  row_.updated = ctx.now();
  changes.workers.push_back(row_);
  ctx.worker_opens(row_.id);
  // In the process of the server: no lease to renew.
  session_ = {.id = ctx.new_id<SessionId>(), .worker = row_.id};
  std::set<RunKey> not_ours(hello_.adopted.begin(), hello_.adopted.end());

  for (const auto* execution : ctx.rows().leased()) {
    bool ended = is_final(execution->status);  // by a completion of the same batch
    if (execution->worker != row_.id || ended) continue;
    bool lives = not_ours.erase(execution->key()) > 0;
    if (lives) {
      ++busy_;
      if (execution->status == ExecutionStatus::Canceling) to_end_.push_back(execution->key());
    } else if (execution->status == ExecutionStatus::Canceling) {
      changes.outbox_done.push_back({execution->tenant, OutboxId{execution->id.value}});
      finish(ctx, *this, *execution, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
    } else if (execution->status == ExecutionStatus::Scheduled ||
               (same_instance && !runs_in_worker(ctx, *execution))) {
      start_again(ctx, *this, *execution);
    } else {
      lose_run(ctx, *this, *execution, "server and spawner both went away while it ran");
    }
  }
  // Somebody else has the lease by now, or it has ended: nothing of it may go on (K6).
  to_end_.insert(to_end_.end(), not_ours.begin(), not_ours.end());
  return {};
}

}  // namespace millrace::engine
