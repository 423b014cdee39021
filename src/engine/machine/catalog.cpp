// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/catalog.h"

#include "base/text.h"
#include "rules/webhook.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::engine {
namespace {

// Files of StackStorm packs are Orquesta; others are native unless they say otherwise. An action
// chain tells itself by its shape.
expr::Mode language_of(const Action& action) {
  return action.runner_type == "orquesta" ? expr::Mode::Orquesta : expr::Mode::Native;
}

std::string workflow_name(const Pack& pack, const Action& action) {
  return pack.digest + ' ' + action.ref;
}

std::shared_ptr<const WorkflowCode> compile_workflow(const Action& action, expr::Engine& engine) {
  auto code = std::make_shared<WorkflowCode>();
  for (const auto& problem : workflow_problems(action, engine)) {
    if (!code->faults.empty()) code->faults += '\n';
    code->faults += fmt::format("{}: {}", problem.path, problem.message);
  }
  if (!code->faults.empty()) {
    code->errors = Value::list();
    if (!action.workflow) return code;
    auto options = inspect_options(language_of(action));
    for (const auto& finding : conductor::inspect(*action.workflow, engine, options)) {
      code->errors.push_back(conductor::to_value(finding));
    }
    return code;
  }
  auto definition =
      conductor::Definition::compile(action.workflow->value, engine, language_of(action));
  if (definition.ok()) {
    code->definition = std::move(*definition);
  } else {
    code->faults = definition.error().describe();
  }
  return code;
}

template <typename Map>
std::string suggest_from(const Map& names, std::string_view name) {
  std::vector<std::string_view> all;
  for (const auto& [ref, what] : names) all.push_back(ref);
  return did_you_mean(name, all);
}

}  // namespace

conductor::InspectOptions inspect_options(expr::Mode default_mode,
                                          conductor::FindAction find_action) {
  return {.default_mode = default_mode,
          .known_variables = {"st2", "parent"},
          .find_action = std::move(find_action)};
}

conductor::FindAction callees(const rules::Catalog& known) {
  return [&known](std::string_view ref) -> conductor::Callee {
    const auto& actions = known.actions;
    if (auto found = actions.find(ref); found != actions.end()) return {.action = found->second};
    std::string of_pack(ref.substr(0, ref.find('.') + 1));
    auto next = actions.lower_bound(of_pack);
    bool is_seen = next != actions.end() && next->first.starts_with(of_pack);
    if (!is_seen) return {.is_unseen = true};
    return {.advice = suggest_from(actions, ref)};
  };
}

conductor::FindAction callees(const TenantCatalog& catalog) {
  return [&catalog](std::string_view ref) -> conductor::Callee {
    if (const auto* found = catalog.find_action(ref)) return {.action = found->action.get()};
    return {.advice = catalog.suggest_action(ref)};
  };
}

std::vector<Problem> workflow_problems(const Action& action, expr::Engine& engine,
                                       conductor::FindAction find_action) {
  if (action.runner != Runner::Workflow) return {};
  std::string file = "actions/" + action.entry_point;
  if (!action.workflow) return {{file, "it is not there"}};
  std::vector<Problem> problems;
  auto options = inspect_options(language_of(action), std::move(find_action));
  for (auto& finding : conductor::inspect(*action.workflow, engine, options)) {
    problems.push_back({fmt::format("{}:{}", file, finding.line), std::move(finding.message)});
  }
  return problems;
}

const TenantCatalog::ActionRef* TenantCatalog::find_action(std::string_view ref) const {
  auto found = actions_.find(ref);
  return found == actions_.end() ? nullptr : &found->second;
}

std::optional<TenantCatalog::ActionRef> TenantCatalog::find_action(std::string_view ref,
                                                                   std::string_view digest) const {
  if (const auto* current = find_action(ref); current && current->pack->digest == digest) {
    return *current;
  }
  auto retired = retired_.find(digest);
  if (retired == retired_.end()) return std::nullopt;
  const Action* action = retired->second->find_action(ref);
  if (!action) return std::nullopt;
  return refer(retired->second, *action);
}

bool TenantCatalog::has_release(std::string_view digest) const {
  return retired_.contains(digest) ||
         std::ranges::any_of(packs_, [&](const auto& pack) { return pack->digest == digest; });
}

const RuleEntry* TenantCatalog::find_gone_rule(std::string_view ref) const {
  auto found = gone_rules_.find(ref);
  return found == gone_rules_.end() ? nullptr : found->second.get();
}

