// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int64_t kLittleMs = 60'000;
constexpr std::string_view kMended = "{\"mended\":true}";

// Which timers have a due time that is not theirs: after a start, after the clock was set back,
// after the rules of time zones have changed. A schedule is computed anew; the timer of an
// execution that was made while the clock was ahead waits as long as it was to wait, from now on. A
// share at a time.
class CheckTimers final : public Transition {
 public:
  CheckTimers(Decision::TimersToCheck from, int64_t now) : from_(from), now_(now) {}
  std::string_view name() const override { return "check_timers"; }
  About about() const override { return {}; }
  // Whatever ends an execution takes its timers along.
  Turn turn() const override { return from_.delays ? Turn::alone() : Turn::none(); }
  void want(Wanted& wanted) const override {
    wanted.schedules_after = from_.after;
    if (from_.delays) wanted.delays_ahead_of = now_ + kLittleMs;
  }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  Decision::TimersToCheck from_;
  int64_t now_;
};

void mend_delay(Context& ctx, const TimerRow& timer) {
  const auto* row = ctx.execution(ExecutionId{timer.subject});
  if (!row || is_final(row->status) || timer.body_json == kMended) return;
  int64_t length = timer.due - (row->started > 0 ? row->started : row->created);
  if (length < 0 || timer.due <= ctx.now() + length) return;
  ctx.changes.timers_done.push_back({timer.tenant, timer.id});
  TimerRow mended = timer;
  mended.id = ctx.new_id<TimerId>();
  mended.due = ctx.now() + length;
  mended.body_json = kMended;
  ctx.changes.timers.push_back(std::move(mended));
}

Decided CheckTimers::decide(Context& ctx) const {
  for (const auto& [name, timer] : ctx.rows().schedules()) {
    auto mended = mend_schedule(ctx, timer);
    if (mended.ok()) continue;
    log_warn("schedule.not_checked",
             {{"schedule", timer.name}, {"error", mended.error().describe()}});
  }
  for (const auto& timer : ctx.rows().delays_ahead()) mend_delay(ctx, timer);
  if (auto after = ctx.rows().schedules_after()) {
    ctx.decision().check_timers = Decision::TimersToCheck{*after, from_.delays};
  }
  return ctx.decided();
}

}  // namespace

Message check_timers(Decision::TimersToCheck from, int64_t now) {
  return std::make_unique<CheckTimers>(from, now);
}

}  // namespace millrace::engine
