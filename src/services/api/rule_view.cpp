// SPDX-License-Identifier: Apache-2.0
#include "services/api/rule_view.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/rule_override.h"
#include "engine/transitions/schedule.h"
#include "expr/expr.h"
#include "packs/secrets.h"
#include "rules/schedule.h"
#include "rules/webhook.h"
#include "rules/words.h"
#include "services/api/parse.h"

namespace millrace::api {

std::string_view to_string(RuleType type) {
  switch (type) {
    case RuleType::Standard: return "standard";
    case RuleType::Backstop: return "backstop";
  }
  return "unknown";
}

std::string_view to_string(RuleState state) {
  switch (state) {
    case RuleState::InForce: return "in_force";
    case RuleState::Disabled: return "disabled";
    case RuleState::Paused: return "paused";
    case RuleState::Unresolved: return "unresolved";
    case RuleState::OutOfForce: return "out_of_force";
  }
  return "unknown";
}

const Fields& RuleUse::fields() {
  static const Field lines[] = {
      field("ref", &RuleUse::ref, "pack.name").required(),
      field("parameters", &RuleUse::parameters, "Of the action: templates.").only(Value::Kind::Map),
  };
  static const auto table =
      fields_of<RuleUse>("Use", "A trigger or an action, and its parameters.", lines);
  return table;
}

const Fields& RuleInput::fields() {
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
  static const auto table = fields_of<RuleInput>(
      "RuleInput", "A rule as written. StackStorm's form and what GET shows are taken, too.",
      lines);
  return table;
}

const Fields& RuleView::fields() {
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
            "paused: its timer is; unresolved: it names what no pack has, and matches nothing "
            "until one has it; "
            "out_of_force: it cannot be compiled."),
      field("fault", &V::fault, "Why it is unresolved or out of force; none when it is neither."),
      field("override", &V::override,
            "What was changed of a pack's rule here: name, by, at, set. It outlives releases."),
      field("warnings", &V::warnings, "When it is written: what may not be meant so."),
      field("next_fires", &V::next_fires, "When it is written, on a timer: its next five."),
      field("changed_by", &V::changed_by, "Who has made this revision."),
      field("created", &V::created, ""),
      field("updated", &V::updated, ""),
  };
  static const auto table = fields_of<V>("Rule", "When this happens, run that.", lines);
  return table;
}

const Fields& VerdictView::fields() {
  using V = VerdictView;
  static const Field lines[] = {
      field("rule", &V::rule, ""),
      field("revision", &V::revision, "0: as given."),
      field("event", &V::event, "None: a payload that was given."),
      field("event_created", &V::event_created, ""),
      field("matched", &V::matched, ""),
      field("reason", &V::reason, "What the criteria do not tell: it was not there, ..."),
      field("criteria", &V::criteria, "How each criterion came out, with a sentence (`message`)."),
      field("parameters", &V::parameters, "As rendered; secret ones are masked."),
      field("error", &V::error, "Why there is no execution although it matched."),
      field("execution", &V::execution, "That it started."),
  };
  static const auto table = fields_of<V>("Verdict", "A rule held against an event.", lines);
  return table;
}

const Fields& EventVerdictsView::fields() {
  using V = EventVerdictsView;
  static const Field lines[] = {
      field("event", &V::event, ""),
      field("trigger", &V::trigger, "pack.name"),
      field("rules", &V::rules, "On this trigger."),
      field("judged", &V::judged, "Of these; the first thousand are."),
      field("matched", &V::matched, ""),
      field("verdicts", &V::verdicts, "Those that match, then those that come nearest."),
  };
  static const auto table =
      fields_of<V>("EventVerdicts", "An event and the rules on its trigger.", lines);
  return table;
}

