// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/request.h"
#include "engine/transitions/rule_rows.h"

namespace millrace::engine {

using namespace kernel;

namespace {

class DeleteRule final : public Request<RuleRow> {
 public:
  DeleteRule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
             Reply<RuleRow> reply)
      : Request(std::move(caller), std::move(reply)),
        ref_(std::move(ref)),
        if_revision_(if_revision) {}
  std::string_view name() const override { return "delete_rule"; }
  Turn turn() const override { return catalogue_turn(); }
  void want(Wanted& wanted) const override { want_answer(wanted, caller_); }
  Decided decide(Context& ctx) const override;

 private:
  std::string ref_;
  std::optional<int64_t> if_revision_;
};

Decided DeleteRule::decide(Context& ctx) const {
  const auto& catalog = ctx.catalog(caller_.tenant);
  const auto* old = catalog.find_rule(ref_);
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) return answer(ctx, row_now(nullptr, RuleId{*earlier}, ref_));
  if (!old) return no_rule(catalog, ref_);
  TRY(check_revision(*old, if_revision_));
  if (rule_of_file(catalog, old->row)) {
    return Error(ErrorKind::Conflict, "RUL-0112",
                 fmt::format("rule '{0}' is of pack '{1}': 'rule disable {0}' switches it off for "
                             "good, 'rule override {0}' changes it",
                             ref_, old->row.pack));
  }
  bool of_pack = old->row.pack != kNoPack;
  auto gone = add_deletion(ctx, *old, std::string(of_pack ? kDeleter : kNoPack), caller_.identity);
  remember_answer(ctx, caller_, gone->row.id.value);
  put_in_force(ctx, caller_.tenant, ctx.catalogs().with_rules({gone}));
  RuleRow told = gone->row;
  told.pack = old->row.pack;
  return answer(ctx, std::move(told));
}

}  // namespace

Message command::delete_rule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
                             Reply<RuleRow> reply) {
  return std::make_unique<DeleteRule>(std::move(caller), std::move(ref), if_revision,
                                      std::move(reply));
}

}  // namespace millrace::engine
