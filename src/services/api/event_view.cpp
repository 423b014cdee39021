// SPDX-License-Identifier: Apache-2.0
#include "services/api/event_view.h"

#include <fmt/format.h>

#include "services/api/parse.h"

namespace millrace::kernel {

// Found by the field tables.
static std::string_view to_string(EnforcementStatus status) {
  switch (status) {
    case EnforcementStatus::Created: return "created";
    case EnforcementStatus::Failed: return "failed";
  }
  return "unknown";
}

}  // namespace millrace::kernel

namespace millrace::api {

const Fields& EventView::fields() {
  using V = EventView;
  static const Field lines[] = {
      field("id", &V::id, ""),
      field("trigger", &V::trigger, "pack.name"),
      field("source", &V::source, "CloudEvents source, webhook:NAME, timer:REF or execution:ID."),
      field("source_id", &V::source_id, "Unique within the source: the dedupe key."),
      field("type", &V::type, "CloudEvents type."),
      field("replay_of", &V::replay_of, "The event that it repeats."),
      field("trace", &V::trace, "W3C traceparent."),
      field("created", &V::created, ""),
      field("trigger_parameters", &V::trigger_parameters, "Of the trigger instance that fired."),
      field("payload", &V::payload, ""),
  };
  static const auto table = fields_of<V>("Event", "Something that happened.", lines);
  return table;
}

EventView brief_view(const kernel::EventRow& row) {
  EventView view;
  view.id = row.id;
  view.trigger = row.trigger;
  view.source = row.source;
  view.source_id = row.source_id;
  if (!row.type.empty()) view.type = row.type;
  view.replay_of = row.replay_of;
  view.trace = row.trace;
  view.created = {row.created};
  return view;
}

EventView full_view(const kernel::EventRow& row) {
  auto view = brief_view(row);
  if (!row.trigger_parameters_json.empty()) {
    view.trigger_parameters = stored_json(row.trigger_parameters_json);
  }
  view.payload = stored_json(row.payload_json);
  return view;
}

const Fields& AcceptedView::fields() {
  static const Field lines[] = {
      field("event", &AcceptedView::event, "The event; of a duplicate the first one's."),
      field("duplicate", &AcceptedView::duplicate, "It was there before: nothing was stored."),
  };
  static const auto table = fields_of<AcceptedView>("Accepted", "An event is durable.", lines);
  return table;
}

const Fields& EnforcementView::fields() {
  using V = EnforcementView;
  static const Field lines[] = {
      field("id", &V::id, ""),
      field("rule", &V::rule, ""),
      field("rule_ref", &V::rule_ref, "pack.name"),
      field("rule_revision", &V::rule_revision, "As the rule was then."),
      field("event", &V::event, ""),
      field("execution", &V::execution, "None when the parameters could not be rendered."),
      field("status", &V::status, ""),
      field("error", &V::error, "Why there is no execution."),
      field("verdicts", &V::verdicts, "How each criterion came out."),
      field("created", &V::created, ""),
  };
  static const auto table = fields_of<V>("Enforcement", "A rule that matched an event.", lines);
  return table;
}

EnforcementView enforcement_view(const kernel::EnforcementRow& row) {
  EnforcementView view;
  view.id = row.id;
  view.rule = row.rule;
  view.rule_ref = row.rule_ref;
  view.rule_revision = row.rule_revision;
  view.event = row.event;
  view.execution = row.execution;
  view.status = row.status;
  if (!row.error.empty()) view.error = row.error;
  view.verdicts = stored_json(row.verdicts_json);
  view.created = {row.created};
  return view;
}

Error no_event(EventId id) {
  return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", id.value));
}

}  // namespace millrace::api
