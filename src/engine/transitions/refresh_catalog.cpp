// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/commands.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/rule_rows.h"

namespace millrace::engine {

namespace {

// Another server has changed a tenant's rules or endpoints.
class RefreshCatalog final : public Transition {
 public:
  explicit RefreshCatalog(CatalogNews news) : news_(std::move(news)) {}
  std::string_view name() const override { return "refresh_catalog"; }
  About about() const override { return {.tenant = news_.tenant}; }
  // After what is being committed here: it may be older than that.
  Turn turn() const override { return catalogue_turn(); }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  CatalogNews news_;
};

Decided RefreshCatalog::decide(Context& ctx) const {
  int64_t version = ctx.catalog(news_.tenant).version();
  if (version >= news_.version) return ctx.decided();
  // What the news before these tell of would be passed over for good: it waits for them.
  if (version < news_.after) {
    return Error(ErrorKind::Unavailable, "ENG-0002",
                 fmt::format("news of version {} of the catalogue come behind those of {}, which "
                             "are not in force yet: it has {}",
                             news_.version, news_.after, version));
  }
  auto next = ctx.catalogs().with_rules(news_.rules);
  for (const auto& webhook : news_.webhooks) next = next->with_webhook(webhook);
  if (news_.paused != next->of(news_.tenant).paused()) {
    next = next->with_paused(news_.tenant, news_.paused);
  }
  if (!news_.policies.empty()) next = next->with_policies(news_.tenant, news_.policies);
  ctx.decision().check_limits = !news_.policies.empty();
  // Who loads or uninstalls a pack at this version is newer than all that it rests on.
  if (!mutant(Mutant::NewestReleaseNotTold)) next = next->with_newest_release(news_.newest_release);
  ctx.decision().catalog = next->with_version(news_.tenant, news_.version);
  return ctx.decided();
}

// Packs on a server that decides for nothing, and so writes no rows of theirs: it shows them, and
// those who decide tell it of their rules.
class ShowPacks final : public Transition {
 public:
  ShowPacks(TenantId tenant, PackSet packs) : tenant_(tenant), packs_(std::move(packs)) {}
  std::string_view name() const override { return "show_packs"; }
  About about() const override { return {.tenant = tenant_}; }
  Turn turn() const override { return catalogue_turn(); }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override {
    auto next = packs_.system.empty() ? std::make_shared<const Catalog>(ctx.catalogs())
                                      : ctx.catalogs().with_system(packs_.system);
    next = next->with_packs(tenant_, packs_.own);
    for (const auto& pack : packs_.retired) next = next->with_retired(tenant_, pack);
    ctx.decision().catalog = next->with_missing(tenant_, packs_.missing);
    ctx.decision().check_limits = !ctx.catalog(tenant_).policies().empty();
    return ctx.decided();
  }

 private:
  TenantId tenant_;
  PackSet packs_;
};

}  // namespace

Message show_packs(TenantId tenant, PackSet packs) {
  return std::make_unique<ShowPacks>(tenant, std::move(packs));
}

Message refresh_catalog(CatalogNews news) {
  return std::make_unique<RefreshCatalog>(std::move(news));
}

}  // namespace millrace::engine
