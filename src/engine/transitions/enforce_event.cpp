// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/enforce.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// An event that is stored already: sent by an action, fired by a timer, or found by the sweep.
class EnforceEvent final : public Transition {
 public:
  explicit EnforceEvent(MessageRow message) : message_(std::move(message)) {}
  std::string_view name() const override { return "enforce_event"; }
  About about() const override {
    return {.tenant = message_.tenant, .subject = message_.subject, .message = message_.id};
  }
  // The sweep may bring the same message twice.
  Turn turn() const override { return Turn::shared(message_.id); }
  void want(Wanted& wanted) const override {
    wanted.events.push_back({message_.tenant, EventId{message_.subject}});
    wanted.messages.push_back({message_.tenant, message_.id});
  }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override;

 private:
  MessageRow message_;
};

Decided EnforceEvent::decide(Context& ctx) const {
  bool waits = ctx.rows().has_message(message_.id) || mutant(Mutant::BroughtTwice);
  if (!waits) return ctx.decided();  // handled before (K4)
  ctx.changes.acked.push_back({message_.tenant, message_.id});
  const auto* event = ctx.rows().event({message_.tenant, EventId{message_.subject}});
  if (!event) return ctx.decided();  // expired by retention
  TRY(Value payload, parse_json(event->payload_json, kOwnJson));
  TRY(enforce(ctx, *event, payload));
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message enforce_event(MessageRow message) {
  return std::make_unique<EnforceEvent>(std::move(message));
}

}  // namespace millrace::engine
