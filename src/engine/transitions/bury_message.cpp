// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/log.h"
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/start.h"
#include "engine/transitions/told_events.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A message that cannot be handled: out of the way, with its reason. Whom it holds up is handed to
// an operator in the same commit (K8), and whoever waits for an answer gets it after that (K1).
class BuryMessage final : public Transition {
 public:
  BuryMessage(Message refused, std::string reason, bool hands_over)
      : refused_(std::move(refused)),
        about_(refused_->about()),
        reason_(std::move(reason)),
        hands_over_(hands_over) {}
  std::string_view name() const override { return "bury_message"; }
  About about() const override { return about_; }
  // What it holds up has a tree: others wait while that is in flight.
  Turn turn() const override { return Turn::shared(about_.holds_up); }
  void want(Wanted& wanted) const override;
  ExecutionId tree(const Loaded& rows) const override { return held_up(rows).id; }
  void fail(const Error& error) override { refused_->fail(error); }
  Whose whose() const override { return Whose::Burial; }
  Decided decide(Context& ctx) const override;
  std::unique_ptr<BuryMessage> without_handing_over(const std::string& why_not) {
    std::string reason = !hands_over_
                             ? std::move(reason_)
                             : fmt::format("{}; nobody was handed over: {}", reason_, why_not);
    return std::make_unique<BuryMessage>(std::move(refused_), std::move(reason), false);
  }

 private:
  Of<ExecutionId> held_up(const Loaded& rows) const;
  void hand_over(Context& ctx, ExecutionRow row) const;
  Result<void> hand_over_below(Context& ctx) const;
  void bury_timer(Context& ctx) const;
  Message refused_;
  About about_;
  std::string reason_;
  bool hands_over_;
};

void BuryMessage::want(Wanted& wanted) const {
  if (!hands_over_) return;
  if (about_.holds_up) wanted.lineages.push_back({about_.tenant, about_.holds_up});
  if (about_.timer) wanted.timers.push_back({about_.tenant, about_.timer});
}

// Of a timer it is the execution that the timer is about.
Of<ExecutionId> BuryMessage::held_up(const Loaded& rows) const {
  if (!hands_over_) return {};
  if (const auto* timer = about_.timer ? rows.timer(about_.timer) : nullptr) {
    return {timer->tenant, ExecutionId{timer->subject}};
  }
  return {about_.tenant, about_.holds_up};
}

void BuryMessage::hand_over(Context& ctx, ExecutionRow row) const {
  // News about a step that has ended: it is the workflow above that would wait for ever.
  while (is_final(row.status)) {
    if (!about_.of_an_end || mutant(Mutant::AboveNotHandedOver)) return;
    const auto* above = ctx.rows().execution(Of{row.tenant, row.parent});
    if (!above) return;
    row = *above;
  }
  if (row.status == ExecutionStatus::NeedsDecision) return;
  if (row.worker) ctx.free_slot(row.worker, row.key());
  if (row.worker && row.status == ExecutionStatus::Canceling && !mutant(Mutant::HandedOverOwed)) {
    ctx.changes.outbox_done.push_back({row.tenant, OutboxId{row.id.value}});
  }
  ctx.forget_workflow(row.id);  // it may be what cannot be handled
  hold(ctx, row.id, FailureClass::InfraLost,
       fmt::format("its {} could not be handled ({}): millrace execution resolve {}",
                   refused_->name(), reason_, row.id.value));
}

// What a worker runs ends by itself.
Result<void> BuryMessage::hand_over_below(Context& ctx) const {
  TRY(ctx.needs_steps({about_.tenant, about_.holds_up}));
  for (const auto* row : ctx.rows().tree(about_.holds_up)) {
    if (row->parent != about_.holds_up || row->worker || is_final(row->status)) continue;
    hand_over(ctx, *row);
  }
  return {};
}

// One firing of a schedule is not its last: the next one may be made.
void BuryMessage::bury_timer(Context& ctx) const {
  ctx.changes.timers_done.push_back({about_.tenant, about_.timer});
  const auto* timer = ctx.rows().timer(about_.timer);
  if (!timer || timer->kind != TimerKind::Schedule) return;
  if (auto skipped = skip_firing(ctx, *timer); !skipped.ok()) {
    log_error("schedule.ended", {{"timer", timer->name}, {"error", skipped.error().describe()}});
  }
}

Decided BuryMessage::decide(Context& ctx) const {
  if (const auto* row = ctx.rows().execution(held_up(ctx.rows()))) {
    bool has_ended = about_.of_those_below && is_final(row->status);
    if (!has_ended || mutant(Mutant::BelowNotHandedOver)) {
      hand_over(ctx, *row);
    } else {
      TRY(hand_over_below(ctx));
    }
  }
  if (about_.message) ctx.changes.acked.push_back({about_.tenant, about_.message});
  if (about_.timer) bury_timer(ctx);
  ctx.changes.quarantine.push_back({.id = ctx.new_raw_id(),
                                    .tenant = about_.tenant,
                                    .kind = std::string(refused_->name()),
                                    .subject = about_.subject,
                                    .reason = reason_,
                                    .created = ctx.now()});
  bool tells = about_.tenant && hands_over_;  // else this one failed before, perhaps of the event
  if (tells) tell_alert(ctx, about_.tenant, refused_->name(), about_.subject, reason_);
  ctx.agenda = {};  // nobody above is told of a hand-over: its status is its own
  return ctx.decided([this](Deliveries&) {
    refused_->fail(Error(ErrorKind::Internal, "ENG-0002",
                         "the change could not be made and was put into quarantine: " + reason_));
  });
}

}  // namespace

Message bury_message(Message refused, std::string reason) {
  if (refused->whose() == Whose::Burial) {
    return static_cast<BuryMessage&>(*refused).without_handing_over(reason);
  }
  return std::make_unique<BuryMessage>(std::move(refused), std::move(reason), true);
}

}  // namespace millrace::engine
