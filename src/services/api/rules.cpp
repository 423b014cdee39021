// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"
#include "rules/schedule.h"
#include "services/api/call.h"
#include "services/api/routes.h"
#include "services/api/rule_view.h"
#include "services/api/shared.h"
#include "services/api/timer_view.h"
#include "services/api/trigger_event.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::RuleRow;

struct RuleQuery {
  int limit = 50;
  std::string cursor;
  std::string trigger;
  std::string action;
  std::string pack;
  std::optional<bool> enabled;
  std::optional<bool> overridden;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &RuleQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &RuleQuery::cursor, "next_cursor of the page before."),
        field("trigger", &RuleQuery::trigger, "Only rules on this trigger."),
        field("action", &RuleQuery::action, "Only rules that run this action."),
        field("pack", &RuleQuery::pack, "Only rules of this pack."),
        field("enabled", &RuleQuery::enabled, "Only enabled or disabled ones."),
        field("overridden", &RuleQuery::overridden, "Only those with an override, or without."),
    };
    static const auto table = fields_of<RuleQuery>("RuleQuery", "", lines);
    return table;
  }

  bool wants(const engine::RuleEntry& entry) const {
    const auto& spec = entry.spec;
    return (trigger.empty() || spec.trigger == trigger) &&
           (action.empty() || spec.action == action) &&
           (pack.empty() || spec.ref.starts_with(pack + ".")) &&
           (!enabled || spec.enabled == *enabled) &&
           (!overridden || !entry.row.override_json.empty() == *overridden);
  }
};

struct WriteQuery {
  bool dry_run = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("dry_run", &WriteQuery::dry_run,
              "Refuse what would be refused, show what would come of it, and change nothing."),
    };
    static const auto table = fields_of<WriteQuery>("RuleWriteQuery", "", lines);
    return table;
  }
};

struct UndoQuery {
  std::string name;
  bool dry_run = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &UndoQuery::name, "Refuse to undo one that is called otherwise."),
        field("dry_run", &UndoQuery::dry_run, "Show what would come of it, and change nothing."),
    };
    static const auto table = fields_of<UndoQuery>("RuleUndoQuery", "", lines);
    return table;
  }
};

struct OverrideInput {
  std::string name;
  bool replace = false;
  Value set = Value::map();

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &OverrideInput::name,
              "What it is called where it is shown. A rule has one: while one of another name is "
              "there, it is refused without `replace`.")
            .length(0, 100),
        field("replace", &OverrideInput::replace,
              "Put it in the place of the one that is there, instead of adding to it."),
        field("set", &OverrideInput::set,
              "Part of a rule. Of trigger and action what it names; of their parameters null takes "
              "one away.")
            .required(),
    };
    static const auto table =
        fields_of<OverrideInput>("RuleOverride", "What is changed of a pack's rule.", lines);
    return table;
  }
};

net::HttpResponse with_etag(net::HttpResponse response, int64_t revision) {
  response.header("ETag", fmt::format("\"{}\"", revision));
  return response;
}

net::HttpResponse answer_rule(const engine::RuleEntry& entry,
                              const engine::TenantCatalog& catalog) {
  return with_etag(answer_one(rule_view(entry, catalog)), entry.row.revision);
}

Response list_rules(Call& call) {
  TRY(auto query, call.query<RuleQuery>());
  TRY(auto after, open_cursor("rules", query.cursor));
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<RuleView> views;
  std::string next;
  for (auto it = catalog->rules().upper_bound(after); it != catalog->rules().end(); ++it) {
    const auto& entry = *it->second;
    if (entry.row.tenant != call.who.tenant || !query.wants(entry)) continue;
    if (views.size() == static_cast<size_t>(query.limit)) {
      next = make_cursor("rules", views.back().ref);
      break;
    }
    views.push_back(rule_view(entry, *catalog));
  }
  if (views.empty() && !query.trigger.empty()) {
    TRY(check_trigger_is_known(*catalog, query.trigger));
  }
  return answer_list(views, next);
}

Response show_rule(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->find_rule(call.param());
  if (!entry || entry->row.tenant != call.who.tenant)
    return engine::no_rule(*catalog, call.param());
  return answer_rule(*entry, *catalog);
}

