// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"
#include "engine/transitions/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A new revision of a rule.
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
  RuleWrite write_;
};

// On or off: the rest of a pack's rule follows its file as before.
bool only_switches(const RuleEntry& old, RuleSpec spec) {
  spec.enabled = old.spec.enabled;
  return to_json(rule_to_value(spec)) == to_json(rule_to_value(old.spec));
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
  if (old) TRY(check_revision(*old, write_.if_revision));
  // One that is only switched may name what is not there any more.
  bool is_switched = old && only_switches(*old, spec);
  auto problems = is_switched ? std::vector<Problem>()
                              : rules::check_rule(spec, catalog.names(), ctx.expressions());
  if (!problems.empty()) {
    return Error(ErrorKind::Invalid, "RUL-0105",
                 fmt::format("rule '{}': {}", spec.ref, problems.front().message))
        .with_problems(std::move(problems));
  }
  // One that has fired may be written again, with other words.
  bool same_times = old && old->schedule == schedule_name(spec);
  if (!same_times) TRY(check_is_ahead(ctx, spec));
  std::string owner = is_switched ? old->row.pack : std::string(kNoPack);
  TRY(auto entry, add_revision(ctx, caller_.tenant, spec, std::move(owner), old));
  remember_answer(ctx, caller_, entry->row.id.value);
  put_in_force(ctx, caller_.tenant, ctx.catalogs().with_rules({entry}));
  return answer(ctx, entry->row);
}

}  // namespace

Message command::write_rule(Caller caller, RuleWrite write, Reply<RuleRow> reply) {
  return std::make_unique<WriteRule>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
