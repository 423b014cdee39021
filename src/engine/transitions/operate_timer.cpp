// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "engine/transitions/enforce.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/told_events.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A timer is fired by hand, paused, or goes on. What comes due while it is paused makes no events,
// and is not made up for. That it is paused is said with the catalogue: every server knows it, and
// a rule that is written anew, or a pack that is loaded, changes nothing about it.
class OperateTimer final : public Request<EventId> {
 public:
  OperateTimer(Caller caller, TimerOperation operation, Reply<EventId> reply)
      : Request(std::move(caller), std::move(reply)), operation_(std::move(operation)) {}
  std::string_view name() const override { return "operate_timer"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    want_run(wanted, caller_);
  }
  Decided decide(Context& ctx) const override;

 private:
  EventId fire(Context& ctx, const RuleSpec& spec) const;
  void set_paused(Context& ctx, const RuleSpec& spec) const;
  TimerOperation operation_;
};

const RuleSpec* user_of(const TenantCatalog& catalog, std::string_view schedule) {
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->schedule == schedule) return &entry->spec;
  }
  return nullptr;
}

EventId OperateTimer::fire(Context& ctx, const RuleSpec& spec) const {
  auto event = firing_event(ctx, caller_.tenant, spec.trigger, spec.trigger_parameters, ctx.now(),
                            std::string());
  // By hand it may be fired twice in the same moment.
  event.source_id = fmt::format("{}/{}", operation_.schedule, event.id.value);
  event.chain = chain_of(ctx, caller_);
  EventId id = event.id;
  store_event_for_later(ctx, std::move(event));
  return id;
}

void OperateTimer::set_paused(Context& ctx, const RuleSpec& spec) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  auto paused = catalog.paused();
  // Those whose rules have gone for good.
  std::erase_if(paused, [&](const auto& name) { return !user_of(catalog, name); });
  if (operation_.wish == TimerWish::Pause) {
    paused.insert(operation_.schedule);
  } else {
    paused.erase(operation_.schedule);
  }
  if (paused == catalog.paused()) return;
  ctx.changes.feed.push_back({.tenant = caller_.tenant,
                              .type = EntityType::Timer,
                              .op = ChangeOp::Updated,
                              .detail = spec.trigger,
                              .at = ctx.now()});
  put_in_force(ctx, caller_.tenant, ctx.catalogs().with_paused(caller_.tenant, std::move(paused)));
}

Decided OperateTimer::decide(Context& ctx) const {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) return answer(ctx, EventId{*earlier});
  const auto* spec = user_of(ctx.catalog(caller_.tenant), operation_.schedule);
  if (!spec) {
    return Error(ErrorKind::NotFound, "RUL-0110", "the timer is gone: no rule uses it any more");
  }
  EventId event;
  if (operation_.wish == TimerWish::Fire) {
    event = fire(ctx, *spec);
    remember_answer(ctx, caller_, event.value);
  } else {
    set_paused(ctx, *spec);
  }
  return answer(ctx, event);
}

}  // namespace

Message command::operate_timer(Caller caller, TimerOperation operation, Reply<EventId> reply) {
  return std::make_unique<OperateTimer>(std::move(caller), std::move(operation), std::move(reply));
}

}  // namespace millrace::engine
