// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/advance.h"
#include "engine/transitions/executions.h"

namespace millrace::engine {

using namespace kernel;

ResolveExecution::ResolveExecution(Caller caller, ExecutionId id, Resolution resolution,
                                   Reply<ExecutionRow> reply)
    : caller_(std::move(caller)), resolution_(std::move(resolution)), reply_(std::move(reply)) {
  key = id.value;
}

Result<void> ResolveExecution::decide(Context& ctx) {
  const auto* stored = ctx.rows().execution(ExecutionId{key});
  if (!stored || stored->tenant != caller_.tenant) {
    return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", key));
  }
  if (!is_final(stored->status) && ctx.workflow(*this, stored->id)) {
    return resolve_task(ctx, *stored);
  }
  if (again) return {};
  if (auto why = broken_workflows.find(stored->id);
      why != broken_workflows.end() && !is_final(stored->status)) {
    fail_workflow(ctx, *this, *stored, why->second);
    row_ = *ctx.execution(*this, stored->id);
    return {};
  }
  if (stored->status != ExecutionStatus::NeedsDecision) {
    return Error(ErrorKind::Conflict, "EXE-0012",
                 fmt::format("execution {} is {}: only one that needs_decision can be resolved",
                             key, to_string(stored->status)));
  }
  Value result = Value::map({{"resolved_by", caller_.identity}, {"comment", resolution_.comment}});
  switch (resolution_.kind) {
    case Resolution::Kind::Retry: requeue(ctx, *this, *stored); break;
    case Resolution::Kind::Succeed:
      result.set("output", resolution_.result);
      finish(ctx, *this, *stored, ExecutionStatus::Succeeded, FailureClass::None, result);
      break;
    case Resolution::Kind::Fail:
      finish(ctx, *this, *stored, ExecutionStatus::Failed, FailureClass::InfraLost, result);
      break;
    case Resolution::Kind::Abandon:
      finish(ctx, *this, *stored, ExecutionStatus::Abandoned, FailureClass::InfraLost, result);
      break;
  }
  row_ = *ctx.execution(*this, ExecutionId{key});
  return {};
}

// Of a workflow it is a task that waits for the decision.
Result<void> ResolveExecution::resolve_task(Context& ctx, const ExecutionRow& workflow) {
  TRY(resolve_held(ctx, *this, workflow, resolution_));
  row_ = *ctx.execution(*this, workflow.id);
  return {};
}

}  // namespace millrace::engine