const Runtime* TenantCatalog::find_runtime(std::string_view ref, const Pack& own) const {
  std::string full =
      ref.find('.') == std::string_view::npos ? "core." + std::string(ref) : std::string(ref);
  auto find_in = [&](const Pack& pack) -> const Runtime* {
    for (const auto& runtime : pack.runtimes) {
      if (runtime.ref == full || runtime.ref == ref) return &runtime;
    }
    return nullptr;
  };
  if (const auto* found = find_in(own)) return found;
  for (const auto& pack : packs_) {
    if (const auto* found = find_in(*pack)) return found;
  }
  return nullptr;
}

const Pack* TenantCatalog::find_pack(std::string_view ref) const {
  auto found = std::ranges::find_if(packs_, [&](const auto& pack) { return pack->ref == ref; });
  return found == packs_.end() ? nullptr : found->get();
}

const Trigger* TenantCatalog::find_trigger(std::string_view ref) const {
  auto found = names_.triggers.find(ref);
  return found == names_.triggers.end() ? nullptr : found->second;
}

std::string TenantCatalog::suggest_action(std::string_view ref) const {
  return suggest_from(actions_, ref);
}
std::string TenantCatalog::suggest_trigger(std::string_view ref) const {
  return suggest_from(names_.triggers, ref);
}

const RuleEntry* TenantCatalog::find_rule(std::string_view ref) const {
  auto found = rules_.find(ref);
  return found == rules_.end() ? nullptr : found->second.get();
}

const kernel::WebhookRow* TenantCatalog::find_webhook(std::string_view name) const {
  auto found = webhooks_.find(name);
  return found == webhooks_.end() ? nullptr : &found->second;
}

const kernel::WebhookRow* TenantCatalog::find_endpoint(std::string_view name) const {
  if (const auto* own = find_webhook(name)) return own;
  auto found = rule_webhooks_.find(name);
  return found == rule_webhooks_.end() ? nullptr : &found->second.row;
}

size_t TenantCatalog::users_of_schedule(std::string_view name) const {
  auto found = schedule_users_.find(name);
  return found == schedule_users_.end() ? 0 : found->second;
}

rules::EventScope TenantCatalog::event_scope(int64_t now_ms) const {
  rules::EventScope scope;
  scope.pack_configs = &pack_configs_;
  scope.now_ms = now_ms;
  return scope;
}

void TenantCatalog::set_packs(const std::vector<std::shared_ptr<const Pack>>& system,
                              const std::vector<std::shared_ptr<const Pack>>& own) {
  for (const auto& pack : packs_) retired_[pack->digest] = pack;
  packs_ = system;
  packs_.insert(packs_.end(), own.begin(), own.end());
  for (const auto& pack : packs_) retired_.erase(pack->digest);
  actions_.clear();
  names_ = {};
  pack_configs_.clear();
  for (const auto& pack : packs_) {
    names_.add(*pack);
    pack_configs_.insert_or_assign(pack->ref, pack->config);
    compile_workflows(*pack);
    for (const auto& action : pack->actions) {
      actions_.insert_or_assign(action.ref, refer(pack, action));
    }
  }
  policies_ = std::make_shared<const PolicyBook>(packs_, policy_rows_);
  resolve_rules();
}

bool TenantCatalog::is_resolved(const RuleSpec& spec) const {
  return find_action(spec.action) && find_trigger(spec.trigger);
}

std::string TenantCatalog::unresolved(const RuleEntry& entry) const {
  if (!unresolved_.contains(entry.row.ref)) return {};
  bool has_action = find_action(entry.spec.action);
  return fmt::format("{} '{}' is not there: it matches nothing until its pack is",
                     has_action ? "trigger" : "action",
                     has_action ? entry.spec.trigger : entry.spec.action);
}

// Rules whose packs have come or gone enter the index, or leave it.
void TenantCatalog::resolve_rules() {
  std::vector<rules::RulePtr> come;
  std::set<std::string_view> gone;
  for (const auto& [ref, entry] : rules_) {
    if (!entry->compiled) continue;
    if (!is_resolved(entry->spec)) {
      if (unresolved_.insert(ref).second) gone.insert(ref);
    } else if (unresolved_.erase(ref) > 0) {
      come.push_back(entry->compiled);
    }
  }
  if (!come.empty() || !gone.empty()) index_ = index_.changed_by(std::move(come), std::move(gone));
}

