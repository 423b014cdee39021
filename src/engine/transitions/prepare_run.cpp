// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/executions.h"

namespace millrace::engine {

using namespace kernel;

PrepareRun::PrepareRun(const RunKey& run, std::string what) : run_(run), what_(std::move(what)) {
  key = run_.execution.value;
}

Result<void> PrepareRun::decide(Context& ctx) {
  const auto* stored = ctx.rows().execution(run_.execution);
  // A cancel may have come first; an old epoch has no say (K6).
  if (!stored || stored->key() != run_ || stored->status != ExecutionStatus::Running) return {};
  ExecutionRow row = *stored;
  row.version += 1;
  row.status = ExecutionStatus::Scheduled;
  row.started = 0;
  row.held = fmt::format("its worker is building: {}", what_);
  row.updated = ctx.now();
  note_execution(ctx, *this, row, ChangeOp::Updated);
  changes.executions.push_back(std::move(row));
  return {};
}

StartPrepared::StartPrepared(const RunKey& run, std::function<void(bool)> go)
    : run_(run), go_(std::move(go)) {
  key = run_.execution.value;
}

Result<void> StartPrepared::decide(Context& ctx) {
  may_start_ = false;
  const auto* stored = ctx.rows().execution(run_.execution);
  if (!stored || stored->key() != run_ || stored->status != ExecutionStatus::Scheduled) return {};
  ExecutionRow row = *stored;
  row.version += 1;
  row.status = ExecutionStatus::Running;
  row.started = row.updated = ctx.now();
  row.held.clear();
  note_execution(ctx, *this, row, ChangeOp::Updated);
  changes.executions.push_back(std::move(row));
  may_start_ = true;
  return {};
}

}  // namespace millrace::engine
