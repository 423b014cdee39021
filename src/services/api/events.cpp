// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "rules/schedule.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/cloudevents.h"
#include "services/api/event_view.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/trigger_event.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using engine::Ingested;

struct EventQuery {
  int limit = 50;
  std::string cursor;
  std::string trigger;
  Sort sort = Sort::NewestFirst;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &EventQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &EventQuery::cursor, "next_cursor of the page before."),
        field("trigger", &EventQuery::trigger, "Only events of this trigger."),
        field("sort", &EventQuery::sort, "created: oldest first; -created: newest first."),
    };
    static const auto table = fields_of<EventQuery>("EventQuery", "", lines);
    return table;
  }
};

Response list_events(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<EventQuery>());
  TRY(auto page, open_page("events", query.cursor, query.limit, query.sort));
  TRY(auto rows, store::list_events(db, call.who.tenant, query.trigger, page));
  if (rows.empty() && !query.trigger.empty()) {
    TRY(check_trigger_is_known(*call.api.engine.catalog(call.who.tenant), query.trigger));
  }
  auto next = cut_page("events", rows, query.limit, query.sort);
  std::vector<EventView> views;
  for (const auto& row : rows) views.push_back(brief_view(row));
  return answer_list(views, next);
}

Response show_event(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<EventId>());
  TRY(auto row, store::find_event(db, call.who.tenant, id));
  if (!row) return no_event(id);
  return answer_one(full_view(*row));
}

// A batch is not one transaction: when one event is refused, the others may be stored, and the
// sender repeats the whole; what was stored is a duplicate then.
Task<Response> send_events(Call& call) {
  std::vector<engine::NewEvent> events;
  auto catalog = call.api.engine.catalog(call.who.tenant);
  auto read = [&]() -> Result<void> {
    TRY(events, read_cloudevents(call.http, *catalog));
    return {};
  };
  bool is_long = call.http.body.size() > Readers::kLongBody;
  CO_TRY(is_long ? co_await call.api.readers.parse(read) : read());
  for (const auto& event : events) CO_TRY(check_may_send(call, event.trigger));
  auto loop = co_await async::this_executor();
  std::vector<async::Completion<Ingested>> done;
  for (auto& event : events) {
    done.emplace_back(loop);
    call.api.engine.submit(engine::command::ingest(
        call.caller(), std::move(event),
        [ended = done.back()](auto result) { ended.fulfil(std::move(result)); }));
  }
  std::vector<AcceptedView> accepted;
  for (auto& one : done) {
    CO_TRY(auto ingested, co_await outcome_of(one));
    accepted.push_back({ingested.event, ingested.duplicate});
  }
  bool is_batch = call.http.headers.find("content-type").find("batch") != std::string_view::npos;
  auto response = is_batch ? answer_list(accepted) : answer_one(accepted.front());
  response.status = 202;
  co_return response;
}

struct TriggerEventInput {
  Value payload = Value::map();
  std::optional<Value> trigger_parameters;
  std::string id;
  std::string source = "api";

  static const Fields& fields() {
    using I = TriggerEventInput;
    static const Field lines[] = {
        field("payload", &I::payload, "As the trigger's payload_schema says."),
        field("trigger_parameters", &I::trigger_parameters,
              "Of the trigger that fires: rules that give some match only these.")
            .only(Value::Kind::Map),
        field("id", &I::id, "The same source and id again is a duplicate.").length(0, 1024),
        field("source", &I::source, "").length(1, 1024),
    };
    static const auto table =
        fields_of<I>("TriggerEvent", "What a trigger fires, given by hand.", lines);
    return table;
  }
};

Task<Response> send_trigger_event(Call& call) {
  CO_TRY(auto input, call.body<TriggerEventInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  CO_TRY(check_trigger_is_known(*catalog, call.param()));
  const auto* trigger = catalog->find_trigger(call.param());
  CO_TRY(check_may_send(call, trigger->ref));
  if (auto instead = rules::fired_by_server(trigger->ref); !instead.empty()) {
    co_return Error(ErrorKind::Invalid, "EVT-0003",
                    fmt::format("'{}' is fired by the server alone: {}", trigger->ref, instead));
  }
  CO_TRY(check_fired(*trigger, &input.payload, input.trigger_parameters.value_or(Value())));
  engine::NewEvent event{
      .trigger = trigger->ref, .source = std::move(input.source), .source_id = std::move(input.id)};
  event.type = trigger->ref;
  event.payload_json = to_json(input.payload);
  event.payload = std::move(input.payload);
  event.trigger_parameters = input.trigger_parameters.value_or(Value());
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::ingest(call.caller(), std::move(event), std::move(reply)));
  };
  CO_TRY(auto ingested, co_await ask<Ingested>(command));
  co_return answer_one(AcceptedView{ingested.event, ingested.duplicate}, 202);
}

