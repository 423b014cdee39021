// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/rule_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/idempotency.h"
#include "engine/transitions/schedule.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

Result<void> check_spec(const RuleSpec& spec, const TenantCatalog& catalog, expr::Engine& engine) {
  auto problems = rules::check_rule(spec, catalog.names(), engine);
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "RUL-0105",
               fmt::format("rule '{}': {}", spec.ref, problems.front().message))
      .with_problems(std::move(problems));
}

std::string author_of(const Pack& pack) {
  return fmt::format("pack:{}@{}", pack.ref, pack.version);
}

const RuleSpec* rule_of_file(const TenantCatalog& catalog, const kernel::RuleRow& row) {
  const Pack* pack = catalog.find_pack(row.pack);
  if (!pack) return nullptr;
  auto found = std::ranges::find(pack->rules, row.ref, &RuleSpec::ref);
  return found == pack->rules.end() ? nullptr : &*found;
}

Result<std::shared_ptr<const RuleEntry>> add_revision(Context& ctx, TenantId tenant,
                                                      const RuleSpec& spec, Written by,
                                                      const RuleEntry* old) {
  auto entry = std::make_shared<RuleEntry>();
  entry->spec = spec;
  entry->schedule = schedule_name(spec);
  auto& row = entry->row;
  row.id = old ? old->row.id : ctx.new_id<RuleId>();
  row.tenant = tenant;
  row.ref = spec.ref;
  row.revision = old ? old->row.revision + 1 : 1;
  row.enabled = spec.enabled;
  row.pack = std::move(by.owner);
  row.author = std::move(by.author);
  row.override_json = std::move(by.override_json);
  row.spec_json = to_json(rule_to_value(spec));
  row.created = old ? old->row.created : ctx.now();
  row.updated = ctx.now();
  TRY(entry->compiled, rules::compile(spec, row.id, row.revision, ctx.expressions()));
  if (spec.enabled && rules::is_timer(spec.trigger)) TRY(set_schedule(ctx, tenant, spec));
  bool was_there = old && !old->row.deleted;
  ctx.changes.feed.push_back({.tenant = tenant,
                              .type = EntityType::Rule,
                              .op = was_there ? ChangeOp::Updated : ChangeOp::Created,
                              .entity = row.id.value,
                              .detail = row.ref,
                              .at = ctx.now()});
  ctx.changes.rules.push_back(row);
  return std::shared_ptr<const RuleEntry>(std::move(entry));
}

Result<RuleRow> write_revision(Context& ctx, const Caller& caller, const RuleSpec& spec, Written by,
                               const RuleEntry* old, bool dry_run) {
  // One that has fired may be written again, with other words.
  bool same_times = old && old->schedule == schedule_name(spec);
  if (!same_times) {
    TRY(check_is_ahead(spec, ctx.now()));
  }
  TRY(auto entry, add_revision(ctx, caller.tenant, spec, std::move(by), old));
  if (dry_run) {
    ctx.changes = {};
    return entry->row;
  }
  remember_answer(ctx, caller, entry->row.id.value);
  put_in_force(ctx, caller.tenant, ctx.catalogs().with_rules({entry}));
  return entry->row;
}

std::shared_ptr<const RuleEntry> add_deletion(Context& ctx, const RuleEntry& old, std::string owner,
                                              std::string author) {
  auto gone = std::make_shared<RuleEntry>(old);
  gone->row.revision += 1;
  gone->row.enabled = false;
  gone->row.deleted = true;
  gone->row.pack = std::move(owner);
  gone->row.author = std::move(author);
  gone->row.updated = ctx.now();
  ctx.changes.rules.push_back(gone->row);
  ctx.changes.feed.push_back({.tenant = old.row.tenant,
                              .type = EntityType::Rule,
                              .op = ChangeOp::Deleted,
                              .entity = old.row.id.value,
                              .detail = old.row.ref,
                              .at = ctx.now()});
  return gone;
}

void put_in_force(Context& ctx, TenantId tenant, const std::shared_ptr<const Catalog>& next) {
  // Packs that are loaded as they were are new in memory only.
  auto is_of_catalog = [](const ChangeRow& entry) {
    return entry.type == EntityType::Rule || entry.type == EntityType::Webhook ||
           entry.type == EntityType::Pack || entry.type == EntityType::Timer ||
           entry.type == EntityType::Policy;
  };
  if (std::ranges::none_of(ctx.changes.feed, is_of_catalog)) {
    ctx.decision().catalog = next;
    return;
  }
  int64_t version = ctx.catalog(tenant).version() + 1;
  ctx.changes.catalogs.push_back({tenant, version, paused_to_json(next->of(tenant).paused())});
  ctx.decision().catalog = next->with_version(tenant, version);
}

int64_t next_release(Context& ctx, int64_t newest) {
  return std::max({ctx.new_raw_id(), newest + 1, ctx.catalogs().newest_release() + 1});
}

int64_t newest_release(const Context& ctx, int64_t newest) {
  newest = std::max(newest, ctx.catalogs().newest_release());
  for (const auto& row : ctx.changes.pack_releases) newest = std::max(newest, row.updated);
  return newest;
}

RuleRow row_now(const RuleEntry* entry, RuleId id, std::string_view ref) {
  if (entry && entry->row.id == id) return entry->row;
  RuleRow gone;
  gone.id = id;
  gone.ref = ref;
  gone.deleted = true;
  return gone;
}

Error no_rule(const TenantCatalog& catalog, std::string_view ref) {
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : catalog.rules()) names.push_back(name);
  return Error(ErrorKind::NotFound, "RUL-0101",
               fmt::format("no rule '{}'{}", ref, did_you_mean(ref, names)));
}

Result<void> check_revision(const RuleEntry& entry, std::optional<int64_t> wanted) {
  if (!wanted || *wanted == entry.row.revision) return {};
  return Error(ErrorKind::Stale, "RUL-0102",
               fmt::format("rule '{}' is at revision {}, not {}: read it again, then write",
                           entry.row.ref, entry.row.revision, *wanted));
}

Value rule_to_value(const RuleSpec& spec) {
  Value value = Value::map({{"ref", spec.ref},
                            {"description", spec.description},
                            {"enabled", spec.enabled},
                            {"type", spec.backstop ? "backstop" : "standard"}});
  value.set("trigger",
            Value::map({{"ref", spec.trigger}, {"parameters", spec.trigger_parameters}}));
  value.set("criteria", spec.criteria);
  value.set("action", Value::map({{"ref", spec.action}, {"parameters", spec.action_parameters}}));
  value.set("trace_tag", spec.trace_tag);
  return value;
}

Result<RuleSpec> rule_from_value(const Value& value) {
  if (!value.is_map()) {
    return Error(ErrorKind::Internal, "RUL-0103", "a stored rule is no JSON object");
  }
  RuleSpec spec;
  spec.ref = value.string_or("ref", "");
  spec.description = value.string_or("description", "");
  spec.enabled = value.bool_or("enabled", true);
  spec.backstop = value.string_or("type", "standard") == "backstop";
  spec.trigger = value["trigger"].string_or("ref", "");
  spec.trigger_parameters = value["trigger"]["parameters"];
  spec.criteria = value["criteria"];
  spec.action = value["action"].string_or("ref", "");
  spec.action_parameters = value["action"]["parameters"];
  spec.trace_tag = value.string_or("trace_tag", "");
  return spec;
}

}  // namespace millrace::engine
