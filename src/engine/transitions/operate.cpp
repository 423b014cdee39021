// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/operate.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/transitions/waiting.h"

namespace millrace::engine {

using namespace kernel;
using conductor::Status;

namespace {

struct HeldTask {
  std::string task;
  int32_t route = 0;
};

Result<HeldTask> find_held(const conductor::Conductor& conductor, ExecutionId id,
                           const Resolution& resolution) {
  std::vector<HeldTask> held;
  for (const auto& entry : conductor.state().sequence()) {
    if (!entry.held) continue;
    HeldTask task{conductor.definition().graph().node(entry.task).name, entry.route};
    bool meant =
        resolution.task.empty() || (task.task == resolution.task && task.route == resolution.route);
    if (meant) held.push_back(std::move(task));
  }
  if (held.size() == 1) return held[0];
  std::string what = resolution.task.empty() ? "no task" : "no task '" + resolution.task + "'";
  if (!held.empty()) what = "more than one task: name one with --task;";
  return Error(ErrorKind::Conflict, "EXE-0012",
               fmt::format("execution {} holds {} for a decision", id.value, what));
}

// Questions that were left open when the workflow ended have nobody who asks them any more.
Result<void> end_questions(conductor::Conductor& conductor) {
  std::vector<HeldTask> open;
  for (const auto& entry : conductor.state().sequence()) {
    if (entry.status != Status::Pending || entry.held) continue;
    open.push_back({conductor.definition().graph().node(entry.task).name, entry.route});
  }
  for (const auto& task : open) {
    TRY(conductor.event(task.task, task.route, {.status = Status::Canceled}));
  }
  return {};
}

}  // namespace

Result<void> ask_workflow(Context& ctx, const ExecutionRow& workflow, LiveWorkflow& live,
                          Status status) {
  Status now = live.conductor->state().status;
  bool asked_before = status == Status::Canceled
                          ? conductor::kCancel.has(now)
                          : status == Status::Paused && conductor::kPause.has(now);
  if (asked_before || conductor::kCompleted.has(now)) return {};
  WorkflowRun run(ctx, live);
  auto done = live.conductor->request_status(status);
  if (!done.ok() && done.error().kind() == ErrorKind::Conflict) return done;
  TRY(run.check(std::move(done)));
  go_on_later(ctx, workflow);
  return {};
}

Result<void> go_on_if_it_may(Context& ctx, const ExecutionRow& workflow, LiveWorkflow& live) {
  if (is_held_back(ctx, workflow)) TRY(ask_workflow(ctx, workflow, live, Status::Paused));
  go_on_later(ctx, *ctx.execution(live.id));
  return {};
}

bool holds_a_task(const LiveWorkflow& live) {
  return std::ranges::any_of(live.conductor->state().sequence(),
                             [](const auto& entry) { return entry.held; });
}

Result<void> resolve_held(Context& ctx, const ExecutionRow& workflow, LiveWorkflow& live,
                          const Resolution& resolution) {
  TRY(auto held, find_held(*live.conductor, workflow.id, resolution));
  WorkflowRun run(ctx, live);
  Result<void> done;
  if (resolution.kind == Resolution::Kind::Retry) {
    done = live.conductor->retry_held(held.task, held.route);
  } else {
    bool succeeds = resolution.kind == Resolution::Kind::Succeed;
    conductor::TaskEvent event{.status = succeeds ? Status::Succeeded : Status::Failed,
                               .result = resolution.result};
    auto told = live.conductor->event(held.task, held.route, event);
    if (!told.ok()) done = std::move(told).error();
  }
  TRY(run.check(std::move(done)));
  go_on_later(ctx, workflow);
  return {};
}

Result<void> begin_rerun(Context& ctx, ExecutionId id, const ExecutionRow& original,
                         const std::vector<conductor::RerunRequest>& tasks) {
  const ExecutionRow& row = *ctx.execution(id);
  auto gone = [&](std::string_view why) {
    return Error(ErrorKind::Conflict, "EXE-0016",
                 fmt::format("execution {}: {}", original.id.value, why));
  };
  auto action = ctx.catalog(original.tenant).find_action(original.action, original.release);
  const auto* stored = ctx.rows().workflow(original.id);
  if (!action || !action->workflow || !action->workflow->definition || !stored) {
    return gone("its workflow's state or release is gone");
  }
  const auto& broken = ctx.learned().broken_workflows;
  if (auto why = broken.find(original.id); why != broken.end()) return gone(why->second);
  auto environment = ctx.environment(*action->pack, original);
  TRY(auto copy, LiveWorkflow::restore(stored->state, stored->runs, {}, original,
                                       action->workflow->definition, environment));
  auto fresh = LiveWorkflow::of(row);
  fresh->runs_of = {original.tenant, original.id};
  auto own = ctx.environment(*action->pack, row);
  if (ctx.lacks_config()) return needs_error();
  own.outside = fresh->results.get();
  fresh->conductor.emplace(action->workflow->definition, conductor::State(copy->conductor->state()),
                           own);
  auto& live = ctx.add_workflow(std::move(fresh));
  for (const auto& run : stored->runs) {
    live.results->note_stored({run.task, run.route});
    live.add_run({run.task, run.route}, run.item, run.execution);
  }
  ctx.absorb_needs(live);
  WorkflowRun run(ctx, live);
  TRY(end_questions(*live.conductor));
  TRY(live.conductor->rerun(tasks));
  TRY(live.conductor->request_status(Status::Running));
  TRY(run.check(run.go_on()));
  bool stands_still =
      !is_final(ctx.execution(id)->status) && live.open.empty() && ctx.changes.messages.empty();
  if (!stands_still) return {};
  return Error(ErrorKind::Conflict, "EXE-0022",
               fmt::format("execution {} has no task that failed: name those that are to run again",
                           original.id.value));
}

}  // namespace millrace::engine
