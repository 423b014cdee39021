// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/executions.h"
#include "engine/transitions/idempotency.h"

namespace millrace::engine {

StartExecution::StartExecution(Caller caller, NewExecution request,
                               Reply<kernel::ExecutionRow> reply)
    : caller_(std::move(caller)), request_(std::move(request)), reply_(std::move(reply)) {}

void StartExecution::deliver(Deliveries& out) {
  // Commits come one after the other: the end cannot have been reported yet, unless it is in
  // this very commit.
  if (request_.ended) {
    if (is_final(row_.status)) {
      request_.ended(row_);
    } else {
      out.watch(request_.watch, row_.id, std::move(request_.ended));
    }
  }
  reply_(row_);
}

void StartExecution::want(Wanted& wanted) const {
  // After a taken Idempotency-Key the answer is the first request's execution.
  wanted.executions_of_keys |= !taken_keys.empty();
}

Result<void> StartExecution::decide(Context& ctx) {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    const auto* row = ctx.rows().execution(ExecutionId{*earlier});
    row_ = row ? *row : kernel::ExecutionRow{};
    row_.id = ExecutionId{*earlier};
    return {};
  }
  StartRequest request;
  request.tenant = caller_.tenant;
  request.action = request_.action;
  request.parameters = request_.parameters;
  request.env = request_.env;
  request.priority = request_.priority;
  request.timeout_ms = request_.timeout_ms;
  request.identity = caller_.identity;
  request.trace = caller_.trace;
  TRY(auto started, start_execution(ctx, *this, request));
  if (again) return {};
  remember_answer(ctx, *this, caller_, started.id.value);
  row_ = *ctx.execution(*this, started.id);
  return {};
}

}  // namespace millrace::engine
