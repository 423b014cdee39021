// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/operate.h"
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A person's answer to `needs_decision`.
class ResolveExecution final : public Request<ExecutionRow> {
 public:
  ResolveExecution(Caller caller, ExecutionId id, Resolution resolution, Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)), id_(id), resolution_(std::move(resolution)) {}
  std::string_view name() const override { return "resolve_execution"; }
  About about() const override { return {.tenant = caller_.tenant, .subject = id_.value}; }
  Turn turn() const override { return Turn::shared(id_); }
  void want(Wanted& wanted) const override { wanted.lineages.push_back({caller_.tenant, id_}); }
  ExecutionId tree(const Loaded&) const override { return id_; }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> resolve_workflow(Context& ctx, const ExecutionRow& row, LiveWorkflow& live) const;
  void end(Context& ctx) const;
  ExecutionId id_;
  Resolution resolution_;
};

void ResolveExecution::end(Context& ctx) const {
  Value result = Value::map({{"resolved_by", caller_.identity}, {"comment", resolution_.comment}});
  auto end = [&](ExecutionStatus status, FailureClass failure) {
    finish(ctx, id_, status, failure, result);
  };
  switch (resolution_.kind) {
    case Resolution::Kind::Retry: retry(ctx, id_); return;
    case Resolution::Kind::Succeed:
      result.set("output", resolution_.result);
      return end(ExecutionStatus::Succeeded, FailureClass::None);
    case Resolution::Kind::Fail: return end(ExecutionStatus::Failed, FailureClass::InfraLost);
    case Resolution::Kind::Abandon: return end(ExecutionStatus::Abandoned, FailureClass::InfraLost);
  }
}

// Of a workflow it is a task that waits for the decision, or the workflow itself: then it goes on
// with what has ended meanwhile, or ends, and what is open below is canceled.
Result<void> ResolveExecution::resolve_workflow(Context& ctx, const ExecutionRow& row,
                                                LiveWorkflow& live) const {
  bool handed_over = row.status == ExecutionStatus::NeedsDecision && !holds_a_task(live);
  if (!handed_over) return resolve_held(ctx, row, live, resolution_);
  if (resolution_.kind == Resolution::Kind::Retry) {
    return go_on_if_it_may(ctx, row, live);
  }
  send(ctx, row, MessageKind::CancelExecution, id_);
  ctx.moves(live);
  live.over = true;
  end(ctx);
  return {};
}

Decided ResolveExecution::decide(Context& ctx) const {
  TRY(const auto* stored, find_execution(ctx, caller_, id_));
  Result<LiveWorkflow*> live = static_cast<LiveWorkflow*>(nullptr);
  if (!is_final(stored->status)) live = ctx.workflow(id_);
  bool waits = stored->status == ExecutionStatus::NeedsDecision;
  bool no_release = !live.ok() && live.error().code() == kNoRelease;
  if (no_release && waits && resolution_.kind == Resolution::Kind::Retry) {
    return Error(ErrorKind::Conflict, "EXE-0025",
                 fmt::format("execution {}: {}: load it again, then it goes on by itself",
                             id_.value, live.error().message()));
  }
  if (no_release && waits) {
    send(ctx, *stored, MessageKind::CancelExecution, id_);
    end(ctx);
  } else if (!live.ok()) {
    TRY(cannot_go_on(ctx, id_, live.error()));
  } else if (*live) {
    TRY(resolve_workflow(ctx, *stored, **live));
  } else if (waits) {
    end(ctx);
  } else {
    return Error(ErrorKind::Conflict, "EXE-0012",
                 fmt::format("execution {} is {}: only one that needs_decision can be resolved",
                             id_.value, to_string(stored->status)));
  }
  TRY(work_off(ctx));
  return answer(ctx, *ctx.execution(id_));
}

}  // namespace

Message command::resolve(Caller caller, ExecutionId id, Resolution resolution,
                         Reply<ExecutionRow> reply) {
  return std::make_unique<ResolveExecution>(std::move(caller), id, std::move(resolution),
                                            std::move(reply));
}

}  // namespace millrace::engine
