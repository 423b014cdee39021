// SPDX-License-Identifier: Apache-2.0
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int64_t kLookAgainMs = 60'000;

// A timer is due: an execution that sleeps inside the server wakes up, one that took too long ends,
// or a schedule sends its events. The row goes in the same commit: its effect happens once (K5).
class FireTimer final : public Transition {
 public:
  explicit FireTimer(Of<TimerId> timer) : timer_(timer) {}
  std::string_view name() const override { return "fire_timer"; }
  About about() const override {
    return {.tenant = timer_.tenant, .subject = timer_.id.value, .timer = timer_.id};
  }
  Turn turn() const override { return Turn::shared(timer_.id); }
  void want(Wanted& wanted) const override { wanted.timers.push_back(timer_); }
  ExecutionId tree(const Loaded& rows) const override {
    const auto* timer = rows.timer(timer_.id);
    return timer ? ExecutionId{timer->subject} : ExecutionId{};
  }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override;

 private:
  Of<TimerId> timer_;
};

void wake(Context& ctx, const ExecutionRow& row) {
  if (row.status == ExecutionStatus::Delayed) return start_delayed(ctx, row.id);
  // Paused with its workflow: it starts when that is resumed, because its timer is gone. Written,
  // too: who resumes it before that is durable would wait for the timer, and decides again.
  if (row.status == ExecutionStatus::Paused) ctx.edit(row);
  if (row.status != ExecutionStatus::Running) return;
  finish(ctx, row.id, ExecutionStatus::Succeeded, FailureClass::None,
         result_of("", "", 0, Value()));
}

Result<void> time_out(Context& ctx, const ExecutionRow& row) {
  // Waits for a slot: not at work. Or a cancel was committed first (K5).
  if (row.status == ExecutionStatus::Requested || row.status == ExecutionStatus::Canceling) {
    return {};
  }
  auto live = ctx.workflow(row.id);
  if (!live.ok()) {
    // It cannot undo anything now: its time is over once it can go on.
    if (live.error().code() == kNoRelease) {
      set_timer(ctx, row, TimerKind::Timeout, ctx.now() + kLookAgainMs);
    }
    return cannot_go_on(ctx, row.id, live.error());
  }
  if (!*live) {
    constexpr std::string_view kOver = "its time was over";
    if (retry_by_policy(ctx, row.id, ExecutionStatus::Timeout, kOver)) return {};
    Value result = Value::map({{"output", Value()}, {"message", kOver}});
    finish(ctx, row.id, ExecutionStatus::Timeout, FailureClass::Timeout, result);
    return {};
  }
  // Its steps are canceled, and it ends as timeout when they have ended.
  ctx.edit(row).failure = FailureClass::Timeout;
  send(ctx, row, MessageKind::CancelExecution, row.id);
  return {};
}

Decided FireTimer::decide(Context& ctx) const {
  const auto* timer = ctx.rows().timer(timer_.id);
  if (!timer) return ctx.decided();  // canceled, or fired before
  if (!mutant(Mutant::TimerKept)) ctx.changes.timers_done.push_back(timer_);
  if (timer->kind == TimerKind::Schedule) {
    TRY(fire_schedule(ctx, *timer));
    return ctx.decided();
  }
  const auto* row = ctx.rows().execution(Of{timer->tenant, ExecutionId{timer->subject}});
  if (!row || is_final(row->status) || row->worker) return ctx.decided();
  if (timer->kind == TimerKind::Timeout) {
    TRY(time_out(ctx, *row));
  } else {
    wake(ctx, *row);
  }
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message fire_timer(Of<TimerId> timer) { return std::make_unique<FireTimer>(timer); }

}  // namespace millrace::engine
