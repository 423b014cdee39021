// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// A message of a workflow's tree to a later transition.
kernel::MessageRow message_for(Context& ctx, TenantId tenant, ExecutionId root,
                               kernel::MessageKind kind, ExecutionId subject);

// One workflow on its way through one transition: what the conductor offers becomes executions, and
// what comes of them is told to it. Lives for one call of advance.h.
class WorkflowRun {
 public:
  // `unwritten`: the row while it is not in the transition's changes yet.
  WorkflowRun(Context& ctx, Transition& t, LiveWorkflow& live,
              kernel::ExecutionRow* unwritten = nullptr);

  Result<void> run();
  Result<void> step_changed(const kernel::ExecutionRow& step, const Value& result);
  // The result, once it has ended with `unwritten`.
  const Value& result() const { return result_; }

 private:
  const kernel::ExecutionRow& row() const {
    return unwritten_ ? *unwritten_ : *ctx_.execution(t_, live_.id);
  }
  Result<void> tell(const TaskKey& key, int32_t item, conductor::Status status,
                    const Value& result = Value());
  // What ended while it was being started; reported once all of a round are told as running.
  struct Ended {
    TaskKey key;
    int32_t item = -1;
    conductor::Status status = conductor::Status::Succeeded;  // without `step`
    Value result;
    std::optional<kernel::ExecutionRow> step;
  };
  Result<void> start(const conductor::NextTask& task);
  Result<void> report(const Ended& ended);
  bool is_first_offer(const conductor::NextTask& task) const;
  Result<void> start_action(const conductor::NextTask& task, const conductor::ActionCall& call);
  StartRequest request_for(const conductor::NextTask& task, const conductor::ActionCall& call);
  bool is_pending(const TaskKey& key) const;
  const conductor::ItemList* staged_items(const TaskKey& key) const;
  Result<void> follow();
  Result<void> end();
  std::string held_tasks() const;

  Context& ctx_;
  Transition& t_;
  LiveWorkflow& live_;
  conductor::Conductor& conductor_;
  kernel::ExecutionRow* unwritten_;
  std::vector<Ended> ended_;
  Value result_;
};

}  // namespace millrace::engine
