// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/waiting.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutants.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/workflow_run.h"

namespace millrace::engine {

using namespace kernel;

namespace {

bool is_waiting(const ExecutionRow& row) {
  return row.status == ExecutionStatus::Delayed || row.status == ExecutionStatus::Requested;
}

// A workflow that has begun and is paused itself has started.
bool is_held(const ExecutionRow& row) {
  return row.status == ExecutionStatus::Paused && row.started == 0;
}

bool is_unwanted(const LiveWorkflow& live, ExecutionId step) {
  auto open = live.open.find(step);
  return open == live.open.end() || goes_without_it(live, open->second.task);
}

// It has paused, or asks, since the workflow was handed over: one that is on its way into a pause
// would wait for that for ever. Of an end tell_missed knows.
bool tell_missed_pause(Context& ctx, const LiveWorkflow::Step& step, const ExecutionRow& row) {
  auto status = conductor_status(row.status);
  bool is_missed = !row.worker && conductor::kPause.has(status) && step.told != status;
  if (!is_missed || mutant(Mutant::MissedPauseNotTold)) return false;
  tell_workflow(ctx, row);
  return true;
}

void let_start(Context& ctx, const LiveWorkflow& live, ExecutionId id) {
  if (is_unwanted(live, id)) {
    return finish(ctx, id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
  }
  start_when_due(ctx, id);
  const ExecutionRow& row = *ctx.execution(id);
  if (!is_final(row.status)) tell_workflow(ctx, row);  // an end is told by itself
}

}  // namespace

bool goes_without_it(const LiveWorkflow& live, const TaskKey& task) {
  auto node = live.conductor->definition().graph().find(task.task);
  auto entry = node ? live.conductor->state().last(*node, task.route) : std::nullopt;
  if (!entry) return false;
  const auto& last = live.conductor->state().entry(*entry);
  return last.held || conductor::kCompleted.has(last.status);
}

bool is_of_no_use(Context& ctx, const ExecutionRow& step) {
  const auto* above = ctx.execution(step.parent);
  if (!above) return false;
  auto live = ctx.workflow(above->id);
  if (!live.ok()) return is_another_try(live.error());  // it ends, and with that decides again
  if (!*live) return is_final(above->status);
  auto open = (*live)->open.find(step.id);
  if (open != (*live)->open.end() && (*live)->undoes(open->second)) return false;
  return above->status == ExecutionStatus::Canceling ||
         conductor::kCompleted.has((*live)->conductor->state().status) ||
         (open != (*live)->open.end() && goes_without_it(**live, open->second.task));
}

bool is_held_back(const Context& ctx, const ExecutionRow& row) {
  if (!row.parent || mutant(Mutant::PausedStarts)) return false;
  const auto* workflow = ctx.execution(row.parent);
  return workflow && is_paused(workflow->status);
}

void hold_back(Context& ctx, ExecutionId id) {
  leave_for_now(ctx, id);
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  if (row.status == ExecutionStatus::Requested) dequeue(ctx, row);
  row.status = ExecutionStatus::Paused;
  row.started = 0;
  row.held = fmt::format("waits for its workflow: millrace execution resume {}", row.parent.value);
  note_update(ctx, row);
  tell_workflow(ctx, row);
}

Result<bool> drop_unwanted(Context& ctx, const LiveWorkflow& live) {
  std::vector<ExecutionId> unwanted;
  for (const auto& [id, step] : live.open) {
    if (!step.ended && conductor::kPause.has(step.told) && is_unwanted(live, id)) {
      if (!ctx.execution(id)) TRY(ctx.needs_steps({live.tenant, live.id}));
      unwanted.push_back(id);
    }
  }
  std::ranges::sort(unwanted);
  bool any = false;
  for (ExecutionId id : unwanted) {
    const auto* row = ctx.execution(id);
    if (!row || row->worker || !is_held(*row)) continue;
    finish(ctx, id, ExecutionStatus::Canceled, FailureClass::Canceled, Value());
    any = true;
  }
  return any;
}

Result<bool> settle_waiting(Context& ctx, const LiveWorkflow& live) {
  auto status = live.conductor->state().status;
  // One that has failed starts nothing more: what waits is canceled at its end.
  if (conductor::kCompleted.has(status)) return false;
  bool pauses = conductor::kPause.has(status);
  std::vector<ExecutionId> open;
  for (const auto& [id, step] : live.open) {
    if (step.ended) continue;
    if (!ctx.execution(id)) TRY(ctx.needs_steps({live.tenant, live.id}));
    open.push_back(id);
  }
  std::ranges::sort(open);
  bool any = false;
  for (ExecutionId id : open) {
    const auto* row = ctx.execution(id);
    if (!row || is_final(row->status)) continue;
    bool settles = !row->worker && (pauses ? is_waiting(*row) : is_held(*row));
    if (!settles) {
      if (pauses) any |= tell_missed_pause(ctx, live.open.at(id), *row);
      // That it is at work may not be durable yet, or its loss may be on its way: written, too,
      // this decision holds only with it.
      if (pauses && !mutant(Mutant::PausedOnUndurable)) ctx.edit(*row);
      continue;
    }
    if (pauses && mutant(Mutant::PausedStarts)) continue;
    any = true;
    pauses ? hold_back(ctx, id) : let_start(ctx, live, id);
  }
  return any;
}

}  // namespace millrace::engine
