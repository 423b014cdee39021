// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/catalogue.h"

#include <fmt/format.h>

#include <set>

#include "base/json.h"
#include "engine/transitions/timers.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

std::string pack_of(std::string_view ref) { return std::string(ref.substr(0, ref.find('.'))); }

// The next revision of a rule, compiled, as a row and in the feed.
Result<std::shared_ptr<const RuleEntry>> add_revision(Context& ctx, Transition& t, TenantId tenant,
                                                      const RuleSpec& spec, std::string owner,
                                                      const RuleEntry* old) {
  auto entry = std::make_shared<RuleEntry>();
  entry->spec = spec;
  auto& row = entry->row;
  row.id = old ? old->row.id : ctx.new_id<RuleId>();
  row.tenant = tenant;
  row.ref = spec.ref;
  row.revision = old ? old->row.revision + 1 : 1;
  row.enabled = spec.enabled;
  row.pack = std::move(owner);
  row.spec_json = to_json(rule_to_value(spec));
  row.created = old ? old->row.created : ctx.now();
  row.updated = ctx.now();
  TRY(entry->compiled, rules::compile(spec, row.id, row.revision, ctx.expressions()));
  if (spec.enabled && rules::is_timer(spec.trigger)) TRY(set_schedule(ctx, t, tenant, spec));
  bool is_there = old && !old->row.deleted;
  t.changes.feed.push_back({.tenant = tenant,
                            .type = EntityType::Rule,
                            .op = is_there ? ChangeOp::Updated : ChangeOp::Created,
                            .entity = row.id.value,
                            .detail = row.ref,
                            .at = ctx.now()});
  t.changes.rules.push_back(row);
  return std::shared_ptr<const RuleEntry>(std::move(entry));
}

// What a repeated request is answered with: the rule that it made, as it is now.
RuleRow row_now(const RuleEntry* entry, RuleId id, std::string_view ref) {
  if (entry && entry->row.id == id) return entry->row;
  RuleRow gone;
  gone.id = id;
  gone.ref = ref;
  gone.deleted = true;
  return gone;
}

Error no_rule(const Catalog& catalog, std::string_view ref) {
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

}  // namespace

std::shared_ptr<const RuleEntry> add_deletion(Context& ctx, Transition& t, const RuleEntry& old) {
  auto gone = std::make_shared<RuleEntry>(old);
  gone->row.revision += 1;
  gone->row.enabled = false;
  gone->row.deleted = true;
  gone->row.updated = ctx.now();
  t.changes.rules.push_back(gone->row);
  t.changes.feed.push_back({.tenant = old.row.tenant,
                            .type = EntityType::Rule,
                            .op = ChangeOp::Deleted,
                            .entity = old.row.id.value,
                            .detail = old.row.ref,
                            .at = ctx.now()});
  return gone;
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

// WriteRule

WriteRule::WriteRule(Caller caller, RuleWrite write, Reply<RuleRow> reply)
    : caller_(std::move(caller)), write_(std::move(write)), reply_(std::move(reply)) {
  key = kCatalogueKey;
}

Result<void> WriteRule::decide(Context& ctx) {
  const auto& spec = write_.spec;
  const auto* old = ctx.catalog().find_rule(spec.ref);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    catalog_ = nullptr;
    row_ = row_now(old, RuleId{*earlier}, spec.ref);
    return {};
  }
  if (!write_.create && !old) return no_rule(ctx.catalog(), spec.ref);
  if (write_.create && old) {
    return Error(
        ErrorKind::Conflict, "RUL-0104",
        fmt::format("rule '{}' exists already (revision {})", spec.ref, old->row.revision));
  }
  if (old) TRY(check_revision(*old, write_.if_revision));
  auto problems = rules::check_rule(spec, ctx.catalog().names(), ctx.expressions());
  if (!problems.empty()) {
    return Error(ErrorKind::Invalid, "RUL-0105",
                 fmt::format("rule '{}': {}", spec.ref, problems.front().message))
        .with_problems(std::move(problems));
  }
  TRY(auto entry, add_revision(ctx, *this, caller_.tenant, spec, old ? old->row.pack : "", old));
  row_ = entry->row;
  remember_answer(ctx, *this, caller_, row_.id.value);
  catalog_ = ctx.catalog().with_rules({entry});
  return {};
}

// DeleteRule

DeleteRule::DeleteRule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
                       Reply<RuleRow> reply)
    : caller_(std::move(caller)),
      ref_(std::move(ref)),
      if_revision_(if_revision),
      reply_(std::move(reply)) {
  key = kCatalogueKey;
}

Result<void> DeleteRule::decide(Context& ctx) {
  const auto* old = ctx.catalog().find_rule(ref_);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    catalog_ = nullptr;
    row_ = row_now(nullptr, RuleId{*earlier}, ref_);
    return {};
  }
  if (!old) return no_rule(ctx.catalog(), ref_);
  TRY(check_revision(*old, if_revision_));
  auto gone = add_deletion(ctx, *this, *old);
  row_ = gone->row;
  remember_answer(ctx, *this, caller_, row_.id.value);
  catalog_ = ctx.catalog().with_rules({gone});
  return {};
}

// WriteWebhook

WriteWebhook::WriteWebhook(Caller caller, WebhookWrite write, bool remove, Reply<WebhookRow> reply)
    : caller_(std::move(caller)),
      write_(std::move(write)),
      remove_(remove),
      reply_(std::move(reply)) {
  key = kCatalogueKey;
}

