// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "engine/verdict.h"
#include "services/api/call.h"
#include "services/api/event_view.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::RuleRow;

enum class RuleType : uint8_t { Standard, Backstop };
std::string_view to_string(RuleType type) {
  switch (type) {
    case RuleType::Standard: return "standard";
    case RuleType::Backstop: return "backstop";
  }
  return "unknown";
}

enum class RuleState : uint8_t { InForce, Disabled, Unresolved, OutOfForce };
std::string_view to_string(RuleState state) {
  switch (state) {
    case RuleState::InForce: return "in_force";
    case RuleState::Disabled: return "disabled";
    case RuleState::Unresolved: return "unresolved";
    case RuleState::OutOfForce: return "out_of_force";
  }
  return "unknown";
}

// A trigger or an action with what it is given.
struct Use {
  std::string ref;
  Value parameters = Value::map();

  static const Fields& fields() {
    static const Field lines[] = {
        field("ref", &Use::ref, "pack.name").required(),
        field("parameters", &Use::parameters, "Of the action: templates.").only(Value::Kind::Map),
    };
    static const auto table =
        fields_of<Use>("Use", "A trigger or an action, and its parameters.", lines);
    return table;
  }
};

struct RuleInput {
  std::string ref;
  std::string description;
  bool enabled = true;
  RuleType type = RuleType::Standard;
  Use trigger;
  Value criteria;
  Use action;
  std::string trace_tag;

  static const Fields& fields() {
    static const Field lines[] = {
        field("ref", &RuleInput::ref, "pack.name; may be left out in an update.").length(0, 255),
        field("description", &RuleInput::description, "").length(0, 4000),
        field("enabled", &RuleInput::enabled, ""),
        field("type", &RuleInput::type, "backstop: only for events that no other rule matched."),
        field("trigger", &RuleInput::trigger, "").required(),
        field("criteria", &RuleInput::criteria,
              "A map of tests that must all hold, a tree of all, any, not, or one expression."),
        field("action", &RuleInput::action, "").required(),
        field("trace_tag", &RuleInput::trace_tag, "A template."),
    };
    static const auto table = fields_of<RuleInput>("RuleInput", "A rule as written.", lines);
    return table;
  }
};

struct RuleView {
  RuleId id;
  std::string ref;
  int64_t revision = 0;
  bool enabled = true;
  RuleType type = RuleType::Standard;
  std::optional<std::string> pack;
  std::string description;
  Use trigger;
  Value criteria;
  Use action;
  std::string trace_tag;
  RuleState state = RuleState::InForce;
  std::optional<std::string> fault;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields() {
    using V = RuleView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("ref", &V::ref, "pack.name"),
        field("revision", &V::revision, "Rises with each change; the ETag."),
        field("enabled", &V::enabled, ""),
        field("type", &V::type, ""),
        field("pack", &V::pack, "The pack that owns it; none when it was made through the API."),
        field("description", &V::description, ""),
        field("trigger", &V::trigger, ""),
        field("criteria", &V::criteria, ""),
        field("action", &V::action, ""),
        field("trace_tag", &V::trace_tag, ""),
        field("state", &V::state,
              "unresolved: it names what no pack has, and matches nothing until one has it; "
              "out_of_force: it cannot be compiled."),
        field("fault", &V::fault, "Why it is unresolved or out of force; none when it is neither."),
        field("created", &V::created, ""),
        field("updated", &V::updated, ""),
    };
    static const auto table = fields_of<V>("Rule", "When this happens, run that.", lines);
    return table;
  }
};

