// SPDX-License-Identifier: Apache-2.0
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/start.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// The session of a worker is over: it was not renewed in time, or the worker has left. It has ended
// its runs itself, and each is decided by its effect class. Unless it has gone to another server:
// that one knows what it runs.
class LoseWorker final : public Transition {
 public:
  LoseWorker(WorkerId worker, SessionId session, std::string_view why)
      : worker_(worker), session_(session), why_(why) {}
  std::string_view name() const override { return "lose_worker"; }
  About about() const override { return {.subject = worker_.value}; }
  Turn turn() const override {
    return mutant(Mutant::OpenAmongOthers) ? Turn::none() : Turn::alone();
  }
  void want(Wanted& wanted) const override { wanted.leased = true; }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  void ask_new_home(Context& ctx) const;
  WorkerId worker_;
  SessionId session_;
  std::string_view why_;
};

// What this server has given it since in the old session it has never heard of: take_run.cpp, by an
// entry that names no permit.
void LoseWorker::ask_new_home(Context& ctx) const {
  for (const auto* run : ctx.rows().leased()) {
    if (run->worker == worker_ && !is_final(run->status)) tell_home(ctx, *run, Permit());
  }
}

Decided LoseWorker::decide(Context& ctx) const {
  ctx.decision().session_over = session_;
  if (const auto* known = ctx.rows().worker(worker_); known && known->session) {
    if (known->session != session_) {
      ask_new_home(ctx);
      return ctx.decided();
    }
    WorkerRow row = *known;
    row.session = {};
    row.updated = ctx.now();
    row.version += 1;
    ctx.changes.workers.push_back(std::move(row));
  }
  for (const auto* run : ctx.rows().leased()) {
    if (run->worker != worker_ || is_final(run->status)) continue;
    end_lease_anywhere(ctx, *run, false, why_);
  }
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message lose_worker(WorkerId worker, SessionId session, std::string_view why) {
  return std::make_unique<LoseWorker>(worker, session, why);
}

}  // namespace millrace::engine
