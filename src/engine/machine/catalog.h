// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "conductor/definition.h"
#include "conductor/inspect.h"
#include "engine/machine/policies.h"
#include "kernel/rows.h"
#include "model/pack.h"
#include "rules/check.h"
#include "rules/index.h"

namespace millrace::engine {

// A rule of the catalogue: its stored row and its compiled form. Without one it is out of force: it
// matches nothing, and is shown, written anew and deleted like the others.
struct RuleEntry {
  kernel::RuleRow row;
  RuleSpec spec;
  std::shared_ptr<const rules::CompiledRule> compiled;
  std::string fault;     // why it is out of force
  std::string schedule;  // of a rule on a timer trigger: the name of its timer
};

// A workflow ready to run, or what is wrong with it.
struct WorkflowCode {
  conductor::DefinitionPtr definition;  // null when it has faults
  std::string faults;                   // one line each; they end every run at its start
  Value errors;                         // the same, as the results of these runs have them
};

// How workflows are inspected that the server runs: with the variables that it gives each run.
conductor::InspectOptions inspect_options(expr::Mode default_mode,
                                          conductor::FindAction find_action = {});
// What inspection finds in the workflow of an action, as `actions/FILE:LINE`; none when it runs
// none.
std::vector<Problem> workflow_problems(const Action& action, expr::Engine& engine,
                                       conductor::FindAction find_action = {});
// What tasks may call of the packs that `known` has seen; actions of others are passed over.
conductor::FindAction callees(const rules::Catalog& known);

class TenantCatalog;
// What tasks may call where this is the catalogue, which outlives the answer's use.
conductor::FindAction callees(const TenantCatalog& catalog);

// The endpoint that rules on StackStorm's webhook trigger bring along: there as long as one of them
// is, enabled or not. Whoever delivers to it needs a token.
struct RuleWebhook {
  kernel::WebhookRow row;  // in no table
  std::set<std::string, std::less<>> rules;
};

// What decisions of one tenant look up by name: its own packs and those of the system, its rules,
// its webhook endpoints. An immutable snapshot; a change makes a new one that shares what stayed
// the same.
class TenantCatalog {
 public:
  struct ActionRef {
    std::shared_ptr<const Pack> pack;
    std::shared_ptr<const Action> action;
    std::shared_ptr<const WorkflowCode> workflow;  // of Runner::Workflow
  };

  // The action of the current release.
  const ActionRef* find_action(std::string_view ref) const;
  // The action of the release with this digest, for runs that are pinned to it; falls back to
  // nothing, never to another release.
  std::optional<ActionRef> find_action(std::string_view ref, std::string_view digest) const;
  // A current release or one that is kept for executions.
  bool has_release(std::string_view digest) const;
  // `own`: the release that asks; its runtimes come first and may be in no current pack any more.
  const Runtime* find_runtime(std::string_view ref, const Pack& own) const;
  const Trigger* find_trigger(std::string_view ref) const;
  // " (did you mean 'x'?)" or empty.
  std::string suggest_action(std::string_view ref) const;
  std::string suggest_trigger(std::string_view ref) const;

  const RuleEntry* find_rule(std::string_view ref) const;
  // The last revision of a rule whose pack does not hold it any more: what an operator has said of
  // it holds when it comes back.
  const RuleEntry* find_gone_rule(std::string_view ref) const;
  // A rule that names an action or trigger that no pack has: it matches nothing, and is shown,
  // until one has it. Says what is not there; empty: it is resolved.
  std::string unresolved(const RuleEntry& entry) const;
  // How many rules do not compile.
  size_t out_of_force() const { return out_of_force_.size(); }
  const kernel::WebhookRow* find_webhook(std::string_view name) const;
  // Where deliveries of this name go: an endpoint that somebody has made goes before one that comes
  // with rules.
  const kernel::WebhookRow* find_endpoint(std::string_view name) const;
  // Of the store; rises with each change of rules, endpoints or packs.
  int64_t version() const { return version_; }
  // How many enabled rules share the timer of this name (RuleEntry::schedule).
  size_t users_of_schedule(std::string_view name) const;

  // The timers, by the same name, whose firings make no events.
  const std::set<std::string, std::less<>>& paused() const { return paused_; }
  bool is_paused(std::string_view schedule) const { return paused_.contains(schedule); }

  const std::vector<std::shared_ptr<const Pack>>& packs() const { return packs_; }
  // Without the system's, of which there are so many.
  std::vector<std::shared_ptr<const Pack>> own_packs(size_t system) const {
    return {packs_.begin() + static_cast<ptrdiff_t>(system), packs_.end()};
  }
  const std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>>& rules() const {
    return rules_;
  }
  const std::map<std::string, kernel::WebhookRow, std::less<>>& webhooks() const {
    return webhooks_;
  }
  const std::map<std::string, RuleWebhook, std::less<>>& rule_webhooks() const {
    return rule_webhooks_;
  }
  const PolicyBook& policies() const { return *policies_; }
  const rules::RuleIndex& index() const { return index_; }
  // The packs whose rules read pack.config; some that do no more may be among them.
  const std::set<std::string, std::less<>>& config_readers() const { return config_readers_; }
  const Pack* find_pack(std::string_view ref) const;
  // What a rule may name.
  const rules::Catalog& names() const { return names_; }
  // A scope with all but the event filled in. Refers to this catalogue.
  rules::EventScope event_scope(int64_t now_ms) const;

