// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A request of the API or of the command line.
class StartExecution final : public Request<ExecutionRow> {
 public:
  StartExecution(Caller caller, NewExecution request, Reply<ExecutionRow> reply)
      : Request(std::move(caller), std::move(reply)),
        request_(std::make_unique<NewExecution>(std::move(request))) {}
  std::string_view name() const override { return "start_execution"; }
  void want(Wanted& wanted) const override {
    // Of a taken Idempotency-Key the answer is the first request's execution.
    wanted.executions_of_keys |= !caller_.idempotency_key.empty();
    want_run(wanted, caller_);
  }
  // While the end of the first one is being committed the answer waits: a watch that begins now
  // would miss it.
  ExecutionId tree(const Loaded& rows) const override { return first_of_key(rows, caller_); }
  ExecutionId writes(const Loaded&) const override { return {}; }  // the first one is only read
  Decided decide(Context& ctx) const override;

 private:
  std::unique_ptr<Decision> answer_and_watch(Context& ctx, ExecutionRow row) const;
  std::unique_ptr<NewExecution> request_;
};

Decided StartExecution::decide(Context& ctx) const {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    const auto* row = ctx.rows().execution(Of{caller_.tenant, ExecutionId{*earlier}});
    ExecutionRow first = row ? *row : ExecutionRow{};
    first.id = ExecutionId{*earlier};
    return answer_and_watch(ctx, std::move(first));
  }
  StartRequest request;
  request.tenant = caller_.tenant;
  request.action = request_->action;
  request.parameters = request_->parameters;
  request.env = request_->env;
  request.priority = request_->priority;
  request.timeout_ms = request_->timeout_ms;
  request.context = request_->context;
  request.chain = chain_of(ctx, caller_);
  request.identity = caller_.identity;
  request.trace = caller_.trace;
  expr::Allowance allowance;
  request.allowance = &allowance;
  auto started = start_execution(ctx, request);
  if (!started.ok()) {
    if (auto need = ctx.need(started.error())) return std::move(*need);
    return std::move(started).error();
  }
  TRY(work_off(ctx));
  remember_answer(ctx, caller_, started->value);
  return answer_and_watch(ctx, *ctx.execution(*started));
}

std::unique_ptr<Decision> StartExecution::answer_and_watch(Context& ctx, ExecutionRow row) const {
  return ctx.decided([this, row = std::move(row)](Deliveries& out) mutable {
    // Commits come one after the other: the end cannot have been reported yet, unless it is in
    // this very commit, and then the reply shows it.
    if (request_->ended && !is_final(row.status)) {
      out.watch(request_->watch, {row.tenant, row.id}, std::move(request_->ended));
    }
    reply_(std::move(row));
  });
}

}  // namespace

Message command::run(Caller caller, NewExecution request, Reply<ExecutionRow> reply) {
  return std::make_unique<StartExecution>(std::move(caller), std::move(request), std::move(reply));
}

}  // namespace millrace::engine
