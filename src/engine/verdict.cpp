// SPDX-License-Identifier: Apache-2.0
#include "engine/verdict.h"

#include <fmt/format.h>

#include "base/json.h"
#include "engine/machine/catalog.h"
#include "engine/machine/keys.h"
#include "engine/machine/pack_config.h"
#include "engine/transitions/rule_rows.h"
#include "store/read.h"

namespace millrace::engine {

using namespace kernel;

namespace {

Result<RuleVerdict> test_with(const Engine& engine, const RuleSpec& spec, const EventRow& event,
                              const KeyRows& keys, bool may_load) {
  auto current = engine.catalog(event.tenant);
  expr::Engine expressions;
  TRY(auto compiled, rules::compile(spec, RuleId{1}, 1, expressions));
  OpenKey closed;
  KeyLookup lookup(keys, closed, engine.now_ms(),
                   {.tenant = event.tenant, .user = std::string(kRuleUser)}, may_load);
  TRY(Value payload, parse_json(event.payload_json, kOwnJson));
  Value trigger_parameters;
  if (!event.trigger_parameters_json.empty()) {
    TRY(trigger_parameters, parse_json(event.trigger_parameters_json, kOwnJson));
  }
  rules::EventScope scope = current->event_scope(engine.now_ms());
  scope.lookup = &lookup;
  // What is sealed of the configuration stays closed here as the keys do.
  std::map<std::string, Value, std::less<>> configs;
  if (const Pack* pack = current->find_pack(compiled->pack())) {
    TRY(auto config, pack_config(*pack, lookup, expressions));
    configs.emplace(pack->ref, std::move(config));
  }
  scope.pack_configs = &configs;
  expr::Allowance allowance;
  scope.allowance = &allowance;
  scope.event = rules::event_value(event.id, event.trigger, event.created, std::move(payload),
                                   std::move(trigger_parameters));
  TRY(auto explained, rules::explain(*compiled, scope, expressions));
  RuleVerdict verdict;
  verdict.spec = spec;
  verdict.matched = explained.matches;
  verdict.criteria = Value::list();
  for (const auto& one : explained.verdicts) verdict.criteria.push_back(rules::to_value(one));
  if (verdict.matched) {
    auto rendered = rules::render_parameters(*compiled, scope, expressions);
    if (rendered.ok()) {
      verdict.parameters = std::move(*rendered);
    } else if (!expr::needed_key(rendered.error()).empty()) {
      return rendered.error();
    } else {
      verdict.error = rendered.error().describe();
    }
  }
  return verdict;
}

}  // namespace

// Loads the keys that the rule reads, round by round; encrypted ones stay closed.
Result<RuleVerdict> test_rule(const Engine& engine, sql::Connection& reader, const RuleSpec& spec,
                              const EventRow& event) {
  KeyRows keys;
  for (int round = 0;; ++round) {
    bool may_load = keys.size() < kMostNeeds && round < kMostRounds;
    auto verdict = test_with(engine, spec, event, keys, may_load);
    if (verdict.ok()) return verdict;
    size_t known = keys.size();
    for (const Problem& need : expr::needed_keys(verdict.error())) {
      auto key = key_of_need(need.path);
      if (!key || keys.contains(*key)) continue;
      TRY(auto row, store::find_key(reader, *key));
      keys.emplace(std::move(*key), std::move(row));
    }
    if (keys.size() == known) return verdict;
  }
}

Result<RuleVerdict> why(const Engine& engine, sql::Connection& reader, TenantId tenant,
                        const std::string& rule_ref, EventId event_id) {
  TRY(auto event, store::find_event(reader, tenant, event_id));
  if (!event) {
    return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", event_id.value));
  }
  TRY(auto then, store::rule_at(reader, tenant, rule_ref, event->created));
  if (!then || then->deleted) {
    TRY(auto newest, store::find_rule(reader, tenant, rule_ref));
    if (!newest) {
      return Error(ErrorKind::NotFound, "RUL-0101", fmt::format("no rule '{}'", rule_ref));
    }
    RuleVerdict verdict;
    TRY(Value stored, parse_json(newest->spec_json, kOwnJson));
    TRY(verdict.spec, rule_from_value(stored));
    verdict.revision = then ? then->revision : 0;
    verdict.reason = then ? "the rule was deleted when the event came"
                          : "the rule did not exist yet when the event came";
    verdict.criteria = Value::list();
    return verdict;
  }
  TRY(Value stored, parse_json(then->spec_json, kOwnJson));
  TRY(auto spec, rule_from_value(stored));
  TRY(auto verdict, test_rule(engine, reader, spec, *event));
  verdict.revision = then->revision;
  return verdict;
}

}  // namespace millrace::engine
