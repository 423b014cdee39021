// SPDX-License-Identifier: Apache-2.0
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A worker has not renewed its session in time: it has ended its runs itself by now, and each is
// decided by its effect class.
class LoseWorker final : public Transition {
 public:
  explicit LoseWorker(WorkerId worker) : worker_(worker) {}
  std::string_view name() const override { return "lose_worker"; }
  About about() const override { return {.tenant = kDefaultTenant, .subject = worker_.value}; }
  Turn turn() const override {
    return mutant(Mutant::OpenAmongOthers) ? Turn::none() : Turn::alone();
  }
  void want(Wanted& wanted) const override { wanted.leased = true; }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  WorkerId worker_;
};

Decided LoseWorker::decide(Context& ctx) const {
  // It has come back before this could be decided, and said itself what it still runs.
  if (ctx.has_session(worker_) && !mutant(Mutant::LostThoughBack)) return ctx.decided();
  for (const auto* run : ctx.rows().leased()) {
    if (run->worker != worker_ || is_final(run->status)) continue;
    if (run->status == ExecutionStatus::Canceling) {
      ctx.changes.outbox_done.push_back({run->tenant, OutboxId{run->id.value}});
      finish(ctx, run->id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
    } else {
      lose_run(ctx, *run, "its worker did not renew its session");
    }
  }
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message lose_worker(WorkerId worker) { return std::make_unique<LoseWorker>(worker); }

}  // namespace millrace::engine
