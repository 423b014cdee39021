// SPDX-License-Identifier: Apache-2.0
// Events of the past: why rules matched them or did not, and the same once more, for real or dry.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "engine/elsewhere.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "engine/verdict.h"
#include "kernel/event_source.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/event_view.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/rule_view.h"
#include "services/api/shared.h"
#include "services/api/trigger_event.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using engine::Ingested;
using kernel::EventRow;

struct VerdictsQuery {
  int limit = 50;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &VerdictsQuery::limit, "Verdicts at most.").range(1, 500),
    };
    static const auto table = fields_of<VerdictsQuery>("VerdictsQuery", "", lines);
    return table;
  }
};

struct ReplayInput {
  std::optional<Value> payload;
  bool dry_run = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("payload", &ReplayInput::payload, "In the place of the event's own."),
        field("dry_run", &ReplayInput::dry_run,
              "Only tell which of today's rules match, with the parameters of their actions."),
    };
    static const auto table = fields_of<ReplayInput>("Replay", "An event once more.", lines);
    return table;
  }
};

struct ReplaysInput {
  std::string trigger;
  std::optional<Timestamp> since;
  std::optional<Timestamp> until;
  std::optional<EventId> after;
  int limit = 100;
  bool dry_run = false;

  static const Fields& fields() {
    using I = ReplaysInput;
    static const Field lines[] = {
        field("trigger", &I::trigger, "Only events of this trigger."),
        field("since", &I::since, "Only of this time or later."),
        field("until", &I::until, "Only of before this time."),
        field("after", &I::after,
              "Only those that came after this one: `last` of the answer "
              "before."),
        field("limit", &I::limit, "At most so many, the oldest first.").range(1, 1000),
        field("dry_run", &I::dry_run, "Only tell which of today's rules match."),
    };
    static const auto table =
        fields_of<I>("Replays",
                     "Events once more: all that the filters let through, but for those that are "
                     "replays themselves and, without a trigger, those that the server alone "
                     "makes. One filter is needed.",
                     lines);
    return table;
  }
};

struct ReplayedView {
  EventId replay_of;
  EventId event;
  bool duplicate = false;
  std::optional<EventVerdictsView> verdicts;
  std::optional<std::string> error;

  static const Fields& fields() {
    using V = ReplayedView;
    static const Field lines[] = {
        field("replay_of", &V::replay_of, ""),
        field("event", &V::event, "The new event; none of a dry run."),
        field("duplicate", &V::duplicate, "The request was repeated: nothing was stored again."),
        field("verdicts", &V::verdicts, "Of a dry run: today's rules."),
        field("error", &V::error, "Why it was not replayed."),
    };
    static const auto table = fields_of<V>("Replayed", "An event once more.", lines);
    return table;
  }
};

struct ReplaysView {
  int64_t events = 0;
  int64_t failed = 0;
  int64_t left_out = 0;
  bool more = false;
  EventId last;
  std::vector<ReplayedView> replayed;

  static const Fields& fields() {
    using V = ReplaysView;
    static const Field lines[] = {
        field("events", &V::events, "That were looked at."),
        field("failed", &V::failed, "Of these, not replayed."),
        field("left_out", &V::left_out,
              "Passed over: what timers and executions fire, and the server tells of itself. It "
              "makes these anew where they belong; a trigger that is named replays them."),
        field("more", &V::more, "There may be more behind `last`."),
        field("last", &V::last, "The newest of them."),
        field("replayed", &V::replayed, "Each, the oldest first."),
    };
    static const auto table = fields_of<V>("ReplaysDone", "Events once more.", lines);
    return table;
  }
};

Response why_event(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<VerdictsQuery>());
  TRY(auto id, call.id<EventId>());
  TRY(auto event, store::find_event(db, call.who.tenant, id));
  if (!event) return no_event(id);
  TRY(auto verdicts, engine::judge_event(call.api.engine, db, *event, engine::RulesOf::ThatTime,
                                         static_cast<size_t>(query.limit)));
  return answer_one(
      event_verdicts_view(*call.api.engine.catalog(call.who.tenant), *event, verdicts));
}

constexpr size_t kShownOfDryRun = 20;  // verdicts of one event

// What today's rules would make of it.
Result<EventVerdictsView> dry_run(Call& call, sql::Connection& db, const EventRow& event) {
  TRY(auto verdicts,
      engine::judge_event(call.api.engine, db, event, engine::RulesOf::Today, kShownOfDryRun));
  return event_verdicts_view(*call.api.engine.catalog(call.who.tenant), event, verdicts);
}

// With another payload its trigger must be able to give it.
Result<void> edit(const Call& call, const std::optional<Value>& payload, EventRow& event) {
  if (!payload) return {};
  const auto* trigger = call.api.engine.catalog(call.who.tenant)->find_trigger(event.trigger);
  if (trigger) {
    TRY(check_fired(*trigger, &*payload, Value()));
  }
  event.payload_json = to_json(*payload);
  return {};
}

Task<Result<Ingested>> replay(Call& call, EventId id, engine::Replay how, engine::Caller caller) {
  how.event = id;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::replay(std::move(caller), std::move(how), std::move(reply)));
  };
  co_return co_await ask<Ingested>(command);
}

