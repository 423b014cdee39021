// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/mix.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_override.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/told_events.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// The same in each process: a hash with a seed would not be.
int64_t number_of(const PackSet& packs) {
  uint64_t number = 0;
  for (const auto* set : {&packs.system, &packs.own}) {
    for (const auto& pack : *set) {
      for (unsigned char c : pack->digest) number = mix64(number ^ c);
    }
  }
  return static_cast<int64_t>(number >> 1);
}

// Another set of a tenant's pack releases. The rules that these packs own follow their files: new
// ones are created, changed ones get a revision, vanished ones are deleted. Whether a rule is
// enabled stays the operator's word, also when it vanishes and comes back, and so does what he has
// changed of it (rule_override.h); one that he has deleted stays so. The rules of a pack that is
// not among them stay as they are: only UninstallPack ends them.
class LoadPacks final : public Request<int> {
 public:
  LoadPacks(Caller caller, PackSet packs, Reply<int> reply)
      : Request(std::move(caller), std::move(reply)),
        packs_(std::move(packs)),
        subject_(number_of(packs_)) {}
  std::string_view name() const override { return "load_packs"; }
  // At each start, and until its folders change.
  bool comes_again() const override { return true; }
  About about() const override { return {.tenant = caller_.tenant, .subject = subject_}; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override {
    want_run(wanted, caller_);
    for (const auto* packs : {&packs_.system, &packs_.own}) {
      for (const auto& pack : *packs) {
        for (const auto& spec : pack->rules) want_schedule(wanted, caller_.tenant, spec);
      }
    }
  }
  Decided decide(Context& ctx) const override;

 private:
  using Entries = std::vector<std::shared_ptr<const RuleEntry>>;
  using Packs = std::vector<std::shared_ptr<const Pack>>;
  Packs still_installed(const TenantCatalog& now) const;
  bool is_outrun(const Catalog& now) const;
  Result<void> check_names(const Catalog& catalog) const;
  void note_release(Context& ctx, const Pack& pack) const;
  Result<void> follow(Context& ctx, const Pack& pack, Entries& changed) const;
  PackSet packs_;
  int64_t subject_;  // other releases, another number
};

Result<void> LoadPacks::check_names(const Catalog& catalog) const {
  for (const auto& pack : packs_.own) {
    if (std::ranges::none_of(catalog.system(), [&](auto& each) { return each->ref == pack->ref; }))
      continue;
    return Error(ErrorKind::Conflict, "PCK-0007",
                 fmt::format("pack '{}' is one of the system's: choose another name", pack->ref));
  }
  return {};
}

void LoadPacks::note_release(Context& ctx, const Pack& pack) const {
  bool is_fresh = !packs_.fresh.empty() && pack.ref == packs_.fresh;
  if (packs_.shared && !is_fresh &&
      (pack.source_gone || (packs_.known && packs_.known->contains(pack.digest)))) {
    return;  // it is in the store as they have put it there
  }
  auto is_in_force = [&] {
    auto same = [&](const auto& each) { return each->digest == pack.digest; };
    if (packs_.known) return packs_.known->contains(pack.digest);
    return std::ranges::any_of(ctx.catalog(caller_.tenant).packs(), same);
  };
  if (is_fresh || !is_in_force()) {
    ctx.changes.feed.push_back({.tenant = caller_.tenant,
                                .type = EntityType::Pack,
                                .op = ChangeOp::Updated,
                                .detail = pack.ref,
                                .at = ctx.now()});
    tell_installed(ctx, caller_, pack);
  }
  ctx.changes.pack_releases.push_back(
      {caller_.tenant, pack.ref, pack.version, pack.digest, ctx.now(),
       pack.source_gone ? PackState::SourceGone : PackState::Installed,
       next_release(ctx, packs_.newest), pack.origin.source_json(), pack.origin.installer});
}

bool can_stand(const RuleSpec& spec, expr::Engine& engine) {
  bool is_timer = rules::is_timer(spec.trigger);
  if (is_timer && !rules::parse_schedule(spec.trigger, spec.trigger_parameters).ok()) return false;
  return rules::compile(spec, RuleId(), 0, engine).ok();
}

Result<void> LoadPacks::follow(Context& ctx, const Pack& pack, Entries& changed) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  std::set<std::string_view> wanted;
  for (const auto& spec : pack.rules) {
    wanted.insert(spec.ref);
    const auto* there = catalog.find_rule(spec.ref);
    const auto* old = there ? there : catalog.find_gone_rule(spec.ref);
    RuleSpec next = spec;
    bool is_theirs = old && (old->row.pack == kNoPack || old->row.pack == kDeleter);
    if (is_theirs) continue;  // an operator has edited or deleted it
    if (old) next.enabled = old->spec.enabled;
    Written by{pack.ref, author_of(pack), old ? old->row.override_json : std::string()};
    if (!by.override_json.empty()) {
      TRY(auto override, read_override(by.override_json));
      auto both = overridden(next, override.set);
      // What the file says now may be no rule with what is laid over it: it stays as it was.
      if (!both.ok() || !can_stand(*both, ctx.expressions())) continue;
      next = std::move(*both);
    }
    if (there && to_json(rule_to_value(next)) == there->row.spec_json) continue;
    TRY(auto entry, add_revision(ctx, caller_.tenant, next, std::move(by), old));
    changed.push_back(std::move(entry));
  }
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->row.pack != pack.ref || wanted.contains(ref)) continue;
    changed.push_back(add_deletion(ctx, *entry, pack.ref, author_of(pack)));
  }
  return {};
}