// When its timer fires next: others may have it already, with a due time of their own, or paused.
Task<Result<std::vector<std::string>>> timer_fires(Call& call, RuleSpec spec, int64_t now_ms) {
  std::vector<std::string> fires;
  auto read = [&](sql::Connection& db) -> Result<void> {
    TRY(auto timers, store::named_timer(db, call.who.tenant, engine::schedule_name(spec)));
    auto due = timers.empty() ? std::nullopt : std::optional(timers.front().due);
    fires = next_fires_of(spec, now_ms, due);
    return {};
  };
  CO_TRY(co_await call.api.readers.run(read));
  co_return fires;
}

// The row that has been written, or would be.
Task<Response> answer_written(Call& call, RuleRow row, int status) {
  auto now_in_force = call.api.engine.catalog(call.who.tenant);
  const auto& catalog = *now_in_force;
  // A repeated request is answered with the rule as it is now.
  const auto* now = catalog.find_rule(row.ref);
  bool is_current = now && now->row.revision == row.revision && now->row.updated == row.updated;
  RuleView view;
  if (is_current && status == 200) {
    view = rule_view(*now, catalog);
  } else if (!row.deleted || !row.spec_json.empty()) {
    CO_TRY(Value stored, parse_json(row.spec_json, kOwnJson));
    CO_TRY(auto spec, engine::rule_from_value(stored));
    view = rule_view(row, spec, catalog);
  } else {
    view = rule_view(row, RuleSpec{}, catalog);
  }
  auto spec = RuleSpec{};
  spec.trigger = view.trigger.ref;
  spec.trigger_parameters = view.trigger.parameters;
  spec.criteria = view.criteria;
  spec.action = view.action.ref;
  view.warnings = warnings_of(spec, catalog);
  bool runs = row.enabled && view.state != RuleState::Paused && rules::is_timer(spec.trigger);
  if (runs) {
    CO_TRY(view.next_fires, co_await timer_fires(call, std::move(spec), row.updated));
    if (view.next_fires->empty()) view.next_fires.reset();
  }
  co_return with_etag(answer_one(view, status), row.revision);
}

Task<Response> write_rule(Call& call, engine::RuleWrite write, int status) {
  CO_TRY(auto query, call.query<WriteQuery>());
  write.dry_run = query.dry_run;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_rule(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<RuleRow>(command));
  co_return co_await answer_written(call, std::move(row), query.dry_run ? 200 : status);
}

Result<RuleInput> rule_of(const Call& call) {
  TRY(Value body, call.parsed ? *call.parsed : parsed_body(call));
  return read_rule(body);
}

Task<Response> create_rule(Call& call) {
  CO_TRY(auto input, rule_of(call));
  CO_TRY(check_rule_ref(input.ref));
  engine::RuleWrite write{spec_of(input), std::nullopt, true};
  co_return co_await write_rule(call, std::move(write), 201);
}

Task<Response> update_rule(Call& call) {
  CO_TRY(auto input, rule_of(call));
  if (input.ref.empty()) input.ref = call.param();
  if (input.ref != call.param()) {
    co_return Error(
        ErrorKind::Invalid, "API-0041",
        fmt::format("a rule keeps its ref: expected '{}', found '{}'", call.param(), input.ref))
        .with_problem("/ref", fmt::format("expected '{}'", call.param()));
  }
  CO_TRY(auto revision, call.if_match());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  if (const auto* entry = catalog->find_rule(input.ref)) keep_secrets(input, entry->spec, *catalog);
  engine::RuleWrite write{spec_of(input), revision, false};
  co_return co_await write_rule(call, std::move(write), 200);
}

// Without If-Match the change is made from the revision that is current now.
Task<Response> switch_rule(Call& call, bool enabled) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->find_rule(call.param());
  if (!entry || entry->row.tenant != call.who.tenant)
    co_return engine::no_rule(*catalog, call.param());
  CO_TRY(auto revision, call.if_match());
  if (!revision) revision = entry->row.revision;
  if (entry->row.enabled == enabled && *revision == entry->row.revision) {
    co_return answer_rule(*entry, *catalog);
  }
  engine::RuleWrite write{entry->spec, revision, false};
  write.spec.enabled = enabled;
  co_return co_await write_rule(call, std::move(write), 200);
}

