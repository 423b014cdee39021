// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/enforce_event.h"

#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/idempotency.h"

namespace millrace::engine {

using namespace kernel;

namespace {

void note_event(Context& ctx, Transition& t, const EventRow& event) {
  t.changes.feed.push_back({.tenant = event.tenant,
                            .type = EntityType::Event,
                            .entity = event.id.value,
                            .detail = event.trigger,
                            .at = ctx.now()});
}

Value verdict_list(const std::vector<rules::Verdict>& verdicts) {
  Value list = Value::list();
  for (const auto& verdict : verdicts) list.push_back(rules::to_value(verdict));
  return list;
}

// The execution that a matched rule asks for, or why there is none.
Result<ExecutionId> start_for(Context& ctx, Transition& t, const EventRow& event,
                              const rules::CompiledRule& rule, const rules::EventScope& scope,
                              EnforcementId enforcement) {
  TRY(Value parameters, rules::render_parameters(rule, scope, ctx.expressions()));
  StartRequest request;
  request.tenant = event.tenant;
  request.action = rule.spec().action;
  request.parameters = std::move(parameters);
  request.enforcement = enforcement;
  request.identity = "rule:" + rule.spec().ref;
  request.trace = event.trace;
  request.rule_ref = rule.spec().ref;
  request.trigger_ref = event.trigger;
  TRY(auto started, start_execution(ctx, t, request));
  return started.id;
}

}  // namespace

Result<void> enforce(Context& ctx, Transition& t, const EventRow& event, const Value& payload) {
  Value trigger_parameters;
  if (!event.trigger_parameters_json.empty()) {
    if (auto parsed = parse_json(event.trigger_parameters_json); parsed.ok()) {
      trigger_parameters = std::move(*parsed);
    }
  }
  rules::EventScope scope = ctx.catalog().event_scope(ctx.now());
  KeyLookup keys = ctx.keys({.tenant = event.tenant, .user = std::string(kRuleUser)});
  scope.lookup = &keys;
  scope.event = rules::event_value(event.id, event.trigger, event.created, payload,
                                   std::move(trigger_parameters));
  TRY(auto matches, ctx.catalog().index().match(scope, ctx.expressions()));
  for (const auto& match : matches) {
    const auto& rule = *match.rule;
    EnforcementRow row;
    row.id = ctx.new_id<EnforcementId>();
    row.tenant = event.tenant;
    row.rule = rule.id();
    row.rule_ref = rule.spec().ref;
    row.rule_revision = rule.revision();
    row.event = event.id;
    row.created = ctx.now();
    row.verdicts_json = to_json(verdict_list(match.verdicts));
    if (auto started = start_for(ctx, t, event, rule, scope, row.id); started.ok()) {
      row.execution = *started;
    } else if (note_need(t, started.error())) {
      return {};
    } else {
      row.status = EnforcementStatus::Failed;
      row.error = started.error().describe();
    }
    t.changes.feed.push_back({.tenant = row.tenant,
                              .type = EntityType::Enforcement,
                              .entity = row.id.value,
                              .detail = row.rule_ref,
                              .at = ctx.now()});
    t.changes.enforcements.push_back(std::move(row));
  }
  return {};
}

void store_event_for_later(Context& ctx, Transition& t, EventRow event) {
  MessageRow message;
  message.id = ctx.new_id<MessageId>();
  message.tenant = event.tenant;
  message.shard = shard_of(event.tenant, event.id.value);
  message.kind = MessageKind::EnforceEvent;
  message.subject = event.id.value;
  message.created = ctx.now();
  note_event(ctx, t, event);
  t.changes.events.push_back(std::move(event));
  t.changes.messages.push_back(std::move(message));
}

// IngestEvent

IngestEvent::IngestEvent(Caller caller, NewEvent event, int64_t dedupe_ms, Reply<Ingested> reply)
    : caller_(std::move(caller)),
      event_(std::move(event)),
      dedupe_ms_(dedupe_ms),
      reply_(std::move(reply)) {}

Result<void> IngestEvent::decide(Context& ctx) {
  if (!ctx.catalog().find_trigger(event_.trigger)) {
    return Error(ErrorKind::NotFound, "EVT-0001",
                 fmt::format("unknown trigger '{}'{}", event_.trigger,
                             ctx.catalog().suggest_trigger(event_.trigger)));
  }
  EventRow row;
  row.id = ctx.new_id<EventId>();
  auto claim = [&](std::string scope, const std::string& key) {
    DedupeRow dedupe{caller_.tenant, std::move(scope), key, row.id.str(), ctx.now() + dedupe_ms_};
    const std::string* first = ctx.rows().key(dedupe);
    changes.dedupe.push_back(std::move(dedupe));
    return first;
  };
  const std::string* first = nullptr;
  if (!event_.source_id.empty()) first = claim("event:" + event_.source, event_.source_id);
  if (!event_.body_hash.empty()) {
    const std::string* same_body = claim("body:" + event_.source, event_.body_hash);
    if (!first) first = same_body;
  }
  if (first) {
    changes = {};
    TRY(int64_t id, parse_id(*first, "stored dedupe value"));
    done_ = {EventId{id}, true};
    return {};
  }
  row.tenant = caller_.tenant;
  row.trigger = event_.trigger;
  row.source = event_.source;
  row.source_id = event_.source_id.empty() ? row.id.str() : event_.source_id;
  row.type = event_.type;
  row.payload_json = event_.payload_json;
  if (!event_.trigger_parameters.is_null()) {
    row.trigger_parameters_json = to_json(event_.trigger_parameters);
  }
  row.trace = caller_.trace;
  row.created = ctx.now();
  done_ = {row.id, false};
  note_event(ctx, *this, row);
  TRY(enforce(ctx, *this, row, event_.payload));
  changes.events.push_back(std::move(row));
  return {};
}

// EnforceEvent

EnforceEvent::EnforceEvent(MessageRow message) : message_(std::move(message)) {
  key = message_.id.value;  // the sweep may bring the same message twice
}

void EnforceEvent::want(Wanted& wanted) const {
  wanted.events.push_back({message_.tenant, EventId{message_.subject}});
  wanted.messages.push_back({message_.tenant, message_.id});
}

Result<void> EnforceEvent::decide(Context& ctx) {
  if (!ctx.rows().has_message(message_.id)) return {};  // handled before (K4)
  changes.acked.push_back({message_.tenant, message_.id});
  const auto* event = ctx.rows().event(EventId{message_.subject});
  if (!event) return {};  // expired by retention
  TRY(Value payload, parse_json(event->payload_json));
  return enforce(ctx, *this, *event, payload);
}

// ReplayEvent

ReplayEvent::ReplayEvent(Caller caller, EventId event, Reply<Ingested> reply)
    : caller_(std::move(caller)), event_(event), reply_(std::move(reply)) {}

Result<void> ReplayEvent::decide(Context& ctx) {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    done_ = {EventId{*earlier}, true};
    return {};
  }
  const auto* original = ctx.rows().event(event_);
  if (!original || original->tenant != caller_.tenant) {
    return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", event_.value));
  }
  TRY(Value payload, parse_json(original->payload_json));
  EventRow row = *original;
  row.id = ctx.new_id<EventId>();
  row.replay_of = original->id;
  row.trace = caller_.trace;
  row.created = ctx.now();
  done_ = {row.id, false};
  remember_answer(ctx, *this, caller_, row.id.value);
  note_event(ctx, *this, row);
  TRY(enforce(ctx, *this, row, payload));
  changes.events.push_back(std::move(row));
  return {};
}

}  // namespace millrace::engine