void TenantCatalog::retire(std::shared_ptr<const Pack> pack) {
  std::string digest = pack->digest;
  compile_workflows(*pack);
  retired_.insert_or_assign(std::move(digest), std::move(pack));
}

void TenantCatalog::count_schedule(const RuleEntry& entry, int more) {
  if (entry.schedule.empty() || !entry.spec.enabled || entry.row.deleted) return;
  size_t& users = schedule_users_[entry.schedule];
  users += static_cast<size_t>(more);
  if (users == 0) schedule_users_.erase(entry.schedule);
}

void TenantCatalog::count_webhook(const RuleEntry& entry, int more) {
  auto url = rules::webhook_of_rule(entry.spec);
  if (url.empty() || entry.row.deleted) return;
  auto& endpoint = rule_webhooks_[std::string(url)];
  if (more > 0) {
    if (endpoint.rules.empty()) {
      endpoint.row = {.id = WebhookId{entry.row.id.value},
                      .tenant = entry.row.tenant,
                      .name = std::string(url),
                      .scheme = "token",
                      .trigger = entry.spec.trigger,
                      .created = entry.row.created,
                      .updated = entry.row.updated};
    }
    endpoint.rules.insert(entry.row.ref);
  } else {
    endpoint.rules.erase(entry.row.ref);
  }
  if (endpoint.rules.empty()) rule_webhooks_.erase(rule_webhooks_.find(url));
}

void TenantCatalog::set_rules(const std::vector<std::shared_ptr<const RuleEntry>>& changed) {
  std::vector<rules::RulePtr> compiled;
  std::set<std::string_view> gone;
  for (const auto& entry : changed) {
    const std::string& ref = entry->row.ref;
    const auto* old = find_rule(ref);
    bool is_broken = !entry->compiled && !entry->row.deleted;
    // Somebody has written it anew since.
    if (is_broken && old && old->row.id > entry->row.id) continue;
    if (old && old->compiled) count_schedule(*old, -1);
    if (old) count_webhook(*old, -1);
    count_webhook(*entry, 1);
    out_of_force_.erase(ref);
    unresolved_.erase(ref);
    if (is_broken) {
      out_of_force_.insert(ref);
      rules_.insert_or_assign(ref, entry);
      gone.insert(ref);
      continue;
    }
    count_schedule(*entry, 1);
    if (entry->row.deleted) {
      rules_.erase(ref);
      gone.insert(ref);
      if (!entry->row.pack.empty()) gone_rules_.insert_or_assign(ref, entry);
    } else {
      gone_rules_.erase(ref);
      if (entry->row.spec_json.find("config") != std::string::npos) {
        config_readers_.insert(std::string(entry->compiled->pack()));
      }
      rules_.insert_or_assign(ref, entry);
      if (is_resolved(entry->spec)) {
        compiled.push_back(entry->compiled);
      } else {
        unresolved_.insert(ref);
        gone.insert(ref);
      }
    }
  }
  index_ = index_.changed_by(std::move(compiled), std::move(gone));
}

void TenantCatalog::set_webhook(kernel::WebhookRow webhook) {
  if (webhook.deleted) {
    webhooks_.erase(webhook.name);
    return;
  }
  std::string name = webhook.name;
  webhooks_.insert_or_assign(std::move(name), std::move(webhook));
}

void TenantCatalog::set_policies(std::vector<kernel::PolicyRow> changed) {
  for (auto& row : changed) {
    std::string ref = row.ref;
    if (row.deleted) {
      policy_rows_.erase(ref);
    } else {
      policy_rows_.insert_or_assign(std::move(ref), std::move(row));
    }
  }
  policies_ = std::make_shared<const PolicyBook>(packs_, policy_rows_);
}

void TenantCatalog::compile_workflows(const Pack& pack) {
  expr::Engine engine;
  for (const auto& action : pack.actions) {
    if (action.runner != Runner::Workflow) continue;
    auto name = workflow_name(pack, action);
    if (!workflows_.contains(name)) workflows_.emplace(name, compile_workflow(action, engine));
  }
}

TenantCatalog::ActionRef TenantCatalog::refer(const std::shared_ptr<const Pack>& pack,
                                              const Action& action) const {
  auto code = action.runner == Runner::Workflow ? workflows_.find(workflow_name(*pack, action))
                                                : workflows_.end();
  return {pack, std::shared_ptr<const Action>(pack, &action),
          code == workflows_.end() ? nullptr : code->second};
}

// Catalog

std::shared_ptr<const TenantCatalog> Catalog::shared(TenantId tenant) const {
  auto found = tenants_.find(tenant);
  return found == tenants_.end() ? empty_ : found->second;
}