struct EnforcementQuery {
  int limit = 50;
  std::string cursor;
  std::string rule;
  std::optional<EventId> event;
  Sort sort = Sort::NewestFirst;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &EnforcementQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &EnforcementQuery::cursor, "next_cursor of the page before."),
        field("rule", &EnforcementQuery::rule, "Only of this rule."),
        field("event", &EnforcementQuery::event, "Only of this event."),
        field("sort", &EnforcementQuery::sort, "created: oldest first; -created: newest first."),
    };
    static const auto table = fields_of<EnforcementQuery>("EnforcementQuery", "", lines);
    return table;
  }
};

Response list_enforcements(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<EnforcementQuery>());
  TRY(auto page, open_page("enforcements", query.cursor, query.limit, query.sort));
  std::vector<kernel::EnforcementRow> rows;
  if (query.event) {
    TRY(rows, store::enforcements_of(db, call.who.tenant, *query.event));
    std::erase_if(
        rows, [&](const auto& row) { return !query.rule.empty() && row.rule_ref != query.rule; });
    if (query.sort == Sort::NewestFirst) std::ranges::reverse(rows);
  } else {
    RuleId rule;
    if (!query.rule.empty()) {
      TRY(auto found, store::find_rule(db, call.who.tenant, query.rule));
      if (!found) return answer_list(std::vector<EnforcementView>());
      rule = found->id;
    }
    TRY(rows, store::list_enforcements(db, call.who.tenant, rule, page));
  }
  std::string next;
  if (!query.event) next = cut_page("enforcements", rows, query.limit, query.sort);
  std::vector<EnforcementView> views;
  for (const auto& row : rows) views.push_back(enforcement_view(row));
  return answer_list(views, next);
}

Response show_enforcement(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<EnforcementId>());
  TRY(auto row, store::find_enforcement(db, call.who.tenant, id));
  if (row) return answer_one(enforcement_view(*row));
  return Error(ErrorKind::NotFound, "API-0052", fmt::format("no enforcement {}", id.value));
}

}  // namespace

std::vector<Route> event_routes(const ApiOptions& options) {
  std::vector<Route> routes = {
      {.name = "list_events",
       .method = "GET",
       .pattern = "/api/v1/events",
       .access = Permission::EventsRead,
       .handler = list_events,
       .summary = "List events, newest first.",
       .query = &EventQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &EventView::fields()},
      {.name = "send_events",
       .method = "POST",
       .pattern = "/api/v1/events",
       .access = Permission::EventsSend,
       .handler = send_events,
       .summary = "Send one CloudEvent or a batch. Durable before the answer.",
       .body_form = BodyForm::CloudEvent,
       .answer = &AcceptedView::fields(),
       .status = 202,
       .max_body = options.event_body_limit},
      {.name = "show_event",
       .method = "GET",
       .pattern = "/api/v1/events/{id}",
       .access = Permission::EventsRead,
       .handler = show_event,
       .summary = "Show an event with its payload.",
       .answer = &EventView::fields()},
      {.name = "send_trigger_event",
       .method = "POST",
       .pattern = "/api/v1/triggers/{ref}/events",
       .access = Permission::EventsSend,
       .handler = send_trigger_event,
       .summary = "Send what a trigger fires. Durable before the answer.",
       .body_form = BodyForm::Json,
       .body = &TriggerEventInput::fields(),
       .answer = &AcceptedView::fields(),
       .status = 202,
       .max_body = options.event_body_limit},
  };
  for (const auto& route : replay_routes(options)) routes.push_back(route);
  return routes;
}

std::vector<Route> enforcement_routes() {
  return {
      {.name = "list_enforcements",
       .method = "GET",
       .pattern = "/api/v1/enforcements",
       .access = Permission::EventsRead,
       .handler = list_enforcements,
       .summary = "List matches of rules and events, newest first.",
       .query = &EnforcementQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &EnforcementView::fields()},
      {.name = "show_enforcement",
       .method = "GET",
       .pattern = "/api/v1/enforcements/{id}",
       .access = Permission::EventsRead,
       .handler = show_enforcement,
       .summary = "Show a match with its verdicts.",
       .answer = &EnforcementView::fields()},
  };
}

}  // namespace millrace::api
