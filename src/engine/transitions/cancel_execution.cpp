// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/mutants.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/operate.h"
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Cancels an execution and everything below it. What runs is told to end; the final status comes
// with its completion.
class CancelExecution final : public Request<ExecutionRow> {
 public:
  // `message`: when the kernel asks, for what is left open below an execution that has ended.
  CancelExecution(Caller caller, ExecutionId id, MessageId message, Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)), id_(id), message_(message) {}
  std::string_view name() const override { return "cancel_execution"; }
  About about() const override {
    return {.tenant = caller_.tenant,
            .subject = id_.value,
            .message = message_,
            .holds_up = message_ ? id_ : ExecutionId{}};
  }
  Turn turn() const override { return Turn::shared(id_); }
  void want(Wanted& wanted) const override;
  ExecutionId tree(const Loaded&) const override { return id_; }
  Whose whose() const override { return message_ ? Whose::Machine : Whose::Asker; }
  Decided decide(Context& ctx) const override;

 private:
  Of<ExecutionId> of() const { return {caller_.tenant, id_}; }
  Result<void> cancel_tree(Context& ctx, ExecutionId id) const;
  Result<void> cancel_workflow(Context& ctx, LiveWorkflow& live) const;
  ExecutionId id_;
  MessageId message_;
};

void CancelExecution::want(Wanted& wanted) const {
  wanted.lineages.push_back(of());
  wanted.trees.push_back(of());
  if (message_) wanted.messages.push_back({caller_.tenant, message_});
}

// It ends with its completion. The cancel is owed to the worker until that is durable: one per
// run, under the run's id.
void cancel_run(Context& ctx, ExecutionId id) {
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  if (row.status == ExecutionStatus::Canceling) return;
  row.status = ExecutionStatus::Canceling;
  row.held = fmt::format("waits for worker {} to confirm the end", row.worker.value);
  if (!mutant(Mutant::OutboxNotWritten)) {
    ctx.changes.outbox.push_back({.id = OutboxId{row.id.value},
                                  .tenant = row.tenant,
                                  .shard = shard_of(row.tenant, row.root.value),
                                  .destination = Destination::WorkerCancel,
                                  .subject = row.id.value,
                                  .created = ctx.now()});
  }
  ctx.decision().cancels.emplace_back(row.worker, Of{row.tenant, row.key()});
  note_update(ctx, row);
}

// An execution and all below it, which end first where they can.
Result<void> CancelExecution::cancel_tree(Context& ctx, ExecutionId id) const {
  const auto* row = ctx.execution(id);
  if (!row) return {};
  std::vector<ExecutionId> below;
  auto everything_below = [&] {
    for (const auto* each : ctx.rows().tree(id_)) {
      if (each->parent == id) below.push_back(each->id);
    }
  };
  if (is_final(row->status)) {
    if (id == id_) everything_below();
  } else if (row->worker) {
    cancel_run(ctx, id);
  } else {
    auto live = ctx.workflow(id);
    if (!live.ok() && is_another_try(live.error())) return std::move(live).error();
    if (live.ok() && *live) {
      // What undoes other steps is not canceled with them.
      for (const auto& [step, what] : (*live)->open) {
        if (!(*live)->undoes(what)) below.push_back(step);
      }
      TRY(cancel_workflow(ctx, **live));
    } else {
      // Nothing of it runs outside the server, or nothing is there to move it: it ends here.
      if (!live.ok()) everything_below();
      finish(ctx, id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
    }
  }
  if (mutant(Mutant::CancelSparesSteps)) return {};
  for (ExecutionId step : below) TRY(cancel_tree(ctx, step));
  return {};
}

Result<void> CancelExecution::cancel_workflow(Context& ctx, LiveWorkflow& live) const {
  const ExecutionRow* row = ctx.execution(live.id);
  if (row->status != ExecutionStatus::Canceling) {
    if (row->status == ExecutionStatus::NeedsDecision) tell_missed(ctx, *row, live);
    ExecutionRow& changed = ctx.edit(*row);
    changed.status = ExecutionStatus::Canceling;
    changed.held = "waits for its steps to end";
    note_update(ctx, changed);
    TRY(ask_workflow(ctx, changed, live, conductor::Status::Canceled));
  }
  go_on_later(ctx, *ctx.execution(live.id));
  return {};
}

Decided CancelExecution::decide(Context& ctx) const {
  if (message_) {
    if (!ctx.rows().has_message(message_)) return ctx.decided();  // handled before (K4)
    ctx.changes.acked.push_back({caller_.tenant, message_});
  } else {
    TRY(const auto* stored, find_execution(ctx, caller_, id_));
    if (is_final(stored->status)) {
      return Error(
          ErrorKind::Conflict, "EXE-0011",
          fmt::format("execution {} is final already: {}", id_.value, to_string(stored->status)));
    }
  }
  if (ctx.rows().execution(of())) TRY(cancel_tree(ctx, id_));
  TRY(work_off(ctx));
  if (message_) return ctx.decided();
  return answer(ctx, *ctx.execution(id_));
}

}  // namespace

Message command::cancel(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  return std::make_unique<CancelExecution>(std::move(caller), id, MessageId{}, std::move(reply));
}

Message cancel_execution(const MessageRow& message) {
  return std::make_unique<CancelExecution>(Caller{.tenant = message.tenant},
                                           ExecutionId{message.subject}, message.id,
                                           [](const Result<ExecutionRow>&) {});
}

}  // namespace millrace::engine
