// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/lose_run.h"

#include "base/mutants.h"
#include "engine/transitions/run_elsewhere.h"

#include <fmt/format.h>

namespace millrace::engine {

namespace {

// Nothing of this attempt has happened: the same one waits for a slot again.
void start_again(Context& ctx, const kernel::ExecutionRow& row) {
  ctx.edit(row).attempt -= 1;
  requeue(ctx, row.id);
}

}  // namespace

void lose_run(Context& ctx, const kernel::ExecutionRow& row, std::string_view why) {
  if (row.status == ExecutionStatus::Scheduled) return start_again(ctx, row);
  if (may_rerun_when_lost(row.effect_class) || mutant(Mutant::LostRunAgain)) {
    requeue(ctx, ctx.edit(row).id);
    return;
  }
  hold(ctx, row.id, FailureClass::InfraLost,
       fmt::format(
           "attempt {} was lost ({}) and its effect class {} forbids a silent re-run; an operator "
           "decides: millrace execution resolve {} retry|succeed|fail|abandon",
           row.attempt, why, to_string(row.effect_class), row.id.value));
}

void end_lease(Context& ctx, const kernel::ExecutionRow& row, bool unheard, std::string_view why) {
  if (row.status == ExecutionStatus::Canceling) {
    ctx.changes.outbox_done.push_back({row.tenant, OutboxId{row.id.value}});
    finish(ctx, row.id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
  } else if (ctx.rows().has_untaken_end(row.id) && !mutant(Mutant::UntakenEndAgain)) {
    lose_run(ctx, row, "it has ended, but how could not be taken: see quarantine");
  } else if (unheard) {
    start_again(ctx, row);
  } else {
    lose_run(ctx, row, why);
  }
}

void end_lease_anywhere(Context& ctx, const kernel::ExecutionRow& row, bool unheard,
                        std::string_view why) {
  if (is_elsewhere(ctx, row)) return send_loss(ctx, row, unheard, why);
  end_lease(ctx, row, unheard, why);
}

}  // namespace millrace::engine
