// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// Steps of a paused workflow that wait, for their delay or for a slot: none of them starts before
// it is resumed. They are paused with it, so that it is paused at once when nothing is at work.

inline bool is_paused(ExecutionStatus status) {
  return status == ExecutionStatus::Pausing || status == ExecutionStatus::Paused;
}

// Whether the workflow above it is paused, or on its way there: it may not start now. The row of
// that workflow has to be loaded.
bool is_held_back(const Context& ctx, const kernel::ExecutionRow& row);
// Its workflow is canceled or has failed, or goes on without it: nothing waits for another attempt.
bool is_of_no_use(Context& ctx, const kernel::ExecutionRow& step);
// It waits for its workflow: paused, and not started. Its delay goes on meanwhile.
void hold_back(Context& ctx, ExecutionId id);
// The task of a step that is held back has ended, or is held for a decision, without it.
bool goes_without_it(const LiveWorkflow& live, const TaskKey& task);
// The workflow has been paused, or goes on: its steps that wait are held back, or may start again.
// Whether any has been touched: the workflow hears of it. Errors: Needs.
Result<bool> settle_waiting(Context& ctx, const LiveWorkflow& live);
// Steps that are held back and whose task goes without them never start: they are canceled. Whether
// there were any. Errors: Needs.
Result<bool> drop_unwanted(Context& ctx, const LiveWorkflow& live);

}  // namespace millrace::engine
