// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/timers.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/time.h"
#include "engine/transitions/enforce_event.h"
#include "engine/transitions/workflow_run.h"
#include "engine/transitions/workflows.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int kExpireAtOnce = 500;

TimerRow schedule_row(Context& ctx, TenantId tenant, std::string name, std::string body,
                      int64_t due) {
  TimerRow timer;
  timer.id = ctx.new_id<TimerId>();
  timer.tenant = tenant;
  timer.shard = shard_of(tenant, timer.id.value);
  timer.due = due;
  timer.kind = TimerKind::Schedule;
  timer.name = std::move(name);
  timer.body_json = std::move(body);
  return timer;
}

bool any_rule_uses(const Catalog& catalog, const std::string& name) {
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->spec.enabled && rules::is_timer(entry->spec.trigger) &&
        schedule_name(entry->spec) == name) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string schedule_name(const RuleSpec& spec) {
  return "schedule:" + spec.trigger + ":" + to_json(spec.trigger_parameters);
}

Result<void> set_schedule(Context& ctx, Transition& t, TenantId tenant, const RuleSpec& spec) {
  TRY(auto schedule, rules::parse_schedule(spec.trigger, spec.trigger_parameters));
  auto due = rules::next_fire(schedule, ctx.now());
  if (!due) return {};  // a date that is over
  Value body = Value::map({{"trigger", spec.trigger}, {"parameters", spec.trigger_parameters}});
  t.changes.timers.push_back(schedule_row(ctx, tenant, schedule_name(spec), to_json(body), *due));
  return {};
}

FireTimer::FireTimer(Of<TimerId> timer) : timer_(timer) { key = timer.id.value; }

Result<void> FireTimer::decide(Context& ctx) {
  const auto* timer = ctx.rows().timer(timer_.id);
  if (!timer) return {};  // canceled, or fired before
  changes.timers_done.push_back(timer_);
  if (timer->kind == TimerKind::Schedule) return fire_schedule(ctx, *timer);
  const auto* row = ctx.rows().execution(ExecutionId{timer->subject});
  if (!row || is_final(row->status) || row->worker) return {};
  if (timer->kind == TimerKind::Timeout) return time_out(ctx, *row);
  wake(ctx, *row);
  return {};
}

ExecutionId FireTimer::about(const Loaded& rows) const {
  const auto* timer = rows.timer(timer_.id);
  return timer ? ExecutionId{timer->subject} : ExecutionId{};
}

void FireTimer::wake(Context& ctx, const ExecutionRow& row) {
  if (row.status == ExecutionStatus::Delayed) {
    start_delayed(ctx, *this, row);
    return;
  }
  Value result =
      Value::map({{"stdout", ""}, {"stderr", ""}, {"exit_code", 0}, {"output", Value()}});
  finish(ctx, *this, row, ExecutionStatus::Succeeded, FailureClass::None, result);
}

Result<void> FireTimer::time_out(Context& ctx, const ExecutionRow& row) {
  // Waits for a slot: not at work. Or a cancel was committed first (K5).
  if (row.status == ExecutionStatus::Requested || row.status == ExecutionStatus::Canceling) {
    return {};
  }
  bool is_workflow = ctx.workflow(*this, row.id) != nullptr;
  if (again) return {};
  if (!is_workflow) {
    Value result = Value::map({{"output", Value()}, {"message", "its time was over"}});
    finish(ctx, *this, row, ExecutionStatus::Timeout, FailureClass::Timeout, result);
    return {};
  }
  // Its steps are canceled, and it ends as timeout when they have ended.
  ctx.edit(*this, row).failure = FailureClass::Timeout;
  changes.messages.push_back(
      message_for(ctx, row.tenant, row.root, MessageKind::CancelExecution, row.id));
  return {};
}

Result<void> FireTimer::fire_schedule(Context& ctx, const TimerRow& timer) {
  if (!any_rule_uses(ctx.catalog(), timer.name)) return {};  // the last rule has gone
  TRY(Value body, parse_json(timer.body_json));
  std::string trigger(body.string_or("trigger", ""));
  const Value& parameters = body["parameters"];
  TRY(auto schedule, rules::parse_schedule(trigger, parameters));
  auto firings = rules::due_firings(schedule, timer.due, ctx.now());
  for (int64_t at : firings.at_ms) {
    EventRow event;
    event.id = ctx.new_id<EventId>();
    event.tenant = timer.tenant;
    event.trigger = trigger;
    event.source = "timer:" + trigger;
    event.source_id = fmt::format("{}@{}", timer.name, at);
    event.created = ctx.now();
    event.trigger_parameters_json = to_json(parameters);
    event.payload_json =
        to_json(Value::map({{"executed_at", to_rfc3339(at)}, {"schedule", parameters}}));
    store_event_for_later(ctx, *this, std::move(event));
  }
  if (firings.next_ms) {
    changes.timers.push_back(
        schedule_row(ctx, timer.tenant, timer.name, timer.body_json, *firings.next_ms));
  }
  return {};
}

