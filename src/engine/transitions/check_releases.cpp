// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/operate.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Which executions can go on, after the releases have changed: what waits for one that is not
// there is held, with the reason; what was held for one that is there again goes on. A share at a
// time.
class CheckReleases final : public Transition {
 public:
  explicit CheckReleases(ExecutionId after) : after_(after) {}
  std::string_view name() const override { return "check_releases"; }
  About about() const override { return {}; }
  void want(Wanted& wanted) const override { wanted.unreleased_after = after_; }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  ExecutionId after_;
};

// It waits in the queue for a release that is there, or it is a workflow that has missed news.
Result<void> let_go_on(Context& ctx, const ExecutionRow& row) {
  auto live = ctx.workflow(row.id);
  if (!live.ok()) return cannot_go_on(ctx, row.id, live.error());
  if (*live) return go_on_if_it_may(ctx, row, **live);
  start_delayed(ctx, row.id);
  return {};
}

Decided CheckReleases::decide(Context& ctx) const {
  for (ExecutionId id : ctx.rows().unreleased()) {
    const auto* row = ctx.execution(id);
    if (!row || is_final(row->status)) continue;
    bool is_there = ctx.catalog(row->tenant).has_release(row->release);
    bool is_held = row->failure == FailureClass::NoRelease;
    if (is_there == !is_held) continue;
    if (is_there) {
      TRY(let_go_on(ctx, *row));
    } else if (row->status != ExecutionStatus::Canceling) {  // that ends with its steps
      hold_for_release(ctx, row->id);
    }
  }
  TRY(work_off(ctx));
  ctx.decision().check_releases_after = ctx.rows().unreleased_after();
  return ctx.decided();
}

}  // namespace

Message check_releases(ExecutionId after) { return std::make_unique<CheckReleases>(after); }

}  // namespace millrace::engine
