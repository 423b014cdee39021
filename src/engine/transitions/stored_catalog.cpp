// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/stored_catalog.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"
#include "store/read.h"

namespace millrace::engine {

namespace {

Result<rules::RulePtr> compile(const kernel::RuleRow& row, const RuleSpec& spec,
                               expr::Engine& expressions, InHand* in_hand) {
  RuleInHand rule("compile", row.id, row.revision);
  if (in_hand && in_hand->is_dead(rule.item())) return rule.dead_error();
  Holding holding(in_hand, rule.item());
  try {
    return rules::compile(spec, row.id, row.revision, expressions);
  } catch (const std::exception& e) {
    return Error(ErrorKind::Internal, "ENG-0006", e.what());
  }
}

Result<RuleSpec> stored_spec(const kernel::RuleRow& row) {
  TRY(Value stored, parse_json(row.spec_json, kOwnJson));
  return rule_from_value(stored);
}

}  // namespace

Result<std::vector<std::shared_ptr<const RuleEntry>>> compiled_rules(
    std::vector<kernel::RuleRow> rows, InHand* in_hand) {
  std::vector<std::shared_ptr<const RuleEntry>> entries;
  expr::Engine expressions;
  for (auto& row : rows) {
    auto entry = std::make_shared<RuleEntry>();
    auto spec = stored_spec(row);
    entry->spec = spec.ok() ? std::move(*spec) : RuleSpec{.enabled = row.enabled};
    entry->spec.ref = row.ref;
    entry->schedule = schedule_name(entry->spec);
    if (!row.deleted) {
      auto compiled = spec.ok() ? compile(row, entry->spec, expressions, in_hand)
                                : Result<rules::RulePtr>(std::move(spec).error());
      if (!compiled.ok()) {
        // Written by another version: out of force, but not lost, and said.
        entry->fault = compiled.error().describe();
        log_error("rule.not_compiled", {{"rule", row.ref}, {"error", entry->fault}});
      } else {
        entry->compiled = std::move(*compiled);
      }
    }
    entry->row = std::move(row);
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::shared_ptr<const Catalog>> with_stored(std::shared_ptr<const Catalog> catalog,
                                                   sql::Connection& reader, InHand* in_hand) {
  TRY(auto rows, store::gone_pack_rules(reader));  // one that is there again comes after
  TRY(auto current, store::rules_of_all_tenants(reader));
  std::ranges::move(current, std::back_inserter(rows));
  TRY(auto rules, compiled_rules(std::move(rows), in_hand));
  catalog = catalog->with_rules(rules);
  TRY(auto webhooks, store::webhooks_of_all_tenants(reader));
  for (auto& webhook : webhooks) catalog = catalog->with_webhook(std::move(webhook));
  TRY(auto policies, store::policies_of_all_tenants(reader));
  std::map<TenantId, std::vector<kernel::PolicyRow>> of_tenants;
  for (auto& row : policies) of_tenants[row.tenant].push_back(std::move(row));
  for (auto& [tenant, own] : of_tenants) catalog = catalog->with_policies(tenant, std::move(own));
  TRY(auto versions, store::catalogs_of_all_tenants(reader));
  for (const auto& row : versions) {
    catalog = catalog->with_version(row.tenant, row.version);
    if (row.paused_json.empty()) continue;
    catalog = catalog->with_paused(row.tenant, paused_timers(row.paused_json));
  }
  return catalog;
}

}  // namespace millrace::engine