 private:
  friend class Catalog;
  void set_packs(const std::vector<std::shared_ptr<const Pack>>& system,
                 const std::vector<std::shared_ptr<const Pack>>& own);
  void retire(std::shared_ptr<const Pack> pack);
  void set_rules(const std::vector<std::shared_ptr<const RuleEntry>>& changed);
  bool is_resolved(const RuleSpec& spec) const;
  void resolve_rules();
  void count_schedule(const RuleEntry& entry, int more);
  void count_webhook(const RuleEntry& entry, int more);
  void set_webhook(kernel::WebhookRow webhook);
  void set_policies(std::vector<kernel::PolicyRow> changed);
  void compile_workflows(const Pack& pack);
  ActionRef refer(const std::shared_ptr<const Pack>& pack, const Action& action) const;

  std::vector<std::shared_ptr<const Pack>> packs_;                           // the system's first
  std::map<std::string, std::shared_ptr<const Pack>, std::less<>> retired_;  // by digest
  std::unordered_map<std::string, ActionRef, StringHash, std::equal_to<>> actions_;
  std::map<std::string, std::shared_ptr<const WorkflowCode>> workflows_;  // by release and ref
  std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>> rules_;
  std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>> gone_rules_;
  std::set<std::string> out_of_force_;
  std::set<std::string> unresolved_;
  std::map<std::string, size_t, std::less<>> schedule_users_;
  std::set<std::string, std::less<>> paused_;
  std::map<std::string, kernel::WebhookRow, std::less<>> webhooks_;
  std::map<std::string, RuleWebhook, std::less<>> rule_webhooks_;  // by URL
  PolicyBook::Rows policy_rows_;
  std::shared_ptr<const PolicyBook> policies_ = std::make_shared<const PolicyBook>();
  int64_t version_ = 0;
  rules::RuleIndex index_;
  rules::Catalog names_;
  std::map<std::string, Value, std::less<>> pack_configs_;
  std::set<std::string, std::less<>> config_readers_;
};

// The catalogues of all tenants. The packs of the system are seen by every tenant, and none can
// have one of their names. An immutable snapshot, as each of them.
class Catalog {
 public:
  Catalog() : empty_(std::make_shared<const TenantCatalog>()) {}

  // Of a tenant that has nothing of its own: what the system has.
  const TenantCatalog& of(TenantId tenant) const { return *shared(tenant); }
  std::shared_ptr<const TenantCatalog> shared(TenantId tenant) const;

  const std::vector<std::shared_ptr<const Pack>>& system() const { return system_; }
  std::vector<TenantId> tenants() const;
  // Of all tenants.
  size_t rules_out_of_force() const;
  size_t packs_with_faults() const;
  // Releases that open executions are pinned to and that cannot be had.
  const std::vector<kernel::PackReleaseRow>& missing() const { return missing_; }
  // `updated` of the newest release that is known of.
  int64_t newest_release() const { return newest_release_; }

  // New snapshots.
  std::shared_ptr<const Catalog> with_system(std::vector<std::shared_ptr<const Pack>> packs) const;
  // `packs`: all that the tenant has of its own; none is named as one of the system's.
  std::shared_ptr<const Catalog> with_packs(TenantId tenant,
                                            std::vector<std::shared_ptr<const Pack>> packs) const;
  // Keeps a release that is not current for executions that are pinned to it.
  std::shared_ptr<const Catalog> with_retired(TenantId tenant,
                                              std::shared_ptr<const Pack> pack) const;
  // Each entry goes to its row's tenant; entries whose row is deleted leave, and those of packs are
  // remembered.
  std::shared_ptr<const Catalog> with_rules(
      const std::vector<std::shared_ptr<const RuleEntry>>& changed) const;
  std::shared_ptr<const Catalog> with_webhook(kernel::WebhookRow webhook) const;
  // All of one tenant; those that are deleted leave.
  std::shared_ptr<const Catalog> with_policies(TenantId tenant,
                                               std::vector<kernel::PolicyRow> changed) const;
  std::shared_ptr<const Catalog> with_paused(TenantId tenant,
                                             std::set<std::string, std::less<>> schedules) const;
  std::shared_ptr<const Catalog> with_version(TenantId tenant, int64_t version) const;
  std::shared_ptr<const Catalog> with_missing(TenantId tenant,
                                              std::vector<kernel::PackReleaseRow> releases) const;
  std::shared_ptr<const Catalog> with_newest_release(int64_t updated) const;

 private:
  template <typename Change>
  std::shared_ptr<const Catalog> changed(TenantId tenant, Change change) const;

  std::vector<std::shared_ptr<const Pack>> system_;
  std::shared_ptr<const TenantCatalog> empty_;  // the system's packs alone
  std::map<TenantId, std::shared_ptr<const TenantCatalog>> tenants_;
  std::vector<kernel::PackReleaseRow> missing_;
  int64_t newest_release_ = 0;
};

}  // namespace millrace::engine
