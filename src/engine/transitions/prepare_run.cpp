// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/run_elsewhere.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A worker builds what a run needs before it can begin, or is done with that. Until then the
// execution is `scheduled`, and its reason says what is built; `started` is durable again before
// the process starts (K7).
class PrepareRun final : public Transition {
 public:
  PrepareRun(WorkerId worker, TenantId tenant, RunKey run, std::string builds,
             std::function<void(bool)> told)
      : worker_(worker),
        tenant_(tenant),
        run_(run),
        builds_(std::move(builds)),
        told_(std::move(told)) {}
  std::string_view name() const override { return "prepare_run"; }
  About about() const override {
    return {.tenant = tenant_, .subject = run_.execution.value, .holds_up = run_.execution};
  }
  Turn turn() const override { return Turn::shared(run_.execution); }
  void want(Wanted& wanted) const override {
    wanted.executions.push_back({tenant_, run_.execution});
  }
  ExecutionId tree(const Loaded&) const override { return run_.execution; }
  Whose whose() const override { return Whose::Machine; }
  void fail(const Error&) override { told_(false); }
  Decided decide(Context& ctx) const override;

 private:
  WorkerId worker_;
  TenantId tenant_;
  RunKey run_;
  std::string builds_;              // empty: it is ready
  std::function<void(bool)> told_;  // whether it may begin, when it is ready
};

Decided PrepareRun::decide(Context& ctx) const {
  const auto* row = ctx.rows().execution(Of{tenant_, run_.execution});
  bool may_go =
      row && row->worker && row->worker == worker_ && row->key() == run_ &&
      (row->status == ExecutionStatus::Running || row->status == ExecutionStatus::Scheduled);
  if (may_go && is_elsewhere(ctx, *row)) {
    // What stands there as not begun must not begin unwritten: it starts again with its owner.
    bool is_ready = builds_.empty();
    if (is_ready && row->status == ExecutionStatus::Scheduled) {
      may_go = false;
      ctx.free_slot(row->worker, run_);
      send_loss(ctx, *row, /*unheard=*/true, "its shard has moved while it was prepared");
    }
  } else if (may_go) {
    ExecutionRow& after = ctx.edit(*row);
    after.status = builds_.empty() ? ExecutionStatus::Running : ExecutionStatus::Scheduled;
    after.started = builds_.empty() ? ctx.now() : 0;
    after.held = builds_.empty() ? std::string() : "its worker is building: " + builds_;
    note_update(ctx, after);
  }
  return ctx.decided([this, may_go](Deliveries&) { told_(may_go); });
}

}  // namespace

Message prepare_run(WorkerId worker, TenantId tenant, RunKey run, std::string builds,
                    std::function<void()> known) {
  return std::make_unique<PrepareRun>(worker, tenant, run, std::move(builds),
                                      [known = std::move(known)](bool) { known(); });
}

Message run_is_prepared(WorkerId worker, TenantId tenant, RunKey run,
                        std::function<void(bool)> go) {
  return std::make_unique<PrepareRun>(worker, tenant, run, std::string(), std::move(go));
}

}  // namespace millrace::engine