struct RuleQuery {
  int limit = 50;
  std::string cursor;
  std::string trigger;
  std::string action;
  std::string pack;
  std::optional<bool> enabled;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &RuleQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &RuleQuery::cursor, "next_cursor of the page before."),
        field("trigger", &RuleQuery::trigger, "Only rules on this trigger."),
        field("action", &RuleQuery::action, "Only rules that run this action."),
        field("pack", &RuleQuery::pack, "Only rules of this pack."),
        field("enabled", &RuleQuery::enabled, "Only enabled or disabled ones."),
    };
    static const auto table = fields_of<RuleQuery>("RuleQuery", "", lines);
    return table;
  }

  bool wants(const engine::RuleEntry& entry) const {
    const auto& spec = entry.spec;
    return (trigger.empty() || spec.trigger == trigger) &&
           (action.empty() || spec.action == action) &&
           (pack.empty() || spec.ref.starts_with(pack + ".")) &&
           (!enabled || spec.enabled == *enabled);
  }
};

struct TestInput {
  std::optional<RuleInput> rule;
  std::string ref;
  std::optional<EventId> event;
  std::optional<Value> payload;

  static const Fields& fields() {
    static const Field lines[] = {
        field("rule", &TestInput::rule, "A rule that need not exist."),
        field("ref", &TestInput::ref, "Or one that does."),
        field("event", &TestInput::event, "A past event."),
        field("payload", &TestInput::payload, "Or a payload of the rule's trigger."),
    };
    static const auto table = fields_of<TestInput>("RuleTest", "A rule and an event.", lines);
    return table;
  }
};

struct WhyQuery {
  EventId event;

  static const Fields& fields() {
    static const Field lines[] = {
        field("event", &WhyQuery::event, "A past event.").required(),
    };
    static const auto table = fields_of<WhyQuery>("WhyQuery", "", lines);
    return table;
  }
};

struct VerdictView {
  std::string rule;
  int64_t revision = 0;
  bool matched = false;
  std::optional<std::string> reason;
  Value criteria;
  std::optional<Value> parameters;
  std::optional<std::string> error;

  static const Fields& fields() {
    using V = VerdictView;
    static const Field lines[] = {
        field("rule", &V::rule, ""),
        field("revision", &V::revision, "0: as given."),
        field("matched", &V::matched, ""),
        field("reason", &V::reason, "Why it was not tried at all."),
        field("criteria", &V::criteria, "How each criterion came out."),
        field("parameters", &V::parameters, "As rendered; secret ones are masked."),
        field("error", &V::error, "Why the parameters could not be rendered."),
    };
    static const auto table = fields_of<V>("Verdict", "A rule held against an event.", lines);
    return table;
  }
};

RuleSpec spec_of(const RuleInput& input) {
  RuleSpec spec;
  spec.ref = input.ref;
  spec.description = input.description;
  spec.trigger = input.trigger.ref;
  spec.trigger_parameters = input.trigger.parameters;
  spec.criteria = input.criteria;
  spec.action = input.action.ref;
  spec.action_parameters = input.action.parameters;
  spec.trace_tag = input.trace_tag;
  spec.enabled = input.enabled;
  spec.backstop = input.type == RuleType::Backstop;
  return spec;
}

RuleView view_of(const RuleRow& row, const RuleSpec& spec) {
  RuleView view;
  view.id = row.id;
  view.ref = row.ref;
  view.revision = row.revision;
  view.enabled = row.enabled;
  view.type = spec.backstop ? RuleType::Backstop : RuleType::Standard;
  if (!row.pack.empty()) view.pack = row.pack;
  view.description = spec.description;
  view.trigger = {spec.trigger, spec.trigger_parameters};
  view.criteria = spec.criteria;
  view.action = {spec.action, spec.action_parameters};
  view.trace_tag = spec.trace_tag;
  view.created = {row.created};
  view.updated = {row.updated};
  if (!spec.enabled) view.state = RuleState::Disabled;
  return view;
}

RuleView view_of(const engine::RuleEntry& entry, const engine::TenantCatalog& catalog) {
  auto view = view_of(entry.row, entry.spec);
  if (!entry.compiled) {
    view.state = RuleState::OutOfForce;
    view.fault = entry.fault;
  } else if (auto lacks = catalog.unresolved(entry); !lacks.empty()) {
    view.state = RuleState::Unresolved;
    view.fault = std::move(lacks);
  }
  return view;
}

