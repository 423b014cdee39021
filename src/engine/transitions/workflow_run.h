// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conductor/conductor.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// One workflow in one decision: what the conductor offers becomes executions, and what comes of
// them is told to it. Lives for one item of the agenda.
//
// An error is a Need or Spoiled. What else goes wrong with the conductor is learned for the next
// decision, which ends the workflow; this one does not count.
class WorkflowRun {
 public:
  WorkflowRun(Context& ctx, LiveWorkflow& live);

  // Its first steps, or its end.
  Result<void> begin(const Value& context, const Value& inputs);
  Result<void> step_changed(const kernel::ExecutionRow& step, const Value& result);
  // Starts what may start, until nothing more does, and brings the execution's row up to date.
  Result<void> go_on();
  // What `done`, an answer of its conductor, means for the decision.
  Result<void> check(Result<void> done);

 private:
  const kernel::ExecutionRow& row() const { return *ctx_.execution(live_.id); }
  Result<void> tell(const TaskKey& key, int32_t item, conductor::Status status,
                    const Value& result = Value());
  // What ended without an execution of its own while it was being started; reported once all of a
  // round are told as running.
  struct Ended {
    TaskKey key;
    int32_t item = -1;
    conductor::Status status = conductor::Status::Succeeded;
    Value result;
  };
  Result<void> start_round();
  // Whether the next decision goes on with it, which it is told.
  bool rests();
  void go_on_after_this();
  Result<void> start(const conductor::NextTask& task);
  Result<void> report(const Ended& ended);
  bool is_first_offer(const conductor::NextTask& task) const;
  Result<void> start_action(const conductor::NextTask& task, const conductor::ActionCall& call);
  Result<StartRequest> request_for(const conductor::NextTask& task,
                                   const conductor::ActionCall& call);
  conductor::Status status_of(const TaskKey& key) const;
  const conductor::ItemList* staged_items(const TaskKey& key) const;
  // Whether steps have been held back or let go.
  Result<bool> follow();
  Result<void> end();
  std::string held_tasks() const;

  Context& ctx_;
  LiveWorkflow& live_;
  conductor::Conductor& conductor_;
  std::vector<Ended> ended_;
  bool done_for_now_ = false;
};

// How the text begins that says why a workflow is paused, when somebody has asked for it.
inline constexpr std::string_view kPausedBy = "paused by ";

// It was held, and goes on or is canceled: what has ended meanwhile is told by messages.
void tell_missed(Context& ctx, const kernel::ExecutionRow& workflow, const LiveWorkflow& live);

// The status of an execution as its workflow's conductor knows it, and back.
conductor::Status conductor_status(ExecutionStatus status);
ExecutionStatus execution_status(conductor::Status status);

}  // namespace millrace::engine
