// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_override.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A new revision of a rule. Of one that a pack owns it is an override: the rest follows its file as
// before.
class WriteRule final : public Request<RuleRow> {
 public:
  WriteRule(Caller caller, RuleWrite write, Reply<RuleRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)) {}
  std::string_view name() const override { return "write_rule"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    want_schedule(wanted, caller_.tenant, write_.spec);
  }
  Decided decide(Context& ctx) const override;

 private:
  Result<Written> written_by(Context& ctx, const RuleEntry* old, bool is_switched) const;
  RuleWrite write_;
};

bool only_switches(const RuleEntry& old, RuleSpec spec) {
  spec.enabled = old.spec.enabled;
  return to_json(rule_to_value(spec)) == to_json(rule_to_value(old.spec));
}

// Whose it is from now on, and what is changed of the file's.
Result<Written> WriteRule::written_by(Context& ctx, const RuleEntry* old, bool is_switched) const {
  Written out{.owner = std::string(kNoPack), .author = caller_.identity};
  if (!old || old->row.pack == kNoPack) return out;
  const RuleSpec* of_file = rule_of_file(ctx.catalog(caller_.tenant), old->row);
  if (!of_file && !is_switched) return out;  // its pack is not there: it is nobody's file any more
  out.owner = old->row.pack;
  TRY(auto override, read_override(old->row.override_json));
  if (is_switched) {
    bool was_set = override.set.find("enabled") != nullptr;
    if (was_set) override.set.set("enabled", write_.spec.enabled);
  } else {
    Value enabled = override.set["enabled"];
    override.set = difference(*of_file, write_.spec);
    if (!enabled.is_null()) override.set.set("enabled", write_.spec.enabled);
    if (override.name.empty()) override.name = "update";
    override.by = caller_.identity;
    override.at = ctx.now();
  }
  out.override_json = to_json_text(override);
  return out;
}

Decided WriteRule::decide(Context& ctx) const {
  const auto& spec = write_.spec;
  const auto& catalog = ctx.catalog(caller_.tenant);
  const auto* old = catalog.find_rule(spec.ref);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) return answer(ctx, row_now(old, RuleId{*earlier}, spec.ref));
  if (!write_.create && !old) return no_rule(catalog, spec.ref);
  if (write_.create && old) {
    return Error(
        ErrorKind::Conflict, "RUL-0104",
        fmt::format("rule '{}' exists already (revision {})", spec.ref, old->row.revision));
  }
  if (old) {
    TRY(check_revision(*old, write_.if_revision));
  }
  // One that is only switched may name what is not there any more.
  bool is_switched = old && only_switches(*old, spec);
  if (!is_switched) {
    TRY(check_spec(spec, catalog, ctx.expressions()));
  }
  TRY(auto by, written_by(ctx, old, is_switched));
  TRY(auto row, write_revision(ctx, caller_, spec, std::move(by), old, write_.dry_run));
  return answer(ctx, std::move(row));
}

}  // namespace

Message command::write_rule(Caller caller, RuleWrite write, Reply<RuleRow> reply) {
  return std::make_unique<WriteRule>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