net::HttpResponse answer_rule(const engine::RuleEntry& entry,
                              const engine::TenantCatalog& catalog) {
  auto response = answer_one(view_of(entry, catalog));
  response.header("ETag", fmt::format("\"{}\"", entry.row.revision));
  return response;
}

net::HttpResponse answer_rule(const RuleRow& row, const RuleSpec& spec, int status = 200) {
  auto response = answer_one(view_of(row, spec), status);
  response.header("ETag", fmt::format("\"{}\"", row.revision));
  return response;
}

Error no_rule(const engine::TenantCatalog& catalog, std::string_view ref) {
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : catalog.rules()) names.push_back(name);
  return Error(ErrorKind::NotFound, "RUL-0101",
               fmt::format("no rule '{}'{}", ref, did_you_mean(ref, names)));
}

Result<void> check_ref(std::string_view ref) {
  auto is_word = [](std::string_view part) {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return !part.empty() && part.find_first_not_of(kAllowed) == std::string_view::npos;
  };
  auto parts = split(ref, '.');
  bool named = parts.size() >= 2;
  for (auto part : parts) named = named && is_word(part);
  if (named) return {};
  return Error(ErrorKind::Invalid, "API-0040",
               fmt::format("rule '{}': expected a ref such as ci.on_push", ref))
      .with_problem("/ref", "expected pack.name of letters, digits, '_' and '-'");
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
    views.push_back(view_of(entry, *catalog));
  }
  return answer_list(views, next);
}

Response show_rule(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->find_rule(call.param());
  if (!entry || entry->row.tenant != call.who.tenant) return no_rule(*catalog, call.param());
  return answer_rule(*entry, *catalog);
}

Task<Response> write_rule(Call& call, engine::RuleWrite write, int status) {
  auto spec = write.spec;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_rule(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<RuleRow>(command));
  // A repeated request is answered with the rule as it is now.
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* now = catalog->find_rule(row.ref);
  bool is_current = now && now->row.revision == row.revision;
  if (is_current && status == 200) co_return answer_rule(*now, *catalog);
  co_return answer_rule(row, is_current ? now->spec : spec, status);
}

Task<Response> create_rule(Call& call) {
  CO_TRY(auto input, call.body<RuleInput>());
  CO_TRY(check_ref(input.ref));
  engine::RuleWrite write{spec_of(input), std::nullopt, true};
  co_return co_await write_rule(call, std::move(write), 201);
}

Task<Response> update_rule(Call& call) {
  CO_TRY(auto input, call.body<RuleInput>());
  if (input.ref.empty()) input.ref = call.param();
  if (input.ref != call.param()) {
    co_return Error(
        ErrorKind::Invalid, "API-0041",
        fmt::format("a rule keeps its ref: expected '{}', found '{}'", call.param(), input.ref))
        .with_problem("/ref", fmt::format("expected '{}'", call.param()));
  }
  CO_TRY(auto revision, call.if_match());
  engine::RuleWrite write{spec_of(input), revision, false};
  co_return co_await write_rule(call, std::move(write), 200);
}

// Without If-Match the change is made from the revision that is current now.
Task<Response> switch_rule(Call& call, bool enabled) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->find_rule(call.param());
  if (!entry || entry->row.tenant != call.who.tenant) co_return no_rule(*catalog, call.param());
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

net::HttpResponse answer_verdict(const engine::TenantCatalog& catalog, std::string_view ref,
                                 const engine::RuleVerdict& verdict) {
  VerdictView view;
  view.rule = ref;
  view.revision = verdict.revision;
  view.matched = verdict.matched;
  if (!verdict.reason.empty()) view.reason = verdict.reason;
  view.criteria = verdict.criteria;
  if (!verdict.parameters.is_null()) {
    const auto* action = catalog.find_action(verdict.spec.action);
    view.parameters = mask_secrets(verdict.parameters, action ? action->action.get() : nullptr);
  }
  if (!verdict.error.empty()) view.error = verdict.error;
  return answer_one(view);
}

