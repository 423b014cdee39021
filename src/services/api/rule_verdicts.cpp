// SPDX-License-Identifier: Apache-2.0
// What rules make of events, and what has become of rules: tests, reasons, revisions.
#include <fmt/format.h>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/rule_override.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"
#include "engine/verdict.h"
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

struct TestInput {
  std::optional<Value> rule;
  std::string ref;
  std::optional<EventId> event;
  std::optional<Value> payload;
  std::optional<Value> trigger_parameters;

  static const Fields& fields() {
    static const Field lines[] = {
        field("rule", &TestInput::rule,
              "A rule that need not exist, as RuleInput. What create refuses is refused."),
        field("ref", &TestInput::ref, "Or one that does."),
        field("event", &TestInput::event, "A past event."),
        field("payload", &TestInput::payload, "Or a payload of the rule's trigger."),
        field("trigger_parameters", &TestInput::trigger_parameters,
              "Of the trigger whose payload it is; without them, those of the rule."),
    };
    static const auto table = fields_of<TestInput>("RuleTest", "A rule and an event.", lines);
    return table;
  }
};

struct LastInput {
  std::optional<Value> rule;
  std::string ref;
  std::optional<int> last;

  static const Fields& fields() {
    static const Field lines[] = {
        field("rule", &LastInput::rule, "A rule that need not exist, as RuleInput."),
        field("ref", &LastInput::ref, "Or one that does."),
        field("last", &LastInput::last, "So many events of its trigger; server.last_verdicts.")
            .range(1, 500),
    };
    static const auto table = fields_of<LastInput>("RuleTestLast", "A rule and events.", lines);
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

struct LastQuery {
  std::optional<int> limit;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &LastQuery::limit, "At most so many; server.last_verdicts without it.")
            .range(1, 500),
    };
    static const auto table = fields_of<LastQuery>("LastQuery", "", lines);
    return table;
  }
};

struct RevisionView {
  int64_t revision = 0;
  RuleId id;
  Timestamp at;
  std::string by;
  std::optional<std::string> pack;
  bool enabled = true;
  bool deleted = false;
  std::optional<Value> override;
  Value changes = Value::list();

  static const Fields& fields() {
    using V = RevisionView;
    static const Field lines[] = {
        field("revision", &V::revision, ""),
        field("id", &V::id, "Of the rule: one that was deleted and made again has another."),
        field("at", &V::at, ""),
        field("by", &V::by, "Who has made it; pack:NAME@VERSION is a release of the pack."),
        field("pack", &V::pack, "The pack that owns it."),
        field("enabled", &V::enabled, ""),
        field("deleted", &V::deleted, ""),
        field("override", &V::override, ""),
        field("changes", &V::changes, "List of {path, before, after}; long values are cut."),
    };
    static const auto table = fields_of<V>("RuleRevision", "A rule as it was, and since.", lines);
    return table;
  }
};

// What is tested, and the revision that it is: 0 for one that is given.
struct Tested {
  RuleSpec spec;
  int64_t revision = 0;
  bool is_disabled = false;

  // It is tried as if it were enabled.
  void enable() {
    is_disabled = !spec.enabled;
    spec.enabled = true;
  }
  void tell(engine::RuleVerdict& verdict) const {
    verdict.revision = revision;
    if (is_disabled && verdict.reason.empty()) {
      verdict.reason = "the rule is disabled; it is tried as if it were enabled";
    }
  }
};

Result<Tested> tested(const engine::TenantCatalog& catalog, TenantId tenant,
                      const std::optional<Value>& rule, const std::string& ref, int64_t now_ms) {
  if (rule.has_value() == !ref.empty()) {
    return Error(ErrorKind::Invalid, "API-0042", "expected either /rule or /ref")
        .with_problem("/ref", "expected this or /rule");
  }
  if (!rule) {
    const auto* entry = catalog.find_rule(ref);
    if (!entry || entry->row.tenant != tenant) return engine::no_rule(catalog, ref);
    return Tested{entry->spec, entry->row.revision};
  }
  TRY(auto input, read_rule(*rule, "/rule"));
  TRY(check_rule_ref(input.ref));
  auto spec = spec_of(input);
  expr::Engine expressions;
  TRY(engine::check_spec(spec, catalog, expressions));
  TRY(engine::check_is_ahead(spec, now_ms));
  return Tested{std::move(spec), 0};
}

Response test_rule(Call& call, sql::Connection& db) {
  TRY(auto input, call.body<TestInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto of, tested(*catalog, call.who.tenant, input.rule, input.ref, call.api.now_ms()));
  of.enable();
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
    const auto* trigger = catalog->find_trigger(of.spec.trigger);
    Value parameters = input.trigger_parameters.value_or(of.spec.trigger_parameters);
    // Of the payload a part is enough: what the rule looks at.
    if (trigger) {
      TRY(check_fired(*trigger, nullptr, parameters));
    }
    event.tenant = call.who.tenant;
    event.trigger = of.spec.trigger;
    event.source = "test";
    event.payload_json = to_json(*input.payload);
    bool has_parameters = parameters.is_map() && parameters.size() > 0;
    if (has_parameters) event.trigger_parameters_json = to_json(parameters);
    event.created = call.api.now_ms();
  }
  TRY(auto verdict, engine::test_rule(call.api.engine, db, of.spec, event));
  of.tell(verdict);
  return answer_one(verdict_view(*catalog, verdict));
}

int limit_of(const Call& call, std::optional<int> given) {
  return given.value_or(call.api.options.last_verdicts);
}

Response answer_verdicts(const engine::TenantCatalog& catalog,
                         const std::vector<engine::RuleVerdict>& verdicts) {
  std::vector<VerdictView> views;
  for (const auto& verdict : verdicts) views.push_back(verdict_view(catalog, verdict));
  return answer_list(views);
}

