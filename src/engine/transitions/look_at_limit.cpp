// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/transition.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"
#include "kernel/gauges.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Who is first in the queue of a limit looks whether there is room. It is told when somebody leaves
// and when it has become the first; a sweep finds it as well (then there is no stored message).
class LookAtLimit final : public Transition {
 public:
  LookAtLimit(TenantId tenant, ExecutionId execution, std::string gauge, MessageId message)
      : tenant_(tenant), execution_(execution), gauge_(std::move(gauge)), message_(message) {}
  std::string_view name() const override { return "look_at_limit"; }
  About about() const override {
    // Who cannot come in is handed over, and leaves the queue to those behind it.
    return {.tenant = tenant_,
            .subject = execution_.value,
            .message = message_,
            .holds_up = message_ ? execution_ : ExecutionId{}};
  }
  Turn turn() const override { return Turn::shared(message_); }
  void want(Wanted& wanted) const override {
    if (message_) wanted.messages.push_back({tenant_, message_});
    wanted.lineages.push_back({tenant_, execution_});
    wanted.needs.push_back({{}, need_of_gauge({tenant_, gauge_})});
  }
  ExecutionId tree(const Loaded&) const override { return execution_; }
  Whose whose() const override { return message_ ? Whose::Machine : Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  TenantId tenant_;
  ExecutionId execution_;
  std::string gauge_;
  MessageId message_;
};

Decided LookAtLimit::decide(Context& ctx) const {
  if (message_) {
    if (!ctx.rows().has_message(message_)) return ctx.decided();  // handled before (K4)
    ctx.changes.acked.push_back({tenant_, message_});
  }
  LoadedGauge* gauge = ctx.gauge(tenant_, gauge_);
  if (!gauge) return needs_error();
  const PlaceRow* first = gauge->first();
  if (!first) return ctx.decided();
  const auto* row = ctx.rows().execution(Of{tenant_, execution_});
  ExecutionRow nobody{.id = execution_, .tenant = tenant_, .root = execution_};
  if (first->execution != execution_) {
    if (message_) tell_first(ctx, row ? *row : nobody, *gauge);
    return ctx.decided();
  }
  Counted counted = row ? counted_of(row->limits) : Counted{};
  bool waits = counted.how == Counted::How::Waits && counted.gauges.front() == gauge_ &&
               !is_final(row->status);
  if (!waits) {
    // Nobody is there any more whose place it was.
    PlaceRow gone = *first;
    gone.gone = true;
    --gauge->row.waiting;
    ctx.count(*gauge);
    ctx.put_place(*gauge, std::move(gone));
    tell_first(ctx, row ? *row : nobody, *gauge);
    return ctx.decided();
  }
  if (row->status != ExecutionStatus::Delayed || !may_find_room(ctx, *row, *gauge)) {
    return ctx.decided();
  }
  start_delayed(ctx, execution_);
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message look_at_limit(const MessageRow& message) {
  return std::make_unique<LookAtLimit>(message.tenant, ExecutionId{message.subject},
                                       message.body_json, message.id);
}

Message look_at_limit(const PlaceRow& head) {
  return std::make_unique<LookAtLimit>(head.tenant, head.execution, head.gauge, MessageId{});
}

}  // namespace millrace::engine