Task<Response> replay_event(Call& call) {
  CO_TRY(auto id, call.id<EventId>());
  CO_TRY(auto input, call.body<ReplayInput>());
  engine::Replay how;
  ReplayedView view{.replay_of = id};
  auto read = [&](sql::Connection& db) -> Result<void> {
    TRY(auto event, store::find_event(db, call.who.tenant, id));
    if (!event) return no_event(id);
    TRY(check_may_send(call, event->trigger));
    TRY(edit(call, input.payload, *event));
    if (input.dry_run) {
      TRY(view.verdicts, dry_run(call, db, *event));
      return {};
    }
    if (input.payload) how.edited_json = event->payload_json;
    TRY(how.payload, parse_json(event->payload_json, kOwnJson));
    return {};
  };
  CO_TRY(co_await call.api.readers.run(read));
  if (input.dry_run) co_return answer_one(view);
  CO_TRY(auto ingested, co_await replay(call, id, std::move(how), call.caller()));
  view.event = ingested.event;
  view.duplicate = ingested.duplicate;
  co_return answer_one(view, 202);
}

bool is_of_server(const EventRow& event) {
  using kernel::SourceKind;
  return std::ranges::any_of(
      std::array{SourceKind::Timer, SourceKind::Execution, SourceKind::Server},
      [&](SourceKind kind) { return event.source.starts_with(kernel::own_source(kind, "")); });
}

// The events that the filters let through, without payloads; `more`: there may be others behind.
Result<std::vector<EventRow>> chosen(Call& call, sql::Connection& db, const ReplaysInput& input,
                                     ReplaysView& view) {
  int64_t above = input.since ? first_id_at(input.since->ms) - 1 : 0;
  if (input.after) above = std::max(above, input.after->value);
  store::Page page{.before = above, .limit = input.limit + 1, .order = store::Order::OldestFirst};
  TRY(auto rows, store::list_events(db, call.who.tenant, input.trigger, page));
  view.more = rows.size() > static_cast<size_t>(input.limit);
  if (view.more) rows.pop_back();
  auto is_late = [&](const EventRow& row) { return input.until && row.created >= input.until->ms; };
  if (std::erase_if(rows, is_late) > 0) view.more = false;
  if (rows.empty() && !input.trigger.empty()) {
    TRY(check_trigger_is_known(*call.api.engine.catalog(call.who.tenant), input.trigger));
  }
  if (!rows.empty()) view.last = rows.back().id;
  std::erase_if(rows, [](const EventRow& row) { return static_cast<bool>(row.replay_of); });
  if (input.trigger.empty()) {
    view.left_out = static_cast<int64_t>(std::erase_if(rows, is_of_server));
  }
  return rows;
}

Task<Response> replay_events(Call& call) {
  CO_TRY(auto input, call.body<ReplaysInput>());
  if (input.trigger.empty() && !input.since && !input.until && !input.after) {
    co_return Error(ErrorKind::Invalid, "API-0053",
                    "expected a filter: /trigger, /since, /until or /after")
        .with_problem("/trigger", "expected this, /since, /until or /after");
  }
  ReplaysView view;
  std::vector<EventRow> events;
  auto read = [&](sql::Connection& db) -> Result<void> {
    TRY(events, chosen(call, db, input, view));
    for (const auto& event : events) {
      TRY(check_may_send(call, event.trigger));
      view.replayed.push_back({.replay_of = event.id});
      if (!input.dry_run) continue;
      TRY(auto whole, store::find_event(db, call.who.tenant, event.id));
      if (!whole) continue;  // retention has come between
      TRY(view.replayed.back().verdicts, dry_run(call, db, *whole));
    }
    return {};
  };
  CO_TRY(co_await call.api.readers.run(read));
  view.events = static_cast<int64_t>(view.replayed.size());
  if (input.dry_run) co_return answer_one(view);
  for (auto& one : view.replayed) {
    // A request that is repeated replays none of them twice.
    auto caller = call.caller();
    if (!caller.idempotency_key.empty()) caller.idempotency_key += " " + one.replay_of.str();
    auto done = co_await replay(call, one.replay_of, {}, std::move(caller));
    if (done.ok()) {
      one.event = done->event;
      one.duplicate = done->duplicate;
    } else if (&one == &view.replayed.front() && engine::elsewhere(done.error())) {
      co_return std::move(done).error();  // nothing was done: the whole is for another server
    } else {
      ++view.failed;
      one.error = done.error().describe();
    }
  }
  co_return answer_one(view, 202);
}

}  // namespace

std::vector<Route> replay_routes(const ApiOptions& options) {
  return {
      {.name = "why_event",
       .method = "GET",
       .pattern = "/api/v1/events/{id}/why",
       .access = Permission::EventsRead,
       .handler = why_event,
       .summary = "Why each rule on its trigger matched a past event or did not.",
       .query = &VerdictsQuery::fields(),
       .answer = &EventVerdictsView::fields()},
      {.name = "replay_event",
       .method = "POST",
       .pattern = "/api/v1/events/{id}/replay",
       .access = Permission::EventsSend,
       .handler = replay_event,
       .summary = "Send a copy of a past event against today's rules, or see what would match.",
       .body_form = BodyForm::Json,
       .body = &ReplayInput::fields(),
       .answer = &ReplayedView::fields(),
       .status = 202,
       .max_body = options.event_body_limit,
       .takes_key = true},
      {.name = "replay_events",
       .method = "POST",
       .pattern = "/api/v1/events/replay",
       .access = Permission::EventsSend,
       .handler = replay_events,
       .summary = "Send copies of past events against today's rules, or see what would match.",
       .body_form = BodyForm::Json,
       .body = &ReplaysInput::fields(),
       .answer = &ReplaysView::fields(),
       .status = 202,
       .takes_key = true},
  };
}

}  // namespace millrace::api
