// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/commands.h"
#include "engine/transitions/idempotency.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// The transitions of this file answer when the new snapshot is in force, not only durable: who
// has created a rule may send its event at once. A repeated request with an Idempotency-Key is
// answered with the rule or the endpoint as it is now; one that is gone has an id only.

// A rule as JSON, the form in which its revisions are stored and the API shows it.
Value rule_to_value(const RuleSpec& spec);
Result<RuleSpec> rule_from_value(const Value& value);

// All writes of the catalogue take turns: each makes a snapshot from the one before it.
inline constexpr int64_t kCatalogueKey = -1;

// The last revision of a rule that goes, as a row and in the feed.
std::shared_ptr<const RuleEntry> add_deletion(Context& ctx, Transition& t, const RuleEntry& old);

// A new revision of a rule, or its end.
class WriteRule final : public Transition {
 public:
  WriteRule(Caller caller, RuleWrite write, Reply<kernel::RuleRow> reply);
  std::string_view name() const override { return "write_rule"; }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Result<void> decide(Context& ctx) override;
  void settle(Memory& memory) override {
    if (catalog_) memory.catalog_changed(catalog_);
    reply_(row_);
  }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  RuleWrite write_;
  Reply<kernel::RuleRow> reply_;
  kernel::RuleRow row_;
  std::shared_ptr<const Catalog> catalog_;  // null: an earlier request is answered again
};

class DeleteRule final : public Transition {
 public:
  DeleteRule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
             Reply<kernel::RuleRow> reply);
  std::string_view name() const override { return "delete_rule"; }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Result<void> decide(Context& ctx) override;
  void settle(Memory& memory) override {
    if (catalog_) memory.catalog_changed(catalog_);
    reply_(row_);
  }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  std::string ref_;
  std::optional<int64_t> if_revision_;
  Reply<kernel::RuleRow> reply_;
  kernel::RuleRow row_;
  std::shared_ptr<const Catalog> catalog_;
};

class WriteWebhook final : public Transition {
 public:
  // `remove`: the endpoint goes.
  WriteWebhook(Caller caller, WebhookWrite write, bool remove, Reply<kernel::WebhookRow> reply);
  std::string_view name() const override { return "write_webhook"; }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Result<void> decide(Context& ctx) override;
  void settle(Memory& memory) override {
    if (catalog_) memory.catalog_changed(catalog_);
    reply_(row_);
  }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  WebhookWrite write_;
  bool remove_;
  Reply<kernel::WebhookRow> reply_;
  kernel::WebhookRow row_;
  std::shared_ptr<const Catalog> catalog_;
};

class WriteToken final : public Transition {
 public:
  WriteToken(Caller caller, TokenWrite write, Reply<kernel::TokenRow> reply);
  std::string_view name() const override { return "write_token"; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  TokenWrite write_;
  Reply<kernel::TokenRow> reply_;
  kernel::TokenRow row_;
};

class DeleteToken final : public Transition {
 public:
  DeleteToken(Caller caller, TokenId id, Reply<TokenId> reply);
  std::string_view name() const override { return "delete_token"; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(id_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  TokenId id_;
  Reply<TokenId> reply_;
};

// Another set of pack releases. The rules that these packs own follow their files: new ones are
// created, changed ones get a revision, vanished ones are deleted. Whether a rule is enabled stays
// the operator's word, also when it vanishes and comes back. The rules of a pack that is not among
// them stay as they are: only UninstallPack ends them.
class LoadPacks final : public Transition {
 public:
  // `retired`: older releases that open executions are pinned to.
  LoadPacks(std::vector<std::shared_ptr<const Pack>> packs,
            std::vector<std::shared_ptr<const Pack>> retired, Reply<int> reply);
  std::string_view name() const override { return "load_packs"; }
  Result<void> decide(Context& ctx) override;
  void settle(Memory& memory) override {
    memory.catalog_changed(catalog_);
    reply_(static_cast<int>(packs_.size()));
  }
  void fail(const Error& error) override { reply_(error); }
  bool insists() const override { return true; }

 private:
  std::vector<std::shared_ptr<const Pack>> packs_;
  std::vector<std::shared_ptr<const Pack>> retired_;
  Reply<int> reply_;
  std::shared_ptr<const Catalog> catalog_;
};

}  // namespace millrace::engine
