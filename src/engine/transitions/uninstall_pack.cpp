// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/uninstall_pack.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/transitions/timers.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr std::string_view kCorePack = "core";

Error no_pack(const Catalog& catalog, std::string_view ref) {
  std::vector<std::string_view> names;
  for (const auto& pack : catalog.packs()) names.push_back(pack->ref);
  return Error(ErrorKind::NotFound, "PCK-0004",
               fmt::format("no pack '{}'{}", ref, did_you_mean(ref, names)));
}

}  // namespace

UninstallPack::UninstallPack(Caller caller, std::string ref, bool force, Reply<Uninstalled> reply)
    : caller_(std::move(caller)), ref_(std::move(ref)), force_(force), reply_(std::move(reply)) {
  key = kCatalogueKey;
}

void UninstallPack::want(Wanted& wanted) const {
  want_answer(wanted, caller_);
  wanted.schedules = true;
}

Result<void> UninstallPack::decide(Context& ctx) {
  done_ = {.ref = ref_};
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    catalog_ = nullptr;
    done_.rules = *earlier - 1;
    return {};
  }
  if (ref_ == kCorePack) {
    return Error(ErrorKind::Conflict, "PCK-0005",
                 "pack 'core' is part of the server and cannot be uninstalled");
  }
  auto packs = ctx.catalog().packs();
  auto pack = std::ranges::find(packs, ref_, [](const auto& each) { return each->ref; });
  std::vector<std::shared_ptr<const RuleEntry>> gone;
  std::set<std::string> refs;
  for (const auto& [ref, entry] : ctx.catalog().rules()) {
    if (entry->row.pack != ref_ || entry->row.tenant != caller_.tenant) continue;
    gone.push_back(add_deletion(ctx, *this, *entry));
    refs.insert(ref);
  }
  // Its rules outlive a release that cannot be read any more.
  if (pack == packs.end() && gone.empty()) return no_pack(ctx.catalog(), ref_);
  PackReleaseRow release{.tenant = caller_.tenant, .pack = ref_, .created = ctx.now()};
  if (pack != packs.end()) {
    if (!force_) TRY(check_unused(ctx.catalog(), **pack));
    release.version = (*pack)->version;
    release.digest = (*pack)->digest;
    if (!(*pack)->source_gone) done_.source = (*pack)->source;
    packs.erase(pack);
  }
  release.state = PackState::Uninstalled;
  release.updated = ctx.now();
  done_.digest = release.digest;
  done_.rules = static_cast<int64_t>(gone.size());
  changes.pack_releases.push_back(std::move(release));
  changes.feed.push_back({.tenant = caller_.tenant,
                          .type = EntityType::Pack,
                          .op = ChangeOp::Deleted,
                          .detail = ref_,
                          .at = ctx.now()});
  end_schedules(ctx, *this, refs);
  remember_answer(ctx, *this, caller_, done_.rules + 1);  // 0 would be no answer
  catalog_ = ctx.catalog().with_packs(std::move(packs))->with_rules(gone);
  return {};
}

// A rule of somebody else would go on matching, and each match would fail.
Result<void> UninstallPack::check_unused(const Catalog& catalog, const Pack& pack) const {
  std::vector<Problem> users;
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->row.pack == pack.ref) continue;
    for (const auto& used : {entry->spec.action, entry->spec.trigger}) {
      if (!pack.find_action(used) && !pack.find_trigger(used)) continue;
      users.push_back({"rule " + ref, fmt::format("uses '{}'", used)});
    }
  }
  for (const auto& [name, webhook] : catalog.webhooks()) {
    if (!pack.find_trigger(webhook.trigger)) continue;
    users.push_back({"webhook endpoint " + name, fmt::format("uses '{}'", webhook.trigger)});
  }
  if (users.empty()) return {};
  return Error(ErrorKind::Conflict, "PCK-0006",
               fmt::format("pack '{}' is used by {} ({}){}: change or delete what uses it, or "
                           "uninstall it with force",
                           pack.ref, users.front().path, users.front().message,
                           users.size() > 1 ? fmt::format(" and {} others", users.size() - 1) : ""))
      .with_problems(std::move(users));
}

}  // namespace millrace::engine
