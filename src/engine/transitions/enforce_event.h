// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/commands.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// Holds an event against the rules and adds one enforcement and one execution per match.
// `payload` is the event's payload, parsed.
Result<void> enforce(Context& ctx, Transition& t, const kernel::EventRow& event,
                     const Value& payload);

// Adds an event and the message that will have it enforced in a transition of its own.
void store_event_for_later(Context& ctx, Transition& t, kernel::EventRow event);

// An event from outside: stored, matched and answered in one commit. A delivery that was there
// before is answered with the first one's event.
class IngestEvent final : public Transition {
 public:
  IngestEvent(Caller caller, NewEvent event, int64_t dedupe_ms, Reply<Ingested> reply);
  std::string_view name() const override { return "ingest_event"; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override {
    event_.payload = Value();  // whoever made it frees it, on the thread that allocated it
    reply_(done_);
  }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  NewEvent event_;
  int64_t dedupe_ms_;
  Reply<Ingested> reply_;
  Ingested done_;
};

// An event that is stored already: sent by an action, fired by a timer, or found by the sweep.
class EnforceEvent final : public Transition {
 public:
  explicit EnforceEvent(kernel::MessageRow message);
  std::string_view name() const override { return "enforce_event"; }
  int64_t subject() const override { return message_.subject; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  bool insists() const override { return true; }

 private:
  kernel::MessageRow message_;
};

// A copy of a past event against today's rules.
class ReplayEvent final : public Transition {
 public:
  ReplayEvent(Caller caller, EventId event, Reply<Ingested> reply);
  std::string_view name() const override { return "replay_event"; }
  void want(Wanted& wanted) const override { wanted.events.push_back({caller_.tenant, event_}); }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(done_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  EventId event_;
  Reply<Ingested> reply_;
  Ingested done_;
};

}  // namespace millrace::engine
