// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/commands.h"
#include "engine/transitions/start.h"

namespace millrace::engine {

// A request of the API or of the command line.
class StartExecution final : public Transition {
 public:
  StartExecution(Caller caller, NewExecution request, Reply<kernel::ExecutionRow> reply);
  std::string_view name() const override { return "start_execution"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override;
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  NewExecution request_;
  Reply<kernel::ExecutionRow> reply_;
  kernel::ExecutionRow row_;
};

// Starts what waits, when slots are free.
class DispatchQueue final : public Transition {
 public:
  std::string_view name() const override { return "dispatch_queue"; }
  void want(Wanted& wanted) const override { wanted.queue_heads = 1; }
  Result<void> decide(Context& ctx) override {
    start_waiting(ctx, *this);
    return {};
  }
};

// How a run ended, as its worker tells it.
class FinishRun final : public Transition {
 public:
  // `stdout_bytes`: the whole of stdout when the action's output is parsed from it and it lies in
  // a file; else empty.
  FinishRun(kernel::Completion completion, std::string stdout_bytes, std::function<void()> done);
  std::string_view name() const override { return "finish_run"; }
  void want(Wanted& wanted) const override;
  ExecutionId about(const Loaded&) const override { return completion_.key.execution; }
  ExecutionId holds_up() const override { return completion_.key.execution; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { done_(); }
  void fail(const Error&) override { done_(); }
  bool insists() const override { return true; }

 private:
  void write_outputs();
  Value result(Context& ctx, const kernel::ExecutionRow& row) const;
  kernel::Completion completion_;
  std::string stdout_bytes_;
  std::function<void()> done_;
};

// The worker builds the environment of a run first: the execution is scheduled, not started.
class PrepareRun final : public Transition {
 public:
  PrepareRun(const kernel::RunKey& run, std::string what);
  std::string_view name() const override { return "prepare_run"; }
  void want(Wanted& wanted) const override { wanted.executions.push_back(run_.execution); }
  ExecutionId about(const Loaded&) const override { return run_.execution; }
  Result<void> decide(Context& ctx) override;
  bool insists() const override { return true; }

 private:
  kernel::RunKey run_;
  std::string what_;
};

// The environment is there: `started` becomes durable again, then the run may begin (K7).
class StartPrepared final : public Transition {
 public:
  StartPrepared(const kernel::RunKey& run, std::function<void(bool)> go);
  std::string_view name() const override { return "start_prepared"; }
  void want(Wanted& wanted) const override { wanted.executions.push_back(run_.execution); }
  ExecutionId about(const Loaded&) const override { return run_.execution; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { go_(may_start_); }
  void fail(const Error&) override { go_(false); }
  bool insists() const override { return true; }

 private:
  kernel::RunKey run_;
  std::function<void(bool)> go_;
  bool may_start_ = false;
};

// Cancels an execution and everything below it. What runs is told to end; the final status comes
// with its completion.
class CancelExecution final : public Transition {
 public:
  CancelExecution(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
  // What is left open below an execution that has ended.
  explicit CancelExecution(const kernel::MessageRow& message);
  std::string_view name() const override { return "cancel_execution"; }
  void want(Wanted& wanted) const override;
  ExecutionId about(const Loaded&) const override { return ExecutionId{key}; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries& out) override;
  void fail(const Error& error) override {
    if (reply_) reply_(error);
  }
  bool insists() const override { return !reply_; }

 private:
  Result<void> cancel_tree(Context& ctx, ExecutionId id);
  Result<void> cancel_workflow(Context& ctx, const kernel::ExecutionRow& row);
  void cancel_run(Context& ctx, const kernel::ExecutionRow& row);
  Caller caller_;
  Reply<kernel::ExecutionRow> reply_;
  kernel::Of<MessageId> message_;
  kernel::ExecutionRow row_;
  std::vector<std::pair<WorkerId, kernel::RunKey>> to_end_;
};

// A person's answer to `needs_decision`.
class ResolveExecution final : public Transition {
 public:
  ResolveExecution(Caller caller, ExecutionId id, Resolution resolution,
                   Reply<kernel::ExecutionRow> reply);
  std::string_view name() const override { return "resolve_execution"; }
  void want(Wanted& wanted) const override { wanted.lineages.push_back(ExecutionId{key}); }
  ExecutionId about(const Loaded&) const override { return ExecutionId{key}; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Result<void> resolve_task(Context& ctx, const kernel::ExecutionRow& workflow);
  Caller caller_;
  Resolution resolution_;
  Reply<kernel::ExecutionRow> reply_;
  kernel::ExecutionRow row_;
};

// A worker opens its session: what it still runs stays, what it has lost is decided by its effect
// class, what it never started is started again.
class OpenWorker final : public Transition {
 public:
  OpenWorker(kernel::WorkerHello hello, std::function<void(Result<kernel::Session>)> opened);
  std::string_view name() const override { return "open_worker"; }
  void want(Wanted& wanted) const override { wanted.leased = true; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries& out) override;
  void settle(Memory& memory) override { memory.worker_opened(row_, busy_); }
  void fail(const Error& error) override { opened_(error); }
  bool insists() const override { return true; }

 private:
  kernel::WorkerHello hello_;
  std::function<void(Result<kernel::Session>)> opened_;
  kernel::Session session_;
  kernel::WorkerRow row_;
  int busy_ = 0;
  std::vector<kernel::RunKey> to_end_;
};

// A server that drains starts nothing any more: what is waiting stays in the queue.
class StopGranting final : public Transition {
 public:
  std::string_view name() const override { return "stop_granting"; }
  Result<void> decide(Context&) override { return {}; }
  void settle(Memory& memory) override { memory.granting_stopped(); }
};

// The run of `row` is lost: re-run it if its effects allow that, else ask a person.
void lose_run(Context& ctx, Transition& t, const kernel::ExecutionRow& row, std::string_view why);

}  // namespace millrace::engine
