// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/operate.h"
#include "engine/transitions/parameters.h"
#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Runs parts of a workflow again, as a new execution with a copy of its state; of any other
// execution the whole.
class RerunExecution final : public Request<ExecutionRow> {
 public:
  RerunExecution(Caller caller, ExecutionId id, Rerun request, Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)), original_(id), request_(std::move(request)) {}
  std::string_view name() const override { return "rerun_execution"; }
  About about() const override { return {.tenant = caller_.tenant, .subject = original_.value}; }
  void want(Wanted& wanted) const override {
    wanted.states.push_back({caller_.tenant, original_});
    want_run(wanted, caller_);
    wanted.executions_of_keys |= !caller_.idempotency_key.empty();
  }
  // Of a key that is taken the first answer's execution, which may just be ending.
  ExecutionId tree(const Loaded& rows) const override { return first_of_key(rows, caller_); }
  ExecutionId writes(const Loaded&) const override { return {}; }
  ExecutionId rests_on() const override { return original_; }
  Decided decide(Context& ctx) const override;

 private:
  Result<std::vector<conductor::RerunRequest>> requested(const store::StoredWorkflow& state) const;
  Result<ExecutionId> rerun_whole(Context& ctx, const ExecutionRow& original) const;
  Result<ExecutionId> rerun_tasks(Context& ctx, const ExecutionRow& original,
                                  const StoredState& stored) const;
  ExecutionRow copy_of(Context& ctx, const ExecutionRow& original) const;
  ExecutionId original_;
  Rerun request_;
};

// The runs of the named tasks, on every route that they took.
Result<std::vector<conductor::RerunRequest>> RerunExecution::requested(
    const store::StoredWorkflow& state) const {
  std::set<std::pair<std::string, int>> runs;
  for (const auto& text : state.entries) {
    TRY(Value entry, parse_json(text, kOwnJson));
    runs.emplace(entry.string_or("id", ""), static_cast<int>(entry.int_or("route", 0)));
  }
  std::vector<conductor::RerunRequest> requests;
  for (const auto& task : request_.tasks) {
    size_t before = requests.size();
    std::vector<std::string> known;
    for (const auto& [name, route] : runs) {
      known.push_back(name);
      if (name == task) requests.push_back({task, route, request_.reset_items});
    }
    if (requests.size() > before) continue;
    return Error(ErrorKind::Invalid, "EXE-0017",
                 fmt::format("execution {} has not run a task '{}'{}", original_.value, task,
                             did_you_mean(task, known)));
  }
  return requests;
}

Result<ExecutionId> RerunExecution::rerun_whole(Context& ctx, const ExecutionRow& original) const {
  StartRequest request;
  request.tenant = original.tenant;
  request.action = original.action;
  TRY(request.parameters, given_parameters(original));
  request.inherited_env = env_of_chain(original.env_json, chain_of(ctx, caller_));
  request.priority = original.priority;
  request.timeout_ms = original.timeout_ms;
  request.original = original.id;
  request.identity = caller_.identity;
  request.trace = caller_.trace;
  auto started = start_execution(ctx, request);
  if (started.ok()) return started;
  if (auto need = ctx.need(started.error())) return std::move(*need);
  return started;
}

ExecutionRow RerunExecution::copy_of(Context& ctx, const ExecutionRow& original) const {
  ExecutionRow row = original;
  row.id = row.root = ctx.new_root<ExecutionId>(original.tenant);
  row.status = ExecutionStatus::Running;
  row.parent = {};
  row.task.clear();
  row.task_item = -1;
  row.task_route = 0;
  row.original = original.id;
  row.enforcement = {};
  row.failure = FailureClass::None;
  row.version = 1;
  row.created = row.updated = row.started = ctx.now();
  row.ended = 0;
  row.result_json.clear();
  row.result_size = 0;
  row.held.clear();
  row.limits.clear();
  row.retries = 0;
  row.env_json = env_of_chain(std::move(row.env_json), chain_of(ctx, caller_));
  row.identity = caller_.identity;
  row.trace = caller_.trace;
  return row;
}

Result<ExecutionId> RerunExecution::rerun_tasks(Context& ctx, const ExecutionRow& original,
                                                const StoredState& stored) const {
  TRY(auto requests, requested(stored.state));
  ExecutionRow row = copy_of(ctx, original);
  ExecutionId id = row.id;
  ctx.changes.new_executions.push_back(std::move(row));
  ctx.launched.push_back(id);
  auto action = ctx.catalog(original.tenant).find_action(original.action, original.release);
  if (action) {
    TRY(Value parameters, parse_json(original.parameters_json, kOwnJson));
    TRY(let_in_now(ctx, id, *action->action, parameters));
  }
  TRY(begin_rerun(ctx, id, original, requests));
  return id;
}

Decided RerunExecution::decide(Context& ctx) const {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    const auto* row = ctx.rows().execution(Of{caller_.tenant, ExecutionId{*earlier}});
    return answer(ctx, row ? *row : ExecutionRow{});
  }
  TRY(const auto* original, find_execution(ctx, caller_, original_));
  if (!is_final(original->status)) {
    return Error(ErrorKind::Conflict, "EXE-0018",
                 fmt::format("execution {} is {}: only one that is final can be run again",
                             original_.value, to_string(original->status)));
  }
  const auto* stored = ctx.rows().workflow(original_);
  bool whole =
      !stored || (request_.tasks.empty() && original->status == ExecutionStatus::Succeeded);
  if (whole && !request_.tasks.empty()) {
    return Error(ErrorKind::Invalid, "EXE-0014",
                 fmt::format("execution {} runs action '{}', which is no workflow: it has no tasks",
                             original_.value, original->action));
  }
  TRY(ExecutionId id, whole ? rerun_whole(ctx, *original) : rerun_tasks(ctx, *original, *stored));
  TRY(work_off(ctx));
  remember_answer(ctx, caller_, id.value);
  return answer(ctx, *ctx.execution(id));
}

}  // namespace

Message command::rerun(Caller caller, ExecutionId id, Rerun request, Reply<ExecutionRow> reply) {
  return std::make_unique<RerunExecution>(std::move(caller), id, std::move(request),
                                          std::move(reply));
}

}  // namespace millrace::engine
