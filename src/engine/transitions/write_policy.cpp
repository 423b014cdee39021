// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"
#include "packs/policy.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A policy is made, changed, or goes. One of a pack is changed by what stands in its place until
// that is deleted; loads of the pack leave it alone.
class WritePolicy final : public Request<PolicyRow> {
 public:
  WritePolicy(Caller caller, PolicyWrite write, Reply<PolicyRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)) {}
  std::string_view name() const override { return "write_policy"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> check(const TenantCatalog& catalog, const PolicyEntry* old) const;
  Result<void> check_target(const TenantCatalog& catalog) const;
  PolicyRow row(Context& ctx, const PolicyEntry* old) const;
  PolicyWrite write_;
};

Result<void> WritePolicy::check_target(const TenantCatalog& catalog) const {
  const PolicySpec& spec = write_.spec;
  if (!spec.pack.empty()) {
    if (const auto* pack = catalog.find_pack(spec.pack)) {
      auto problems = packs::policy_problems(spec, *pack);
      if (problems.empty()) return {};
      return Error(ErrorKind::Invalid, "POL-0105",
                   fmt::format("policy '{}': {}", spec.ref, problems.front().message))
          .with_problems(std::move(problems));
    }
    std::vector<std::string_view> names;
    for (const auto& pack : catalog.packs()) names.push_back(pack->ref);
    return Error(ErrorKind::Invalid, "POL-0105",
                 fmt::format("policy '{}': unknown pack '{}'{}", spec.ref, spec.pack,
                             did_you_mean(spec.pack, names)));
  }
  const auto* action = catalog.find_action(spec.action);
  if (!action) {
    return Error(ErrorKind::Invalid, "POL-0105",
                 fmt::format("policy '{}': unknown action '{}'{}", spec.ref, spec.action,
                             catalog.suggest_action(spec.action)));
  }
  auto problems = packs::policy_problems(spec, *action->action);
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "POL-0105",
               fmt::format("policy '{}': {}", spec.ref, problems.front().message))
      .with_problems(std::move(problems));
}

Result<void> WritePolicy::check(const TenantCatalog& catalog, const PolicyEntry* old) const {
  const std::string& ref = write_.spec.ref;
  if (write_.how == PolicyWrite::How::Create && old) {
    return Error(ErrorKind::Conflict, "POL-0106",
                 fmt::format("policy '{}' exists already: an update changes it", ref));
  }
  if (write_.how != PolicyWrite::How::Create && !old) return no_policy(catalog.policies(), ref);
  int64_t version = old && old->row.id ? old->row.version : 0;  // 0: the file's
  if (write_.if_version && old && *write_.if_version != version) {
    return Error(ErrorKind::Stale, "POL-0108",
                 fmt::format("policy '{}' is at version {}, not {}: read it again, then write", ref,
                             version, *write_.if_version));
  }
  if (write_.how == PolicyWrite::How::Remove) {
    if (old->row.id) return {};
    return Error(ErrorKind::Conflict, "POL-0107",
                 fmt::format("policy '{}' is of pack '{}', whose file would bring it back: disable "
                             "it instead (millrace policy disable {})",
                             ref, old->pack, ref));
  }
  if (write_.how == PolicyWrite::How::Enable) return {};
  return check_target(catalog);
}

PolicyRow WritePolicy::row(Context& ctx, const PolicyEntry* old) const {
  PolicyRow row = old && old->row.id ? old->row : PolicyRow{};
  if (!row.id) {
    row.id = ctx.new_id<PolicyId>();
    row.tenant = caller_.tenant;
    row.ref = write_.spec.ref;
    row.created = ctx.now();
    row.version = 0;
  }
  PolicySpec spec = write_.how == PolicyWrite::How::Write || write_.how == PolicyWrite::How::Create
                        ? write_.spec
                        : old->spec;
  if (write_.how == PolicyWrite::How::Enable) spec.enabled = write_.spec.enabled;
  row.enabled = spec.enabled;
  row.spec_json = to_json(packs::policy_to_value(spec));
  row.deleted = write_.how == PolicyWrite::How::Remove;
  row.updated = ctx.now();
  row.version += 1;
  return row;
}

Decided WritePolicy::decide(Context& ctx) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  const auto* old = catalog.policies().find(write_.spec.ref);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    bool same = old && old->row.id.value == *earlier;
    return answer(ctx,
                  same ? old->row : PolicyRow{.id = PolicyId{*earlier}, .ref = write_.spec.ref});
  }
  TRY(check(catalog, old));
  PolicyRow after = row(ctx, old);
  ctx.changes.policies.push_back(after);
  ctx.changes.feed.push_back({.tenant = after.tenant,
                              .type = EntityType::Policy,
                              .op = after.deleted ? ChangeOp::Deleted
                                    : old         ? ChangeOp::Updated
                                                  : ChangeOp::Created,
                              .entity = after.id.value,
                              .detail = after.ref,
                              .at = ctx.now()});
  remember_answer(ctx, caller_, after.id.value);
  put_in_force(ctx, caller_.tenant, ctx.catalogs().with_policies(caller_.tenant, {after}));
  ctx.decision().check_limits = true;
  return answer(ctx, std::move(after));
}

}  // namespace

Error no_policy(const PolicyBook& book, std::string_view ref) {
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : book.all()) names.push_back(name);
  return Error(ErrorKind::NotFound, "POL-0109",
               fmt::format("no policy '{}'{}", ref, did_you_mean(ref, names)));
}

Message command::write_policy(Caller caller, PolicyWrite write, Reply<PolicyRow> reply) {
  return std::make_unique<WritePolicy>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
