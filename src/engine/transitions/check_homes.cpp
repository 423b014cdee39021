// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/run_elsewhere.h"
#include "engine/transitions/start.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

namespace {

// A server is gone, and with it the sessions of its workers: who owns their executions decides what
// becomes of them. By then their spawners have ended what they still ran.
//
// What the owner, or the one that died before it, has given to an agent that had gone to another
// server by then stands in no session: that server is asked whether the agent has it (take_run).
class CheckHomes final : public Transition {
 public:
  CheckHomes(std::vector<int64_t> with_runs, int64_t self)
      : with_runs_(std::move(with_runs)), self_(self) {}
  std::string_view name() const override { return "check_homes"; }
  About about() const override { return {}; }
  Turn turn() const override { return Turn::alone(); }
  void want(Wanted& wanted) const override { wanted.leased = true; }
  Whose whose() const override { return Whose::Routine; }
  Decided decide(Context& ctx) const override;

 private:
  std::vector<int64_t> with_runs_;
  int64_t self_;
};

Decided CheckHomes::decide(Context& ctx) const {
  for (const auto* run : ctx.rows().leased()) {
    const auto* worker = ctx.rows().worker(run->worker);
    bool is_open = !worker || std::ranges::find(with_runs_, worker->home) != with_runs_.end();
    if (is_final(run->status) || is_elsewhere(ctx, *run)) continue;
    if (is_open) {
      bool is_asked = worker && worker->home != self_ && !mutant(Mutant::NewHomeNotAsked);
      if (is_asked) tell_home(ctx, *run, kernel::Permit());
      continue;
    }
    ctx.decision().cancels.emplace_back(run->worker, Of{run->tenant, run->key()});
    end_lease(ctx, *run, false, "the server of its worker is gone");
  }
  TRY(work_off(ctx));
  return ctx.decided();
}

}  // namespace

Message check_homes(std::vector<int64_t> with_runs, int64_t self) {
  return std::make_unique<CheckHomes>(std::move(with_runs), self);
}

}  // namespace millrace::engine
