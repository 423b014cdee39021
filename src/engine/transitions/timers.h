// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "engine/transitions/commands.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// A timer is due: an execution that sleeps inside the server wakes up, one that took too long ends,
// or a schedule sends its events. The row goes in the same commit: its effect happens once (K5).
class FireTimer final : public Transition {
 public:
  explicit FireTimer(kernel::Of<TimerId> timer);
  std::string_view name() const override { return "fire_timer"; }
  void want(Wanted& wanted) const override { wanted.timers.push_back(timer_); }
  ExecutionId about(const Loaded& rows) const override;
  Result<void> decide(Context& ctx) override;
  bool insists() const override { return true; }

 private:
  void wake(Context& ctx, const kernel::ExecutionRow& row);
  Result<void> time_out(Context& ctx, const kernel::ExecutionRow& row);
  Result<void> fire_schedule(Context& ctx, const kernel::TimerRow& timer);
  kernel::Of<TimerId> timer_;
};

// The name under which rules with the same trigger and the same parameters share one timer.
std::string schedule_name(const RuleSpec& spec);
// The timers of these rules' schedules go, unless another rule uses them, too. Wants `schedules`.
void end_schedules(Context& ctx, Transition& t, const std::set<std::string>& rules_that_go);
// Adds the timer of a rule on a timer trigger. Errors are those of rules::parse_schedule.
Result<void> set_schedule(Context& ctx, Transition& t, TenantId tenant, const RuleSpec& spec);

// What was left behind: hints that were lost and rows that are past their retention. Reads a few
// rows; writes nothing when nothing is due.
class Sweep final : public Transition {
 public:
  Sweep(const Retention& retention, int64_t now_ms);
  std::string_view name() const override { return "sweep"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries& out) override;
  void settle(Memory& memory) override;

 private:
  std::vector<kernel::Expire> expire_;
  bool more_due_ = false;
  std::vector<kernel::MessageRow> messages_;
  std::vector<std::pair<WorkerId, kernel::RunKey>> to_end_;
};

// A message whose handling cannot be written: out of the way, with its reason.
class BuryMessage final : public Transition {
 public:
  BuryMessage(Transition& refused, std::string reason);
  std::string_view name() const override { return "quarantine"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;

 private:
  void hand_over(Context& ctx, const kernel::ExecutionRow& row);
  std::string kind_;
  int64_t subject_;
  std::string reason_;
  ExecutionId held_up_;
  std::vector<kernel::Of<MessageId>> acked_;
  std::vector<kernel::Of<TimerId>> timers_done_;
};

}  // namespace millrace::engine