Response test_rule_on_last(Call& call, sql::Connection& db) {
  TRY(auto input, call.body<LastInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto of, tested(*catalog, call.who.tenant, input.rule, input.ref, call.api.now_ms()));
  of.enable();
  TRY(auto verdicts, engine::test_rule_on_last(call.api.engine, db, call.who.tenant, of.spec,
                                               limit_of(call, input.last)));
  for (auto& verdict : verdicts) of.tell(verdict);
  return answer_verdicts(*catalog, verdicts);
}

Response why_rule(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<WhyQuery>());
  TRY(auto verdict,
      engine::why(call.api.engine, db, call.who.tenant, std::string(call.param()), query.event));
  return answer_one(verdict_view(*call.api.engine.catalog(call.who.tenant), verdict));
}

Response list_rule_verdicts(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<LastQuery>());
  TRY(auto verdicts, engine::last_verdicts(call.api.engine, db, call.who.tenant,
                                           std::string(call.param()), limit_of(call, query.limit)));
  return answer_verdicts(*call.api.engine.catalog(call.who.tenant), verdicts);
}

constexpr size_t kMostChanges = 100;
constexpr size_t kShownChange = 500;  // of a value, in bytes

void note_changes(const std::string& at, const Value& before, const Value& after, Value& out) {
  if (before == after || out.size() >= kMostChanges) return;
  if (before.is_map() && after.is_map()) {
    for (const auto& entry : before.as_map()) {
      auto below = json_pointer(at, entry.name());
      note_changes(below, entry.value, after[entry.name()], out);
    }
    for (const auto& entry : after.as_map()) {
      if (before.find(entry.name())) continue;
      note_changes(json_pointer(at, entry.name()), Value(), entry.value, out);
    }
    return;
  }
  out.push_back(Value::map({{"path", at},
                            {"before", excerpt(before, kShownChange)},
                            {"after", excerpt(after, kShownChange)}}));
}

// A revision's rule with what its action holds for secret hidden.
Value shown_spec(const engine::TenantCatalog& catalog, const kernel::RuleRow& row) {
  Value spec = stored_json(row.spec_json);
  if (!spec.is_map() || !spec["action"].is_map()) return spec;
  const auto* action = catalog.find_action(spec["action"].string_or("ref", ""));
  if (!action) return spec;
  Value use = spec["action"];
  use.set("parameters", shown_parameters(use["parameters"], action->action.get()));
  spec.set("action", std::move(use));
  return spec;
}

Response list_rule_revisions(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<LastQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  // One more: what the last one shown has changed.
  int limit = query.limit.value_or(50);
  TRY(auto rows, store::rule_history(db, call.who.tenant, std::string(call.param()), limit + 1));
  if (rows.empty()) return engine::no_rule(*catalog, call.param());
  std::vector<RevisionView> views;
  for (size_t i = 0; i < rows.size() && views.size() < static_cast<size_t>(limit); ++i) {
    const auto& row = rows[i];
    RevisionView view{
        .revision = row.revision, .id = row.id, .at = {row.updated}, .by = row.author};
    if (!row.pack.empty() && row.pack != engine::kDeleter) view.pack = row.pack;
    view.enabled = row.enabled;
    view.deleted = row.deleted;
    auto override = engine::read_override(row.override_json);
    if (override.ok() && override->is_there()) {  // may fail: then it is shown without
      view.override = engine::to_value(*override);
    }
    bool has_before = i + 1 < rows.size() && rows[i + 1].id == row.id;
    if (has_before) {
      note_changes("", shown_spec(*catalog, rows[i + 1]), shown_spec(*catalog, row), view.changes);
    }
    views.push_back(std::move(view));
  }
  return answer_list(views);
}

}  // namespace

std::vector<Route> rule_verdict_routes() {
  const auto* verdict = &VerdictView::fields();
  return {
      {.name = "why_rule",
       .method = "GET",
       .pattern = "/api/v1/rules/{ref}/why",
       .access = Permission::RulesRead,
       .handler = why_rule,
       .summary = "Why the rule matched a past event or did not, in its revision of that time.",
       .query = &WhyQuery::fields(),
       .answer = verdict},
      {.name = "list_rule_verdicts",
       .method = "GET",
       .pattern = "/api/v1/rules/{ref}/verdicts",
       .access = Permission::RulesRead,
       .handler = list_rule_verdicts,
       .summary = "The same of the last events of its trigger, newest first; of 16 MiB at most.",
       .query = &LastQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = verdict},
      {.name = "list_rule_revisions",
       .method = "GET",
       .pattern = "/api/v1/rules/{ref}/revisions",
       .access = Permission::RulesRead,
       .handler = list_rule_revisions,
       .summary = "Who has changed what of a rule, newest first, of deleted ones too.",
       .query = &LastQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &RevisionView::fields()},
      {.name = "test_rule",
       .method = "POST",
       .pattern = "/api/v1/rules/test",
       .access = Permission::RulesRead,
       .handler = test_rule,
       .summary = "Hold a rule against a past event or a payload. Nothing is stored or run.",
       .body_form = BodyForm::Json,
       .body = &TestInput::fields(),
       .answer = verdict},
      {.name = "test_rule_on_last",
       .method = "POST",
       .pattern = "/api/v1/rules/test/last",
       .access = Permission::RulesRead,
       .handler = test_rule_on_last,
       .summary = "Hold a rule against the last events of its trigger.",
       .body_form = BodyForm::Json,
       .body = &LastInput::fields(),
       .answer_form = AnswerForm::List,
       .answer = verdict},
  };
}

}  // namespace millrace::api