// Sweep

Sweep::Sweep(const Retention& retention, int64_t now_ms) {
  auto add = [&](Expirable kind, int64_t retention_ms) {
    expire_.push_back({kind, now_ms - retention_ms, kExpireAtOnce});
  };
  add(Expirable::Events, retention.events);
  add(Expirable::Executions, retention.executions);
  add(Expirable::Changes, retention.changes);
  add(Expirable::Quarantine, retention.executions);
  add(Expirable::Dedupe, 0);
  add(Expirable::Keys, 0);
}

void Sweep::want(Wanted& wanted) const {
  wanted.sweep = true;
  wanted.expire = expire_;  // a batch has one sweep
}

Result<void> Sweep::decide(Context& ctx) {
  messages_ = ctx.rows().left_messages();
  to_end_.clear();
  more_due_ = false;
  for (const auto& owed : ctx.rows().left_outbox()) {
    const auto* row = ctx.rows().execution(ExecutionId{owed.subject});
    if (row && row->status == ExecutionStatus::Canceling) {
      to_end_.emplace_back(row->worker, row->key());
    } else {
      changes.outbox_done.push_back({owed.tenant, owed.id});  // the run has ended: confirmed
    }
  }
  for (size_t i = 0; i < expire_.size(); ++i) {
    int64_t due = ctx.rows().rows_due()[i];
    if (due > 0) changes.expire.push_back(expire_[i]);
    more_due_ |= due > expire_[i].limit;
  }
  return {};
}

void Sweep::deliver(Deliveries& out) {
  for (const auto& [worker, run] : to_end_) out.cancel(worker, run);
}

void Sweep::settle(Memory& memory) {
  for (auto& message : messages_) {
    memory.follow_up(make_message(message));
  }
  // Small batches, but as many as it takes: what comes in faster than one batch a minute goes out
  // as fast.
  if (more_due_) memory.sweep_again();
}

// BuryMessage

BuryMessage::BuryMessage(Transition& refused, std::string reason)
    : kind_(refused.name()),
      subject_(refused.subject()),
      reason_(std::move(reason)),
      held_up_(refused.holds_up()),
      acked_(refused.changes.acked),
      timers_done_(refused.changes.timers_done) {}

void BuryMessage::want(Wanted& wanted) const {
  if (held_up_) wanted.executions.push_back(held_up_);
  wanted.timers.insert(wanted.timers.end(), timers_done_.begin(), timers_done_.end());
}

// Nothing is stuck (K8): whoever waited for the message is handed to an operator.
void BuryMessage::hand_over(Context& ctx, const ExecutionRow& stored) {
  if (is_final(stored.status) || stored.status == ExecutionStatus::NeedsDecision) return;
  if (stored.worker) ctx.free_slot(*this, stored.worker);
  ExecutionRow& row = ctx.edit(*this, stored);
  if (row.status == ExecutionStatus::Requested) changes.dequeue.push_back({row.tenant, row.id});
  row.status = ExecutionStatus::NeedsDecision;
  row.failure = FailureClass::InfraLost;
  row.worker = {};
  row.held = fmt::format("its {} could not be handled ({}): millrace execution resolve {}", kind_,
                         reason_, row.id.value);
  note_execution(ctx, *this, row, ChangeOp::Updated);
}

Result<void> BuryMessage::decide(Context& ctx) {
  TenantId tenant = kDefaultTenant;
  std::vector<ExecutionId> held_up;
  if (held_up_) held_up.push_back(held_up_);
  for (auto done : timers_done_) {
    const auto* timer = ctx.rows().timer(done.id);
    if (timer && timer->subject != 0) held_up.push_back(ExecutionId{timer->subject});
  }
  for (ExecutionId id : held_up) {
    const auto* row = ctx.rows().execution(id);
    if (!row) continue;
    tenant = row->tenant;
    hand_over(ctx, *row);
  }
  changes.acked = acked_;
  changes.timers_done = timers_done_;
  changes.quarantine.push_back({.id = ctx.new_raw_id(),
                                .tenant = tenant,
                                .kind = kind_,
                                .subject = subject_,
                                .reason = reason_,
                                .created = ctx.now()});
  return {};
}

}  // namespace millrace::engine
