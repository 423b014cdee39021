// SPDX-License-Identifier: Apache-2.0
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A workflow goes on in a transition of its own: a step has ended whose workflow was not at hand,
// or the transition before had done its share.
class AdvanceWorkflow final : public Transition {
 public:
  explicit AdvanceWorkflow(const MessageRow& message)
      : tenant_(message.tenant), message_(message.id), subject_(message.subject) {}
  std::string_view name() const override { return "advance_workflow"; }
  About about() const override {
    return {.tenant = tenant_,
            .subject = subject_.value,
            .message = message_,
            .holds_up = subject_,
            .of_an_end = true};
  }
  // The sweep may bring the same message twice.
  Turn turn() const override { return Turn::shared(message_); }
  void want(Wanted& wanted) const override {
    wanted.messages.push_back({tenant_, message_});
    wanted.lineages.push_back({tenant_, subject_});
    wanted.results.push_back({tenant_, subject_});
  }
  ExecutionId tree(const Loaded&) const override { return subject_; }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override;

 private:
  TenantId tenant_;
  MessageId message_;
  ExecutionId subject_;
};

Decided AdvanceWorkflow::decide(Context& ctx) const {
  bool waits = ctx.rows().has_message(message_) || mutant(Mutant::BroughtTwice);
  if (!waits) return ctx.decided();  // handled before (K4)
  if (!mutant(Mutant::MessageNotAcked)) ctx.changes.acked.push_back({tenant_, message_});
  if (mutant(Mutant::MessageAckedWithoutEffect)) return ctx.decided();
  const auto* row = ctx.rows().execution(Of{tenant_, subject_});
  if (!row) return ctx.decided();  // expired by retention
  if (is_final(row->status)) {
    tell_workflow(ctx, *row, ctx.rows().result(subject_));
  } else {
    go_on_later(ctx, *row);
  }
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message advance_workflow(const MessageRow& message) {
  return std::make_unique<AdvanceWorkflow>(message);
}

Message stored_message(const MessageRow& message) {
  switch (message.kind) {
    case MessageKind::EnforceEvent: return enforce_event(message);
    case MessageKind::CancelExecution: return cancel_execution(message);
    case MessageKind::AdvanceWorkflow: return advance_workflow(message);
    case MessageKind::FinishRun: return finish_run(message);
    case MessageKind::LookAtLimit: return look_at_limit(message);
  }
  return enforce_event(message);
}

}  // namespace millrace::engine
