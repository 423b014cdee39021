// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/mutants.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/operate.h"
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// The body of a message.
constexpr std::string_view kRunsEndFirst = R"({"runs":"end_first"})";

// Cancels an execution and everything below it. What runs is told to end; the final status comes
// with its completion. In the language `orquesta` as in StackStorm: what runs below ends by itself
// first, and a canceled step cancels the workflow above it, with all its steps.
class CancelExecution final : public Request<ExecutionRow> {
 public:
  // `message`: when the kernel asks, for what is left open below an execution that has ended.
  CancelExecution(Caller caller, ExecutionId id, MessageId message, CancelHow how,
                  Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)), id_(id), message_(message), how_(how) {}
  std::string_view name() const override { return "cancel_execution"; }
  About about() const override {
    return {.tenant = caller_.tenant,
            .subject = id_.value,
            .message = message_,
            .holds_up = message_ ? id_ : ExecutionId{},
            .of_those_below = message_.value != 0};
  }
  Turn turn() const override { return Turn::shared(id_); }
  void want(Wanted& wanted) const override;
  ExecutionId tree(const Loaded&) const override { return id_; }
  Whose whose() const override { return message_ ? Whose::Machine : Whose::Asker; }
  Decided decide(Context& ctx) const override;

 private:
  Of<ExecutionId> of() const { return {caller_.tenant, id_}; }
  Result<void> cancel_tree(Context& ctx, ExecutionId id, bool runs_end_first = false) const;
  Result<void> cancel_above(Context& ctx) const;
  Result<void> cancel_workflow(Context& ctx, LiveWorkflow& live) const;
  ExecutionId id_;
  MessageId message_;
  CancelHow how_;
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

// Of a step that it is at work itself.
bool is_at_work(const ExecutionRow& row) {
  return row.worker || row.status == ExecutionStatus::Running;
}

// An execution and all below it, which end first where they can. `runs_end_first`: the workflow
// above it leaves what runs alone.
Result<void> CancelExecution::cancel_tree(Context& ctx, ExecutionId id, bool runs_end_first) const {
  const auto* row = ctx.execution(id);
  if (!row) return {};
  bool below_ends_first = false;
  std::vector<ExecutionId> below;
  auto everything_below = [&] {
    for (const auto* each : ctx.rows().tree(id_)) {
      if (each->parent == id) below.push_back(each->id);
    }
  };
  if (is_final(row->status)) {
    if (id == id_) everything_below();
  } else if (row->worker) {
    if (!runs_end_first) cancel_run(ctx, id);
  } else {
    auto live = ctx.workflow(id);
    if (!live.ok() && is_another_try(live.error())) return std::move(live).error();
    if (live.ok() && *live) {
      bool is_native = (*live)->conductor->definition().native();
      below_ends_first = how_ == CancelHow::AsLanguageSays && !is_native;
      // What undoes other steps is not canceled with them.
      for (const auto& [step, what] : (*live)->open) {
        if (!(*live)->undoes(what)) below.push_back(step);
      }
      TRY(cancel_workflow(ctx, **live));
    } else if (!runs_end_first || !live.ok() || !is_at_work(*row)) {
      // Nothing of it runs outside the server, or nothing is there to move it: it ends here.
      if (!live.ok()) everything_below();
      finish(ctx, id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
    }
  }
  if (mutant(Mutant::CancelSparesSteps)) return {};
  for (ExecutionId step : below) TRY(cancel_tree(ctx, step, below_ends_first));
  return {};
}

// The workflows above hear of it before the step ends, else they would take its end for a failure.
// What is beside it is canceled by a message: only its own tree is loaded.
Result<void> CancelExecution::cancel_above(Context& ctx) const {
  const ExecutionRow* row = ctx.execution(id_);
  ExecutionId top;
  while (row && row->parent) {
    const ExecutionRow* above = ctx.execution(row->parent);
    if (!above || is_final(above->status)) break;
    auto live = ctx.workflow(above->id);
    if (!live.ok() && is_another_try(live.error())) return std::move(live).error();
    bool follows = live.ok() && *live && !(*live)->conductor->definition().native();
    if (!follows) break;
    TRY(cancel_workflow(ctx, **live));
    top = above->id;
    row = ctx.execution(top);
  }
  if (top) send(ctx, *ctx.execution(top), MessageKind::CancelExecution, top, kRunsEndFirst);
  return {};
}

Result<void> CancelExecution::cancel_workflow(Context& ctx, LiveWorkflow& live) const {
  const ExecutionRow* row = ctx.execution(live.id);
  if (row->status != ExecutionStatus::Canceling) {
    if (row->status == ExecutionStatus::NeedsDecision) tell_missed(ctx, *row, live);
    ExecutionRow& changed = ctx.edit(*row);
    changed.status = ExecutionStatus::Canceling;
    bool ends_first = how_ == CancelHow::AsLanguageSays && !live.conductor->definition().native();
    changed.held = "waits for its steps to end";
    if (ends_first) {
      changed.held += fmt::format("; at once: millrace execution cancel {} --now", live.id.value);
    }
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
  if (ctx.rows().execution(of())) {
    if (!message_) TRY(cancel_above(ctx));
    TRY(cancel_tree(ctx, id_));
  }
  TRY(work_off(ctx));
  if (message_) return ctx.decided();
  return answer(ctx, *ctx.execution(id_));
}

}  // namespace

Message command::cancel(Caller caller, ExecutionId id, Reply<ExecutionRow> reply, CancelHow how) {
  return std::make_unique<CancelExecution>(std::move(caller), id, MessageId{}, how,
                                           std::move(reply));
}

Message cancel_execution(const MessageRow& message) {
  // Of an end or a timeout nothing goes on.
  auto how = message.body_json == kRunsEndFirst ? CancelHow::AsLanguageSays : CancelHow::Now;
  return std::make_unique<CancelExecution>(Caller{.tenant = message.tenant},
                                           ExecutionId{message.subject}, message.id, how,
                                           [](const Result<ExecutionRow>&) {});
}

}  // namespace millrace::engine