namespace {

// What this API shows of a rule and what StackStorm keeps beside it: taken, and passed over.
constexpr std::string_view kBeside[] = {
    "id",    "uid",      "pack",          "name",    "revision",  "state",
    "fault", "override", "created",       "updated", "warnings",  "next_fires",
    "tags",  "context",  "metadata_file", "label",   "changed_by"};

// `KEY: ref`, `KEY: {INNER: ref, parameters, ...}`, or Attune's `KEY_ref` and `KEY_params`.
// StackStorm's `trigger.ref` names what it made of type and parameters: the type goes first.
void take_use(const Value& rule, std::string_view key, std::string_view inner, Value& out) {
  Value use = Value::map();
  if (const Value* given = rule.find(key); given && given->is_map()) {
    for (const auto& entry : given->as_map()) {
      std::string_view name = entry.name();
      bool is_beside = name == "description" || name == "uid" || name == "id" || name == inner;
      if (is_beside || (entry.value.is_null() && name == "parameters")) continue;
      use.set(name, entry.value);
    }
    if (const Value* ref = given->find(inner)) use.set("ref", *ref);
  } else if (given && given->is_string()) {
    use.set("ref", *given);
  } else if (given) {
    out.set(key, *given);
    return;
  }
  std::string name(key);
  if (const Value* ref = rule.find(name + "_ref")) use.set("ref", *ref);
  if (const Value* parameters = rule.find(name + "_params")) use.set("parameters", *parameters);
  if (use.size() > 0) out.set(key, std::move(use));
}

Value in_own_form(const Value& rule) {
  Value out = Value::map();
  for (const auto& entry : rule.as_map()) {
    std::string_view key = entry.name();
    bool is_taken = key == "trigger" || key == "action" || key == "trigger_ref" ||
                    key == "trigger_params" || key == "action_ref" || key == "action_params";
    bool is_beside = std::ranges::find(kBeside, key) != std::end(kBeside);
    if (is_taken || is_beside) continue;
    if (key == "conditions" || key == "criteria") {
      out.set("criteria", entry.value);
    } else if (key == "type" && entry.value.is_map()) {
      if (const Value* ref = entry.value.find("ref")) out.set("type", *ref);
    } else if (!entry.value.is_null()) {
      out.set(key, entry.value);
    }
  }
  if (!out.find("ref") && rule["name"].is_string()) {
    out.set("ref",
            fmt::format("{}.{}", rule.string_or("pack", "default"), rule["name"].as_string()));
  }
  take_use(rule, "trigger", "type", out);
  take_use(rule, "action", "ref", out);
  return out;
}

}  // namespace

Result<RuleInput> read_rule(const Value& rule, std::string_view at) {
  auto input = rule.is_map() ? decode<RuleInput>(in_own_form(rule)) : decode<RuleInput>(rule);
  if (input.ok() || at.empty()) return input;
  auto problems = input.error().problems();
  for (auto& problem : problems) problem.path = std::string(at) + problem.path;
  return Error(ErrorKind::Invalid, input.error().code(), input.error().message())
      .with_problems(std::move(problems));
}

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

namespace {

const Action* find_action(const engine::TenantCatalog& catalog, std::string_view ref) {
  const auto* found = catalog.find_action(ref);
  return found ? found->action.get() : nullptr;
}

// Of an override: what it sets, as the rule would show it.
Value shown_override(const engine::RuleOverride& override, const Action* action) {
  Value out = engine::to_value(override);
  const Value& use = override.set["action"];
  if (!use.is_map() || !use.find("parameters")) return out;
  Value shown = use;
  shown.set("parameters", shown_parameters(use["parameters"], action));
  Value set = override.set;
  set.set("action", std::move(shown));
  out.set("set", std::move(set));
  return out;
}

constexpr std::string_view kHidden = "********";

bool is_template(const Value& value) {
  return value.is_string() &&
         expr::detect(value.as_string(), expr::Mode::Native) != expr::Language::None;
}

}  // namespace

Value shown_parameters(const Value& given, const Action* action) {
  if (!given.is_map() || !action) return given;
  Value out = given;
  for (const auto& parameter : action->parameters) {
    if (!parameter.secret) continue;
    const Value* value = given.find(parameter.name);
    if (value && !value->is_null() && !is_template(*value)) out.set(parameter.name, kHidden);
  }
  return out;
}

void keep_secrets(RuleInput& input, const RuleSpec& stored, const engine::TenantCatalog& catalog) {
  const auto* action = find_action(catalog, input.action.ref);
  if (!action || stored.action != input.action.ref) return;
  for (const auto& parameter : action->parameters) {
    const Value* given = input.action.parameters.find(parameter.name);
    const Value* before = stored.action_parameters.find(parameter.name);
    bool is_back = parameter.secret && before && given && *given == Value(kHidden);
    if (is_back) input.action.parameters.set(parameter.name, *before);
  }
}

