// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/run_elsewhere.h"
#include "engine/transitions/work_order.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// While the release of a run is on its way to this server, or its worker's next session.
constexpr int64_t kPauseMs = 500;

// The owner of a shard has given a run to a worker of another server: it is durable there. Who has
// lent the slot brings the order to the worker, or says that the run never began: when the permit
// is over, or the session that it was of. Once said so, no server delivers it any more: a permit is
// of one session, and counts once.
//
// The server that the worker is at by now looks too: a session that was opened before the run was
// durable has not seen it. One that it has left says nothing, though its session may not be over.
class TakeRun final : public Transition {
 public:
  explicit TakeRun(RunGiven given) : given_(given) {}
  std::string_view name() const override { return "take_run"; }
  About about() const override { return {.tenant = given_.tenant, .subject = execution().value}; }
  Turn turn() const override { return Turn::shared(execution()); }
  void want(Wanted& wanted) const override {
    wanted.executions.push_back({given_.tenant, execution()});
    wanted.workers = true;
  }
  ExecutionId tree(const Loaded&) const override { return execution(); }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override;

 private:
  static std::unique_ptr<Decision> later(Context& ctx);
  ExecutionId execution() const { return given_.use.run.execution; }
  RunGiven given_;
};

std::unique_ptr<Decision> TakeRun::later(Context& ctx) {
  ctx.decision().lent_in_vain = 0;
  ctx.decision().again_in_ms = kPauseMs;
  return ctx.decided();
}

Decided TakeRun::decide(Context& ctx) const {
  const auto& [run, home, number] = given_.use;
  const auto* row = ctx.rows().execution(Of{given_.tenant, run.execution});
  bool waits = row && row->worker == given_.worker && row->key() == run && !is_final(row->status) &&
               !ctx.has_run(given_.worker, run);
  bool is_lender = home == given_.self;
  if (is_lender) ctx.decision().lent_in_vain = number;
  // It may go on in the session that is being opened.
  if (waits && ctx.is_opening(given_.worker)) return later(ctx);
  const auto* worker = ctx.rows().worker(given_.worker);
  bool is_here = ctx.has_session(given_.worker) && worker &&
                 (worker->home == given_.self || mutant(Mutant::LeftWorkerJudged));
  if (!waits || !(is_lender || is_here)) return ctx.decided();
  bool believed = mutant(Mutant::PermitOverBelieved);
  bool is_lent = ctx.is_lent(number) || believed;
  if (is_lender && row->status == ExecutionStatus::Running && is_lent) {
    auto order = make_order(ctx, *row);
    if (order.ok() && (ctx.begin_lent(number, run) || believed)) {
      ctx.decision().grants.emplace_back(given_.worker, *std::move(order));
      return ctx.decided();
    }
    if (!order.ok()) {
      log_warn("run.not_ready", {{"execution", run.execution}, {"error", order.error().message()}});
      return later(ctx);
    }
  }
  if (mutant(Mutant::LateRunForgotten)) return ctx.decided();
  send_loss(ctx, *row, /*unheard=*/true, "its worker's slot was not lent any more");
  return ctx.decided();
}

// A run of a worker here is canceled by who owns its shard. Behind its beginning, for its worker
// has to know it by then.
class StopRun final : public Transition {
 public:
  StopRun(WorkerId worker, const Of<RunKey>& run) : worker_(worker), run_(run) {}
  std::string_view name() const override { return "stop_run"; }
  About about() const override {
    return {.tenant = run_.tenant, .subject = run_.id.execution.value};
  }
  Turn turn() const override { return Turn::shared(run_.id.execution); }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override {
    ctx.decision().cancels.emplace_back(worker_, run_);
    return ctx.decided();
  }

 private:
  WorkerId worker_;
  Of<RunKey> run_;
};

}  // namespace

Message take_run(const RunGiven& given) { return std::make_unique<TakeRun>(given); }

Message stop_run(WorkerId worker, const Of<RunKey>& run) {
  return std::make_unique<StopRun>(worker, run);
}

}  // namespace millrace::engine
