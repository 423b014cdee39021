// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/text.h"
#include "conductor/definition.h"
#include "conductor/inspect.h"
#include "kernel/rows.h"
#include "model/pack.h"
#include "rules/check.h"
#include "rules/index.h"

namespace millrace::engine {

// A rule of the catalogue: its stored row and its compiled form.
struct RuleEntry {
  kernel::RuleRow row;
  RuleSpec spec;
  std::shared_ptr<const rules::CompiledRule> compiled;
};

// A workflow ready to run, or what is wrong with it.
struct WorkflowCode {
  conductor::DefinitionPtr definition;  // null when it has faults
  std::string faults;                   // one line each; they end every run at its start
};

// How workflows are inspected that the server runs: with the variables that it gives each run.
conductor::InspectOptions inspect_options(expr::Mode default_mode);
// What inspection finds in the workflow of an action, as `actions/FILE:LINE`; none when it runs
// none.
std::vector<Problem> workflow_problems(const Action& action, expr::Engine& engine);

// Everything that decisions look up by name: packs, rules, webhook endpoints. An immutable
// snapshot; a change makes a new one that shares what stayed the same.
class Catalog {
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
  const kernel::WebhookRow* find_webhook(std::string_view name) const;

  const std::vector<std::shared_ptr<const Pack>>& packs() const { return packs_; }
  const std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>>& rules() const {
    return rules_;
  }
  const std::map<std::string, kernel::WebhookRow, std::less<>>& webhooks() const {
    return webhooks_;
  }
  const rules::RuleIndex& index() const { return index_; }
  // What a rule may name.
  const rules::Catalog& names() const { return names_; }
  // A scope with all but the event filled in. Refers to this catalogue.
  rules::EventScope event_scope(int64_t now_ms) const;

  // New snapshots.
  std::shared_ptr<const Catalog> with_packs(std::vector<std::shared_ptr<const Pack>> packs) const;
  // Keeps a release that is not current for executions that are pinned to it.
  std::shared_ptr<const Catalog> with_retired(std::shared_ptr<const Pack> pack) const;
  // Entries whose row is deleted leave; those of packs are remembered.
  std::shared_ptr<const Catalog> with_rules(
      const std::vector<std::shared_ptr<const RuleEntry>>& changed) const;
  std::shared_ptr<const Catalog> with_webhook(kernel::WebhookRow webhook) const;

 private:
  void index_packs();
  void compile_workflows(const Pack& pack);
  ActionRef refer(const std::shared_ptr<const Pack>& pack, const Action& action) const;

  std::vector<std::shared_ptr<const Pack>> packs_;
  std::map<std::string, std::shared_ptr<const Pack>, std::less<>> retired_;  // by digest
  std::unordered_map<std::string, ActionRef, StringHash, std::equal_to<>> actions_;
  std::map<std::string, std::shared_ptr<const WorkflowCode>> workflows_;  // by release and ref
  std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>> rules_;
  std::map<std::string, std::shared_ptr<const RuleEntry>, std::less<>> gone_rules_;
  std::map<std::string, kernel::WebhookRow, std::less<>> webhooks_;
  rules::RuleIndex index_;
  rules::Catalog names_;
  std::map<std::string, Value, std::less<>> pack_configs_;
};

}  // namespace millrace::engine
