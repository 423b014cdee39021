// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/request.h"
#include "engine/transitions/rule_override.h"
#include "engine/transitions/rule_rows.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// What an operator changes of a pack's rule, over its file; or the end of that.
class OverrideRule final : public Request<RuleRow> {
 public:
  OverrideRule(Caller caller, OverrideWrite write, Reply<RuleRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)) {}
  std::string_view name() const override { return "override_rule"; }
  Turn turn() const override { return catalogue_turn(); }
  // Which one it may share is known when the rule is.
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    wanted.schedules_of.push_back(caller_.tenant);
  }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> check_is_meant(const RuleOverride& present) const;
  Result<RuleSpec> after(const RuleSpec& of_file, const RuleEntry& old,
                         RuleOverride& override) const;
  OverrideWrite write_;
};

// A rule has one override: what one of another name says is neither changed nor ended by mistake.
Result<void> OverrideRule::check_is_meant(const RuleOverride& present) const {
  if (!present.is_there()) {
    if (!write_.undo) return {};
    return Error(ErrorKind::Conflict, "RUL-0111",
                 fmt::format("rule '{}' has no override to undo", write_.ref));
  }
  if (write_.name.empty() || write_.name == present.name || write_.replace) return {};
  return Error(ErrorKind::Conflict, "RUL-0111",
               fmt::format("the override of rule '{}' is called '{}', not '{}': {}", write_.ref,
                           present.name, write_.name,
                           write_.undo ? "undo that, or give no name"
                                       : "add to that, or replace it (--replace)"));
}

// Whether it is enabled stays the operator's word, unless the override had said it.
Result<RuleSpec> OverrideRule::after(const RuleSpec& of_file, const RuleEntry& old,
                                     RuleOverride& override) const {
  RuleSpec spec = of_file;
  if (write_.undo) {
    if (!override.set.find("enabled")) spec.enabled = old.spec.enabled;
    override = {};
    return spec;
  }
  bool keeps = !write_.replace || !override.set.find("enabled");
  override.set = write_.replace ? write_.set : merged(override.set, write_.set);
  if (keeps) spec.enabled = old.spec.enabled;
  return overridden(spec, override.set);
}

Decided OverrideRule::decide(Context& ctx) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  const auto* old = catalog.find_rule(write_.ref);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) return answer(ctx, row_now(old, RuleId{*earlier}, write_.ref));
  if (!old) return no_rule(catalog, write_.ref);
  TRY(check_revision(*old, write_.if_revision));
  const auto& pack = old->row.pack;
  const RuleSpec* of_file = rule_of_file(catalog, old->row);
  if (!of_file) {
    auto why = pack == kNoPack ? std::string("belongs to no pack: change it with 'rule update'")
                               : fmt::format("is of pack '{}', which is not loaded", pack);
    return Error(ErrorKind::Conflict, "RUL-0107", fmt::format("rule '{}' {}", write_.ref, why));
  }
  TRY(auto override, read_override(old->row.override_json));
  TRY(check_is_meant(override));
  if (!write_.undo) {
    TRY(check_override(write_.set));
    if (override.name.empty() || !write_.name.empty()) override.name = write_.name;
    if (override.name.empty()) override.name = "override";
    override.by = caller_.identity;
    override.at = ctx.now();
  }
  TRY(auto spec, after(*of_file, *old, override));
  TRY(check_spec(spec, catalog, ctx.expressions()));
  TRY(auto row, write_revision(ctx, caller_, spec, {pack, caller_.identity, to_json_text(override)},
                               old, write_.dry_run));
  return answer(ctx, std::move(row));
}

}  // namespace

Message command::override_rule(Caller caller, OverrideWrite write, Reply<RuleRow> reply) {
  return std::make_unique<OverrideRule>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
