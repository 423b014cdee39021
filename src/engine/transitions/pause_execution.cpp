// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/operate.h"
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Pauses or resumes a workflow and the workflows below it.
class PauseExecution final : public Request<ExecutionRow> {
 public:
  enum class Wish : uint8_t { Pause, Resume };
  PauseExecution(Caller caller, ExecutionId id, Wish wish, Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)), id_(id), wish_(wish) {}
  std::string_view name() const override {
    return wish_ == Wish::Pause ? "pause_execution" : "resume_execution";
  }
  About about() const override { return {.tenant = caller_.tenant, .subject = id_.value}; }
  Turn turn() const override { return Turn::shared(id_); }
  void want(Wanted& wanted) const override {
    wanted.lineages.push_back({caller_.tenant, id_});
    wanted.trees.push_back({caller_.tenant, id_});
  }
  ExecutionId tree(const Loaded&) const override { return id_; }
  Decided decide(Context& ctx) const override;

 private:
  Result<void> ask(Context& ctx, ExecutionId id) const;
  ExecutionId id_;
  Wish wish_;
};

Result<void> PauseExecution::ask(Context& ctx, ExecutionId id) const {
  const auto* row = ctx.execution(id);
  if (!row || is_final(row->status) || row->worker) return {};
  auto found = ctx.workflow(id);
  if (!found.ok()) return cannot_go_on(ctx, id, found.error());
  LiveWorkflow* live = *found;
  if (!live) return {};
  std::vector<ExecutionId> below;
  for (const auto& [step, what] : live->open) below.push_back(step);
  bool pauses = conductor::kPause.has(live->conductor->state().status);
  if (wish_ == Wish::Pause) {
    TRY(ask_workflow(ctx, *row, *live, conductor::Status::Paused));
    if (conductor::kPause.has(live->conductor->state().status)) {
      ctx.edit(*ctx.execution(id)).held =
          fmt::format("{}{}: millrace execution resume {}", kPausedBy, caller_.identity, id_.value);
    }
  } else if (pauses) {
    TRY(ask_workflow(ctx, *row, *live, conductor::Status::Resuming));
  }
  for (ExecutionId step : below) TRY(ask(ctx, step));
  go_on_later(ctx, *ctx.execution(id));
  return {};
}

Decided PauseExecution::decide(Context& ctx) const {
  TRY(const auto* row, find_execution(ctx, caller_, id_));
  if (is_final(row->status)) {
    return Error(
        ErrorKind::Conflict, "EXE-0011",
        fmt::format("execution {} is final already: {}", id_.value, to_string(row->status)));
  }
  auto live = ctx.workflow(id_);
  if (live.ok() && !*live) {
    return Error(ErrorKind::Conflict, "EXE-0014",
                 fmt::format("execution {} runs action '{}', which is no workflow: only workflows "
                             "can be paused and resumed",
                             id_.value, row->action));
  }
  TRY(ask(ctx, id_));
  TRY(work_off(ctx));
  return answer(ctx, *ctx.execution(id_));
}

}  // namespace

Message command::pause(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  return std::make_unique<PauseExecution>(std::move(caller), id, PauseExecution::Wish::Pause,
                                          std::move(reply));
}

Message command::resume(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  return std::make_unique<PauseExecution>(std::move(caller), id, PauseExecution::Wish::Resume,
                                          std::move(reply));
}

}  // namespace millrace::engine