RuleView rule_view(const kernel::RuleRow& row, const RuleSpec& spec,
                   const engine::TenantCatalog& catalog) {
  const auto* action = find_action(catalog, spec.action);
  RuleView view;
  view.id = row.id;
  view.ref = row.ref;
  view.revision = row.revision;
  view.enabled = row.enabled;
  view.type = spec.backstop ? RuleType::Backstop : RuleType::Standard;
  if (!row.pack.empty()) view.pack = row.pack;
  view.description = spec.description;
  auto map_of = [](const Value& given) { return given.is_null() ? Value::map() : given; };
  view.trigger = {spec.trigger, map_of(spec.trigger_parameters)};
  view.criteria = spec.criteria;
  view.action = {spec.action, shown_parameters(map_of(spec.action_parameters), action)};
  view.trace_tag = spec.trace_tag;
  view.changed_by = row.author;
  view.created = {row.created};
  view.updated = {row.updated};
  if (!spec.enabled) {
    view.state = RuleState::Disabled;
  } else if (rules::is_timer(spec.trigger) && catalog.is_paused(engine::schedule_name(spec))) {
    view.state = RuleState::Paused;
  }
  auto override = engine::read_override(row.override_json);
  if (override.ok() && override->is_there()) {  // may fail: then it is shown without
    view.override = shown_override(*override, action);
  }
  return view;
}

RuleView rule_view(const engine::RuleEntry& entry, const engine::TenantCatalog& catalog) {
  auto view = rule_view(entry.row, entry.spec, catalog);
  if (!entry.compiled) {
    view.state = RuleState::OutOfForce;
    view.fault = entry.fault;
  } else if (auto lacks = catalog.unresolved(entry); !lacks.empty()) {
    view.state = RuleState::Unresolved;
    view.fault = std::move(lacks);
  }
  return view;
}

std::vector<std::string> warnings_of(const RuleSpec& spec, const engine::TenantCatalog& catalog) {
  std::vector<std::string> warnings;
  auto is_empty = [](const Value& value) {
    return value.is_null() || (value.is_map() && value.size() == 0);
  };
  const auto* trigger = catalog.find_trigger(spec.trigger);
  bool is_shared = trigger && !trigger->parameters.empty() && !rules::is_timer(spec.trigger);
  if (is_shared && is_empty(spec.criteria) && is_empty(spec.trigger_parameters)) {
    warnings.push_back(
        fmt::format("it has neither criteria nor trigger parameters: every event of {} starts {}",
                    spec.trigger, spec.action));
  }
  auto name = rules::webhook_of_rule(spec);
  const auto* endpoint = name.empty() ? nullptr : catalog.find_webhook(name);
  if (endpoint && endpoint->trigger != spec.trigger) {
    warnings.push_back(
        fmt::format("the webhook endpoint '{}' fires {}: no delivery to it starts this rule", name,
                    endpoint->trigger));
  }
  return warnings;
}

Result<void> check_rule_ref(std::string_view ref) {
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

VerdictView verdict_view(const engine::TenantCatalog& catalog, const engine::RuleVerdict& verdict) {
  VerdictView view;
  view.rule = verdict.spec.ref;
  view.revision = verdict.revision;
  view.event = verdict.event;
  if (verdict.event) view.event_created = Timestamp{verdict.event_created};
  view.matched = verdict.matched;
  if (!verdict.reason.empty()) view.reason = verdict.reason;
  view.criteria = rules::with_words(verdict.criteria);
  if (!verdict.parameters.is_null()) {
    const auto* action = catalog.find_action(verdict.spec.action);
    view.parameters =
        packs::mask_secrets(verdict.parameters, action ? action->action.get() : nullptr);
  }
  if (!verdict.error.empty()) view.error = verdict.error;
  view.execution = verdict.execution;
  return view;
}

EventVerdictsView event_verdicts_view(const engine::TenantCatalog& catalog,
                                      const kernel::EventRow& event,
                                      const engine::EventVerdicts& verdicts) {
  EventVerdictsView view;
  view.event = event.id;
  view.trigger = event.trigger;
  view.rules = static_cast<int64_t>(verdicts.rules);
  view.judged = static_cast<int64_t>(verdicts.judged);
  view.matched = static_cast<int64_t>(verdicts.matched);
  for (const auto& verdict : verdicts.verdicts) {
    view.verdicts.push_back(verdict_view(catalog, verdict));
  }
  return view;
}

}  // namespace millrace::api
