// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "engine/machine/pack_users.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A pack leaves: its rules end (their revisions stay), the timers of its schedules go, its actions
// and triggers leave the catalogue. Executions that are pinned to its release go on with it.
class UninstallPack final : public Request<Uninstalled> {
 public:
  UninstallPack(Caller caller, PackRemoval removal, Reply<Uninstalled> reply)
      : Request(std::move(caller), std::move(reply)), removal_(std::move(removal)) {}
  std::string_view name() const override { return "uninstall_pack"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    wanted.schedules_of.push_back(caller_.tenant);
  }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> check_unused(const TenantCatalog& catalog, const Pack& pack) const;
  PackRemoval removal_;
};

Error no_pack(const TenantCatalog& catalog, std::string_view ref) {
  std::vector<std::string_view> names;
  for (const auto& pack : catalog.packs()) names.push_back(pack->ref);
  return Error(ErrorKind::NotFound, "PCK-0004",
               fmt::format("no pack '{}'{}", ref, did_you_mean(ref, names)));
}

Decided UninstallPack::decide(Context& ctx) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  const std::string& name = removal_.ref;
  Uninstalled done{.ref = name};
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    done.rules = *earlier - 1;
    return answer(ctx, std::move(done));
  }
  auto is_it = [&](const auto& pack) { return pack->ref == name; };
  if (std::ranges::any_of(ctx.catalogs().system(), is_it)) {
    return Error(ErrorKind::Conflict, "PCK-0005",
                 fmt::format("pack '{}' is part of the server and cannot be uninstalled", name));
  }
  std::vector<std::shared_ptr<const RuleEntry>> gone;
  std::set<std::string> refs;
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->row.pack != name) continue;
    gone.push_back(add_deletion(ctx, *entry, name, caller_.identity));
    refs.insert(ref);
  }
  auto own = catalog.own_packs(ctx.catalogs().system().size());
  auto pack = std::ranges::find_if(own, is_it);
  // Its rules outlive a release that cannot be read any more.
  if (pack == own.end() && gone.empty()) return no_pack(catalog, name);
  PackReleaseRow release{.tenant = caller_.tenant, .pack = name, .created = ctx.now()};
  if (pack != own.end()) {
    if (!removal_.force) TRY(check_unused(catalog, **pack));
    release.version = (*pack)->version;
    release.digest = (*pack)->digest;
    release.source_json = (*pack)->origin.source_json();
    release.installer = (*pack)->origin.installer;
    if (!(*pack)->source_gone) done.source = (*pack)->source;
    own.erase(pack);
  }
  release.state = PackState::Uninstalled;
  release.updated = next_release(ctx, 0);
  done.digest = release.digest;
  done.rules = static_cast<int64_t>(gone.size());
  ctx.changes.pack_releases.push_back(std::move(release));
  ctx.changes.feed.push_back({.tenant = caller_.tenant,
                              .type = EntityType::Pack,
                              .op = ChangeOp::Deleted,
                              .detail = name,
                              .at = ctx.now()});
  end_schedules(ctx, caller_.tenant, refs);
  remember_answer(ctx, caller_, done.rules + 1);  // 0 would be no answer
  ctx.decision().check_limits = !ctx.catalog(caller_.tenant).policies().empty();
  put_in_force(ctx, caller_.tenant,
               ctx.catalogs()
                   .with_packs(caller_.tenant, std::move(own))
                   ->with_rules(gone)
                   ->with_newest_release(newest_release(ctx, 0)));
  return answer(ctx, std::move(done));
}

// With force the rules of others stay, unresolved, and match nothing until the pack is back.
Result<void> UninstallPack::check_unused(const TenantCatalog& catalog, const Pack& pack) const {
  auto users = users_of(catalog, pack.ref, [&](std::string_view ref) {
    return pack.find_action(ref) || pack.find_trigger(ref);
  });
  if (users.empty()) return {};
  return Error(ErrorKind::Conflict, "PCK-0006",
               fmt::format("pack '{}' is used by {} ({}){}: change or delete what uses it, or "
                           "uninstall it with force",
                           pack.ref, users.front().path, users.front().message,
                           users.size() > 1 ? fmt::format(" and {} others", users.size() - 1) : ""))
      .with_problems(std::move(users));
}

}  // namespace

Message command::uninstall_pack(Caller caller, PackRemoval removal, Reply<Uninstalled> reply) {
  return std::make_unique<UninstallPack>(std::move(caller), std::move(removal), std::move(reply));
}

}  // namespace millrace::engine