template <typename Change>
std::shared_ptr<const Catalog> Catalog::changed(TenantId tenant, Change change) const {
  auto next = std::make_shared<Catalog>(*this);
  auto own = std::make_shared<TenantCatalog>(of(tenant));
  change(*own);
  next->tenants_.insert_or_assign(tenant, std::move(own));
  return next;
}

std::shared_ptr<const Catalog> Catalog::with_system(
    std::vector<std::shared_ptr<const Pack>> packs) const {
  auto next = std::make_shared<Catalog>(*this);
  next->system_ = std::move(packs);
  auto renew = [&](const TenantCatalog& before) {
    auto after = std::make_shared<TenantCatalog>(before);
    after->set_packs(next->system_, before.own_packs(system_.size()));
    return after;
  };
  next->empty_ = renew(*empty_);
  for (auto& [tenant, catalog] : next->tenants_) catalog = renew(*catalog);
  return next;
}

std::shared_ptr<const Catalog> Catalog::with_packs(
    TenantId tenant, std::vector<std::shared_ptr<const Pack>> packs) const {
  return changed(tenant, [&](TenantCatalog& own) { own.set_packs(system_, packs); });
}

std::shared_ptr<const Catalog> Catalog::with_retired(TenantId tenant,
                                                     std::shared_ptr<const Pack> pack) const {
  return changed(tenant, [&](TenantCatalog& own) { own.retire(std::move(pack)); });
}

std::shared_ptr<const Catalog> Catalog::with_rules(
    const std::vector<std::shared_ptr<const RuleEntry>>& entries) const {
  std::map<TenantId, std::vector<std::shared_ptr<const RuleEntry>>> by_tenant;
  for (const auto& entry : entries) by_tenant[entry->row.tenant].push_back(entry);
  auto next = std::make_shared<const Catalog>(*this);
  for (const auto& [tenant, own] : by_tenant) {
    next = next->changed(tenant, [&](TenantCatalog& catalog) { catalog.set_rules(own); });
  }
  return next;
}

std::shared_ptr<const Catalog> Catalog::with_webhook(kernel::WebhookRow webhook) const {
  TenantId tenant = webhook.tenant;
  return changed(tenant, [&](TenantCatalog& own) { own.set_webhook(std::move(webhook)); });
}

std::shared_ptr<const Catalog> Catalog::with_policies(TenantId tenant,
                                                      std::vector<kernel::PolicyRow> rows) const {
  return changed(tenant, [&](TenantCatalog& own) { own.set_policies(std::move(rows)); });
}

std::shared_ptr<const Catalog> Catalog::with_paused(
    TenantId tenant, std::set<std::string, std::less<>> schedules) const {
  return changed(tenant, [&](TenantCatalog& own) { own.paused_ = std::move(schedules); });
}

std::shared_ptr<const Catalog> Catalog::with_version(TenantId tenant, int64_t version) const {
  return changed(tenant, [&](TenantCatalog& own) { own.version_ = version; });
}

std::shared_ptr<const Catalog> Catalog::with_missing(
    TenantId tenant, std::vector<kernel::PackReleaseRow> releases) const {
  auto next = std::make_shared<Catalog>(*this);
  std::erase_if(next->missing_, [&](const auto& each) { return each.tenant == tenant; });
  std::ranges::move(releases, std::back_inserter(next->missing_));
  return next;
}

std::shared_ptr<const Catalog> Catalog::with_newest_release(int64_t updated) const {
  auto next = std::make_shared<Catalog>(*this);
  next->newest_release_ = std::max(newest_release_, updated);
  return next;
}

size_t Catalog::rules_out_of_force() const {
  size_t count = 0;
  for (const auto& [tenant, catalog] : tenants_) count += catalog->out_of_force();
  return count;
}

size_t Catalog::packs_with_faults() const {
  size_t count = 0;
  for (const auto& [tenant, catalog] : tenants_) {
    auto is_faulty = [&](const auto& pack) {
      return !pack->faults.empty() && std::ranges::find(system_, pack) == system_.end();
    };
    count += static_cast<size_t>(std::ranges::count_if(catalog->packs(), is_faulty));
  }
  return count;
}

std::vector<TenantId> Catalog::tenants() const {
  std::vector<TenantId> ids;
  for (const auto& [tenant, catalog] : tenants_) ids.push_back(tenant);
  return ids;
}

}  // namespace millrace::engine
