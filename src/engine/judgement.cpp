// SPDX-License-Identifier: Apache-2.0
#include "engine/judgement.h"

#include "base/json.h"
#include "engine/machine/pack_config.h"
#include "store/read.h"

namespace millrace::engine {

using namespace kernel;

Judgement::Judgement(const Engine& engine, sql::Connection& reader, const EventRow& event)
    : reader_(&reader),
      tenant_(event.tenant),
      event_(event.id),
      catalog_(engine.catalog(event.tenant)),
      expressions_(std::make_unique<expr::Engine>()),
      allowance_(std::make_unique<expr::Allowance>()),
      scope_(catalog_->event_scope(event.created)),
      created_(event.created),
      now_ms_(engine.now_ms()) {}

Result<Judgement> Judgement::create(const Engine& engine, sql::Connection& reader,
                                    const EventRow& event) {
  Judgement made(engine, reader, event);
  TRY(Value payload, parse_json(event.payload_json, kOwnJson));
  Value parameters;
  if (!event.trigger_parameters_json.empty()) {
    TRY(parameters, parse_json(event.trigger_parameters_json, kOwnJson));
  }
  made.scope_.event = rules::event_value(event.id, event.trigger, event.created, std::move(payload),
                                         std::move(parameters));
  return made;
}

Result<RuleVerdict> Judgement::of(const rules::CompiledRule& rule, EnforcementId enforcement) {
  for (int round = 0;; ++round) {
    bool may_load = keys_.size() < kMostNeeds && round < kMostRounds;
    auto verdict = try_once(rule, enforcement, may_load);
    if (verdict.ok()) return verdict;
    size_t known = keys_.size();
    for (const Problem& need : expr::needed_keys(verdict.error())) {
      auto key = key_of_need(need.path);
      if (!key || keys_.contains(*key)) continue;
      TRY(auto row, store::find_key(*reader_, *key));
      keys_.emplace(std::move(*key), std::move(row));
    }
    if (keys_.size() == known) return verdict;
  }
}

Result<RuleVerdict> Judgement::try_once(const rules::CompiledRule& rule, EnforcementId enforcement,
                                        bool may_load) {
  OpenKey closed;
  KeyLookup lookup(keys_, closed, now_ms_, {.tenant = tenant_, .user = std::string(kRuleUser)},
                   may_load);
  std::map<std::string, Value, std::less<>> configs;
  if (const Pack* pack = catalog_->find_pack(rule.pack())) {
    TRY(auto config, pack_config(*pack, lookup, *expressions_));
    configs.emplace(pack->ref, std::move(config));
  }
  scope_.lookup = &lookup;
  scope_.pack_configs = &configs;
  scope_.allowance = allowance_.get();
  TRY(auto explained, rules::explain(rule, scope_, *expressions_));
  RuleVerdict verdict;
  verdict.spec = rule.spec();
  verdict.revision = rule.revision();
  verdict.event = event_;
  verdict.event_created = created_;
  verdict.matched = explained.matches;
  verdict.criteria = Value::list();
  for (const auto& one : explained.verdicts) verdict.criteria.push_back(rules::to_value(one));
  if (!verdict.matched) return verdict;
  auto rendered = rules::render_parameters(rule, scope_, *expressions_, enforcement);
  if (rendered.ok()) {
    verdict.parameters = std::move(*rendered);
  } else if (!expr::needed_key(rendered.error()).empty()) {
    return std::move(rendered).error();
  } else {
    verdict.error = rendered.error().describe();
  }
  return verdict;
}

}  // namespace millrace::engine
