// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/lose_run.h"

#include "base/mutants.h"

#include <fmt/format.h>

namespace millrace::engine {

void start_again(Context& ctx, const kernel::ExecutionRow& row) {
  ctx.edit(row).attempt -= 1;
  requeue(ctx, row.id);
}

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

}  // namespace millrace::engine
