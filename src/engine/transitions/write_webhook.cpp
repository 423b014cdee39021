// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// An endpoint is made, changed, or goes.
class WriteWebhook final : public Request<WebhookRow> {
 public:
  enum class Wish : uint8_t { Write, Remove };
  WriteWebhook(Caller caller, WebhookWrite write, Wish wish, Reply<WebhookRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)), wish_(wish) {}
  std::string_view name() const override { return "write_webhook"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> check(const TenantCatalog& catalog, const WebhookRow* old) const;
  WebhookRow row(Context& ctx, const WebhookRow* old) const;
  WebhookWrite write_;
  Wish wish_;
};

Result<void> WriteWebhook::check(const TenantCatalog& catalog, const WebhookRow* old) const {
  if (write_.create && old) {
    return Error(
        ErrorKind::Conflict, "WHK-0103",
        fmt::format("webhook endpoint '{}' exists already: an update changes it", write_.name));
  }
  auto of_rules = catalog.rule_webhooks().find(write_.name);
  if (!write_.create && !old && of_rules != catalog.rule_webhooks().end()) {
    return Error(
        ErrorKind::Conflict, "WHK-0104",
        fmt::format("webhook endpoint '{}' comes with the rule '{}': it goes when its last "
                    "rule is deleted; create one of this name to sign its deliveries",
                    write_.name, *of_rules->second.rules.begin()));
  }
  if (wish_ == Wish::Remove && !old) {
    return Error(ErrorKind::NotFound, "WHK-0101",
                 fmt::format("no webhook endpoint '{}'", write_.name));
  }
  if (wish_ == Wish::Write && !catalog.find_trigger(write_.trigger)) {
    return Error(ErrorKind::Invalid, "WHK-0102",
                 fmt::format("webhook endpoint '{}': unknown trigger '{}'{}", write_.name,
                             write_.trigger, catalog.suggest_trigger(write_.trigger)));
  }
  return {};
}

WebhookRow WriteWebhook::row(Context& ctx, const WebhookRow* old) const {
  WebhookRow row = old ? *old : WebhookRow{};
  if (!old) {
    row.id = ctx.new_id<WebhookId>();
    row.tenant = caller_.tenant;
    row.name = write_.name;
    row.created = ctx.now();
    row.version = 0;
  }
  if (wish_ == Wish::Write) {
    row.scheme = write_.scheme;
    row.trigger = write_.trigger;
    row.sealed_secrets = write_.sealed_secrets;
    row.url = write_.url;
  }
  row.deleted = wish_ == Wish::Remove;
  row.updated = ctx.now();
  row.version += 1;
  return row;
}

Decided WriteWebhook::decide(Context& ctx) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  const auto* old = catalog.find_webhook(write_.name);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    bool same = old && old->id.value == *earlier;
    WebhookRow now = same ? *old : WebhookRow{.id = WebhookId{*earlier}};
    now.name = write_.name;
    return answer(ctx, std::move(now));
  }
  TRY(check(catalog, old));
  WebhookRow after = row(ctx, old);
  ctx.changes.webhooks.push_back(after);
  ctx.changes.feed.push_back({.tenant = after.tenant,
                              .type = EntityType::Webhook,
                              .op = after.deleted ? ChangeOp::Deleted
                                    : old         ? ChangeOp::Updated
                                                  : ChangeOp::Created,
                              .entity = after.id.value,
                              .detail = after.name,
                              .at = ctx.now()});
  remember_answer(ctx, caller_, after.id.value);
  put_in_force(ctx, caller_.tenant, ctx.catalogs().with_webhook(after));
  return answer(ctx, std::move(after));
}

}  // namespace

Message command::write_webhook(Caller caller, WebhookWrite write, Reply<WebhookRow> reply) {
  return std::make_unique<WriteWebhook>(std::move(caller), std::move(write),
                                        WriteWebhook::Wish::Write, std::move(reply));
}

Message command::delete_webhook(Caller caller, std::string name, Reply<WebhookRow> reply) {
  WebhookWrite write;
  write.name = std::move(name);
  return std::make_unique<WriteWebhook>(std::move(caller), std::move(write),
                                        WriteWebhook::Wish::Remove, std::move(reply));
}

}  // namespace millrace::engine
