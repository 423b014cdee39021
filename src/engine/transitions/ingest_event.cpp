// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/mutants.h"
#include "engine/transitions/enforce.h"
#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"
#include "engine/transitions/work_off.h"
#include "kernel/event_source.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// An event from outside: stored, matched and answered in one commit. A delivery that was there
// before is answered with the first one's event.
class IngestEvent final : public Request<Ingested> {
 public:
  IngestEvent(Caller caller, NewEvent event, Reply<Ingested> reply)
      : Request(std::move(caller), std::move(reply)),
        event_(std::make_unique<NewEvent>(std::move(event))) {}
  std::string_view name() const override { return "ingest_event"; }
  void want(Wanted& wanted) const override { want_run(wanted, caller_); }
  Decided decide(Context& ctx) const override;

 private:
  // The first event of this source with this key, if there was one; else the key is claimed.
  const std::string* claim(Context& ctx, EventId id, std::string scope,
                           const std::string& key) const;
  EventRow row(Context& ctx, EventId id) const;
  std::unique_ptr<NewEvent> event_;
};

const std::string* IngestEvent::claim(Context& ctx, EventId id, std::string scope,
                                      const std::string& key) const {
  if (key.empty()) return nullptr;
  DedupeRow dedupe{caller_.tenant, std::move(scope), key, id.str(),
                   ctx.now() + ctx.retention().dedupe};
  const std::string* first = ctx.rows().key(dedupe, ctx.now());
  if (!mutant(Mutant::DedupeNotWritten)) ctx.changes.dedupe.push_back(std::move(dedupe));
  return first;
}

EventRow IngestEvent::row(Context& ctx, EventId id) const {
  EventRow row;
  row.id = id;
  row.tenant = caller_.tenant;
  row.trigger = event_->trigger;
  row.source = event_->source;
  row.source_id = event_->source_id.empty() ? id.str() : event_->source_id;
  row.type = event_->type;
  row.payload_json = event_->payload_json;
  if (!event_->trigger_parameters.is_null()) {
    row.trigger_parameters_json = to_json(event_->trigger_parameters);
  }
  row.trace = caller_.trace;
  row.chain = chain_of(ctx, caller_);
  row.created = ctx.now();
  return row;
}

// Those of hooks are apart from those of clients: who may send events cannot take the key of a
// delivery that is still to come. Another endpoint of the same name has keys of its own. Each byte
// is written several times for each delivery: the id alone says which one it is.
std::string key_scope(std::string_view kind, const NewEvent& event) {
  if (event.endpoint) return fmt::format("{}:{:x}", kind, event.endpoint.value);
  return fmt::format("{}:{}", kind, event.source);
}

Decided IngestEvent::decide(Context& ctx) const {
  if (auto prefix = reserved_prefix(event_->source);
      event_->sender == Sender::Client && !prefix.empty()) {
    return Error(ErrorKind::Invalid, "EVT-0003",
                 fmt::format("source '{}': {}", event_->source, reserved_message(prefix)));
  }
  const auto& catalog = ctx.catalog(caller_.tenant);
  if (!catalog.find_trigger(event_->trigger)) {
    return Error(ErrorKind::NotFound, "EVT-0001",
                 fmt::format("unknown trigger '{}'{}", event_->trigger,
                             catalog.suggest_trigger(event_->trigger)));
  }
  auto id = ctx.new_root<EventId>(caller_.tenant);
  const auto* first =
      claim(ctx, id, key_scope(event_->sender == Sender::Hook ? "event" : "sent", *event_),
            event_->source_id);
  const auto* same_body = claim(ctx, id, key_scope("body", *event_), event_->body_hash);
  if (!first) first = same_body;
  if (first) {
    ctx.changes = {};
    TRY(int64_t before, parse_id(*first, "stored dedupe value"));
    return answer(ctx, {EventId{before}, true});
  }
  EventRow event = row(ctx, id);
  note_event(ctx, event);
  TRY(enforce(ctx, event, event_->payload));
  ctx.changes.events.push_back(std::move(event));
  TRY(work_off(ctx));
  return ctx.decided([this, id](Deliveries&) {
    // Whoever made the payload frees it, on the thread that allocated it.
    event_->payload = Value();
    reply_(Ingested{id, false});
  });
}

}  // namespace

Message command::ingest(Caller caller, NewEvent event, Reply<Ingested> reply) {
  return std::make_unique<IngestEvent>(std::move(caller), std::move(event), std::move(reply));
}

}  // namespace millrace::engine