// What was uninstalled while the packs were being read does not come back with them.
LoadPacks::Packs LoadPacks::still_installed(const TenantCatalog& now) const {
  auto has = [](const TenantCatalog& catalog, const Pack& pack) {
    return std::ranges::any_of(catalog.packs(), [&](auto& each) { return each->ref == pack.ref; });
  };
  Packs own = packs_.own;
  if (packs_.before) {
    std::erase_if(own, [&](auto& pack) { return has(*packs_.before, *pack) && !has(now, *pack); });
  }
  return own;
}

// Only what the store had, and something newer has come into force here while it was being read: of
// that the feed tells, too, and what the store has then is on its way.
bool LoadPacks::is_outrun(const Catalog& now) const {
  if (!packs_.fresh.empty()) return false;
  if (!packs_.shared || !packs_.known || packs_.newest >= now.newest_release()) return false;
  auto is_known = [&](const auto& pack) {
    return pack->source_gone || packs_.known->contains(pack->digest);
  };
  return std::ranges::all_of(packs_.system, is_known) && std::ranges::all_of(packs_.own, is_known);
}

Decided LoadPacks::decide(Context& ctx) const {
  int count = static_cast<int>(packs_.system.size() + packs_.own.size());
  if (is_outrun(ctx.catalogs())) return answer(ctx, count);
  auto catalog = packs_.system.empty() ? std::make_shared<const Catalog>(ctx.catalogs())
                                       : ctx.catalogs().with_system(packs_.system);
  TRY(check_names(*catalog));
  Entries changed;
  const Packs own = still_installed(ctx.catalog(caller_.tenant));
  for (const auto* packs : {&packs_.system, &own}) {
    for (const auto& pack : *packs) {
      note_release(ctx, *pack);
      TRY(follow(ctx, *pack, changed));
    }
  }
  catalog = catalog->with_packs(caller_.tenant, own)->with_rules(changed);
  for (const auto& pack : packs_.retired) catalog = catalog->with_retired(caller_.tenant, pack);
  put_in_force(ctx, caller_.tenant,
               catalog->with_missing(caller_.tenant, packs_.missing)
                   ->with_newest_release(newest_release(ctx, packs_.newest)));
  ctx.decision().check_releases_after = ExecutionId{};
  ctx.decision().check_timers = Decision::TimersToCheck{};
  ctx.decision().check_limits = !ctx.catalog(caller_.tenant).policies().empty();
  return answer(ctx, count);
}

}  // namespace

Message command::load_packs(Caller caller, PackSet packs, Reply<int> reply) {
  return std::make_unique<LoadPacks>(std::move(caller), std::move(packs), std::move(reply));
}

}  // namespace millrace::engine