Result<void> WriteWebhook::decide(Context& ctx) {
  const auto* old = ctx.catalog().find_webhook(write_.name);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    catalog_ = nullptr;
    row_ = old && old->id.value == *earlier ? *old : WebhookRow{.id = WebhookId{*earlier}};
    row_.name = write_.name;
    return {};
  }
  if (write_.create && old) {
    return Error(
        ErrorKind::Conflict, "WHK-0103",
        fmt::format("webhook endpoint '{}' exists already: an update changes it", write_.name));
  }
  if (remove_ && !old) {
    return Error(ErrorKind::NotFound, "WHK-0101",
                 fmt::format("no webhook endpoint '{}'", write_.name));
  }
  if (!remove_ && !ctx.catalog().find_trigger(write_.trigger)) {
    return Error(ErrorKind::Invalid, "WHK-0102",
                 fmt::format("webhook endpoint '{}': unknown trigger '{}'{}", write_.name,
                             write_.trigger, ctx.catalog().suggest_trigger(write_.trigger)));
  }
  row_ = old ? *old : WebhookRow{};
  if (!old) {
    row_.id = ctx.new_id<WebhookId>();
    row_.tenant = caller_.tenant;
    row_.name = write_.name;
    row_.created = ctx.now();
    row_.version = 0;
  }
  if (!remove_) {
    row_.scheme = write_.scheme;
    row_.trigger = write_.trigger;
    row_.sealed_secrets = write_.sealed_secrets;
  }
  row_.deleted = remove_;
  row_.updated = ctx.now();
  row_.version += 1;
  changes.webhooks.push_back(row_);
  changes.feed.push_back({.tenant = row_.tenant,
                          .type = EntityType::Webhook,
                          .op = remove_ ? ChangeOp::Deleted
                                : old   ? ChangeOp::Updated
                                        : ChangeOp::Created,
                          .entity = row_.id.value,
                          .detail = row_.name,
                          .at = ctx.now()});
  remember_answer(ctx, *this, caller_, row_.id.value);
  catalog_ = ctx.catalog().with_webhook(row_);
  return {};
}

// Tokens

WriteToken::WriteToken(Caller caller, TokenWrite write, Reply<TokenRow> reply)
    : caller_(std::move(caller)), write_(std::move(write)), reply_(std::move(reply)) {}

Result<void> WriteToken::decide(Context& ctx) {
  row_ = TokenRow{.id = ctx.new_id<TokenId>(),
                  .tenant = caller_.tenant,
                  .hash = write_.hash,
                  .identity = write_.identity,
                  .permissions = write_.permissions,
                  .created = ctx.now(),
                  .expires = write_.expires};
  changes.tokens.push_back(row_);
  changes.feed.push_back({.tenant = row_.tenant,
                          .type = EntityType::Token,
                          .entity = row_.id.value,
                          .detail = row_.identity,
                          .at = ctx.now()});
  return {};
}

DeleteToken::DeleteToken(Caller caller, TokenId id, Reply<TokenId> reply)
    : caller_(std::move(caller)), id_(id), reply_(std::move(reply)) {}

Result<void> DeleteToken::decide(Context& ctx) {
  changes.tokens_done.push_back({caller_.tenant, id_});
  changes.feed.push_back({.tenant = caller_.tenant,
                          .type = EntityType::Token,
                          .op = ChangeOp::Deleted,
                          .entity = id_.value,
                          .at = ctx.now()});
  return {};
}

// LoadPacks

LoadPacks::LoadPacks(std::vector<std::shared_ptr<const Pack>> packs,
                     std::vector<std::shared_ptr<const Pack>> retired, Reply<int> reply)
    : packs_(std::move(packs)), retired_(std::move(retired)), reply_(std::move(reply)) {
  key = kCatalogueKey;
}

Result<void> LoadPacks::decide(Context& ctx) {
  std::vector<std::shared_ptr<const RuleEntry>> changed;
  std::set<std::string> wanted;
  std::set<std::string_view> loaded;
  for (const auto& pack : packs_) {
    loaded.insert(pack->ref);
    changes.pack_releases.push_back(
        {kDefaultTenant, pack->ref, pack->version, pack->digest, ctx.now(),
         pack->source_gone ? PackState::SourceGone : PackState::Installed, ctx.now()});
    for (const auto& spec : pack->rules) {
      wanted.insert(spec.ref);
      const auto* old = ctx.catalog().find_rule(spec.ref);
      bool is_there = old != nullptr;
      if (!old) old = ctx.catalog().find_gone_rule(spec.ref);
      RuleSpec wanted_spec = spec;
      // Whether it is enabled is the operator's word once the rule was there.
      if (old) wanted_spec.enabled = old->spec.enabled;
      if (is_there && to_json(rule_to_value(wanted_spec)) == old->row.spec_json) continue;
      TRY(auto entry,
          add_revision(ctx, *this, kDefaultTenant, wanted_spec, pack_of(spec.ref), old));
      changed.push_back(std::move(entry));
    }
  }
  for (const auto& [ref, entry] : ctx.catalog().rules()) {
    if (loaded.contains(entry->row.pack) && !wanted.contains(ref)) {
      changed.push_back(add_deletion(ctx, *this, *entry));
    }
  }
  catalog_ = ctx.catalog().with_packs(packs_)->with_rules(changed);
  for (const auto& pack : retired_) catalog_ = catalog_->with_retired(pack);
  return {};
}

}  // namespace millrace::engine