Result<RuleSpec> tested_spec(const engine::TenantCatalog& catalog, TenantId tenant,
                             const TestInput& input, int64_t& revision) {
  if (input.rule.has_value() == !input.ref.empty()) {
    return Error(ErrorKind::Invalid, "API-0042", "expected either /rule or /ref")
        .with_problem("/ref", "expected this or /rule");
  }
  if (input.rule) return spec_of(*input.rule);
  const auto* entry = catalog.find_rule(input.ref);
  if (!entry || entry->row.tenant != tenant) return no_rule(catalog, input.ref);
  revision = entry->row.revision;
  return entry->spec;
}

Response test_rule(Call& call, sql::Connection& db) {
  TRY(auto input, call.body<TestInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  int64_t revision = 0;
  TRY(auto spec, tested_spec(*catalog, call.who.tenant, input, revision));
  if (input.event.has_value() == input.payload.has_value()) {
    return Error(ErrorKind::Invalid, "API-0043", "expected either /event or /payload")
        .with_problem("/event", "expected this or /payload");
  }
  kernel::EventRow event;
  if (input.event) {
    TRY(auto row, store::find_event(db, call.who.tenant, *input.event));
    if (!row) return no_event(*input.event);
    event = *std::move(row);
  } else {
    event.id = EventId{1};
    event.tenant = call.who.tenant;
    event.trigger = spec.trigger;
    event.source = "test";
    event.payload_json = to_json(*input.payload);
    event.created = call.api.now_ms();
  }
  TRY(auto verdict, engine::test_rule(call.api.engine, db, spec, event));
  verdict.revision = revision;
  return answer_verdict(*catalog, spec.ref, verdict);
}

Response why_rule(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<WhyQuery>());
  TRY(auto verdict,
      engine::why(call.api.engine, db, call.who.tenant, std::string(call.param()), query.event));
  return answer_verdict(*call.api.engine.catalog(call.who.tenant), call.param(), verdict);
}

}  // namespace

std::vector<Route> rule_routes() {
  const auto* rule = &RuleView::fields();
  const auto* input = &RuleInput::fields();
  const auto* verdict = &VerdictView::fields();
  auto change = [&](std::string_view name, std::string_view method, std::string_view pattern,
                    Handler handler, std::string_view summary) {
    return Route{.name = name,
                 .method = method,
                 .pattern = pattern,
                 .access = Permission::RulesWrite,
                 .handler = handler,
                 .summary = summary,
                 .answer = rule,
                 .takes_key = true,
                 .takes_revision = true};
  };
  auto create = change("create_rule", "POST", "/api/v1/rules", create_rule, "Create a rule.");
  create.body_form = BodyForm::Json;
  create.body = input;
  create.status = 201;
  create.takes_revision = false;
  auto update = change("update_rule", "PUT", "/api/v1/rules/{ref}", update_rule, "Replace a rule.");
  update.body_form = BodyForm::Json;
  update.body = input;
  auto remove =
      change("delete_rule", "DELETE", "/api/v1/rules/{ref}", delete_rule, "Delete a rule.");
  remove.answer_form = AnswerForm::Empty;
  remove.answer = nullptr;
  remove.status = 204;
  return {
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
      update,
      remove,
      change("enable_rule", "POST", "/api/v1/rules/{ref}/enable", enable_rule, "Enable a rule."),
      change("disable_rule", "POST", "/api/v1/rules/{ref}/disable", disable_rule,
             "Disable a rule."),
      {.name = "why_rule",
       .method = "GET",
       .pattern = "/api/v1/rules/{ref}/why",
       .access = Permission::RulesRead,
       .handler = why_rule,
       .summary = "Why the rule matched a past event or did not, in its revision of that time.",
       .query = &WhyQuery::fields(),
       .answer = verdict},
      {.name = "test_rule",
       .method = "POST",
       .pattern = "/api/v1/rules/test",
       .access = Permission::RulesRead,
       .handler = test_rule,
       .summary = "Hold a rule against a past event or a payload. Nothing is stored or run.",
       .body_form = BodyForm::Json,
       .body = &TestInput::fields(),
       .answer = verdict},
  };
}

}  // namespace millrace::api