Task<Response> enable_rule(Call& call) { return switch_rule(call, true); }
Task<Response> disable_rule(Call& call) { return switch_rule(call, false); }

Task<Response> write_override(Call& call, engine::OverrideWrite write) {
  CO_TRY(write.if_revision, call.if_match());
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::override_rule(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<RuleRow>(command));
  co_return co_await answer_written(call, std::move(row), 200);
}

Task<Response> override_rule(Call& call) {
  CO_TRY(auto query, call.query<WriteQuery>());
  CO_TRY(auto input, call.body<OverrideInput>());
  engine::OverrideWrite write{.ref = std::string(call.param()),
                              .name = std::move(input.name),
                              .set = std::move(input.set),
                              .replace = input.replace,
                              .dry_run = query.dry_run};
  co_return co_await write_override(call, std::move(write));
}

Task<Response> undo_override(Call& call) {
  CO_TRY(auto query, call.query<UndoQuery>());
  engine::OverrideWrite write{.ref = std::string(call.param()),
                              .name = std::move(query.name),
                              .undo = true,
                              .dry_run = query.dry_run};
  co_return co_await write_override(call, std::move(write));
}

Task<Response> delete_rule(Call& call) {
  CO_TRY(auto revision, call.if_match());
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::delete_rule(call.caller(), std::string(call.param()),
                                                        revision, std::move(reply)));
  };
  CO_TRY(co_await ask<RuleRow>(command));
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

}  // namespace

std::vector<Route> rule_routes() {
  const auto* rule = &RuleView::fields();
  auto change = [&](std::string_view name, std::string_view method, std::string_view pattern,
                    Handler handler, std::string_view summary) {
    return Route{.name = name,
                 .method = method,
                 .pattern = pattern,
                 .access = Permission::RulesWrite,
                 .handler = handler,
                 .summary = summary,
                 .query = &WriteQuery::fields(),
                 .answer = rule,
                 .takes_key = true,
                 .takes_revision = true};
  };
  auto with_body = [](Route route, const Fields& body) {
    route.body_form = BodyForm::Json;
    route.body = &body;
    return route;
  };
  auto create =
      with_body(change("create_rule", "POST", "/api/v1/rules", create_rule, "Create a rule."),
                RuleInput::fields());
  create.status = 201;
  create.takes_revision = false;
  auto remove = change("delete_rule", "DELETE", "/api/v1/rules/{ref}", delete_rule,
                       "Delete a rule; one of a pack is disabled instead.");
  remove.answer_form = AnswerForm::Empty;
  remove.answer = nullptr;
  remove.query = nullptr;
  remove.status = 204;
  auto undo = change("undo_rule_override", "DELETE", "/api/v1/rules/{ref}/override", undo_override,
                     "Give a pack's rule back to its file.");
  undo.query = &UndoQuery::fields();
  std::vector<Route> routes = {
      {.name = "list_rules",
       .method = "GET",
       .pattern = "/api/v1/rules",
       .access = Permission::RulesRead,
       .handler = list_rules,
       .summary = "List rules by ref.",
       .query = &RuleQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = rule},
      create,
      {.name = "show_rule",
       .method = "GET",
       .pattern = "/api/v1/rules/{ref}",
       .access = Permission::RulesRead,
       .handler = show_rule,
       .summary = "Show a rule.",
       .answer = rule},
      with_body(change("update_rule", "PUT", "/api/v1/rules/{ref}", update_rule, "Replace a rule."),
                RuleInput::fields()),
      remove,
      change("enable_rule", "POST", "/api/v1/rules/{ref}/enable", enable_rule, "Enable a rule."),
      change("disable_rule", "POST", "/api/v1/rules/{ref}/disable", disable_rule,
             "Disable a rule."),
      with_body(change("override_rule", "POST", "/api/v1/rules/{ref}/override", override_rule,
                       "Change a pack's rule, over what its file says now and in later releases."),
                OverrideInput::fields()),
      undo,
  };
  for (const auto& route : rule_verdict_routes()) routes.push_back(route);
  return routes;
}

}  // namespace millrace::api
