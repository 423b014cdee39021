// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "engine/machine/live_workflow.h"
#include "engine/machine/reply.h"
#include "kernel/changes.h"
#include "kernel/work.h"
#include "store/committer.h"

namespace millrace::engine {

class Catalog;
class Context;

// What a transition needs from the store before it can decide.
struct Wanted {
  std::vector<ExecutionId> executions;
  std::vector<ExecutionId> trees;  // the open descendants of these
  // These, all above them, and the states of the workflows among them.
  std::vector<ExecutionId> lineages;
  std::vector<ExecutionId> states;   // the stored states of these workflows, final or not
  std::vector<ExecutionId> results;  // what these ended with
  std::vector<Need> needs;
  std::vector<kernel::Of<InquiryId>> inquiries;
  std::vector<kernel::Of<TimerId>> timers;
  std::vector<kernel::Of<EventId>> events;
  std::vector<kernel::KeyName> key_values;
  std::vector<kernel::DedupeRow> keys;  // tenant, scope and key are set
  bool executions_of_keys = false;      // and the executions that these keys' values name
  std::vector<kernel::Of<MessageId>> messages;
  int queue_heads = 0;                 // how many waiting executions it could start
  bool schedules = false;              // the timers of rules
  bool leased = false;                 // every execution that a worker holds, and the workers
  bool sweep = false;                  // messages and outbox rows that were left behind
  std::vector<kernel::Expire> expire;  // how many rows each would delete
};

struct StoredState {
  store::StoredWorkflow state;
  std::vector<kernel::WorkflowRunRow> runs;
  std::vector<kernel::WorkflowRunRow> open;
};

// What load has brought for a batch. A later transition of the batch sees the rows as the
// earlier ones have left them.
class Loaded {
 public:
  const kernel::ExecutionRow* execution(ExecutionId id) const;
  std::vector<const kernel::ExecutionRow*> tree(ExecutionId root) const;
  // The stored state of a workflow that was not in memory.
  const StoredState* workflow(ExecutionId id) const;
  const TaskRuns* needed(const Need& need) const;
  const Value& result(ExecutionId id) const;  // null: none
  const kernel::InquiryRow* inquiry(InquiryId id) const;
  const kernel::TimerRow* timer(TimerId id) const;
  const std::vector<kernel::TimerRow>& schedules() const { return schedules_; }
  const kernel::EventRow* event(EventId id) const;
  // False once the message has been handled.
  bool has_message(MessageId id) const { return messages_.contains(id); }
  std::vector<const kernel::ExecutionRow*> leased() const;
  const kernel::WorkerRow* worker(std::string_view name) const;
  const std::vector<kernel::MessageRow>& left_messages() const { return left_messages_; }
  const std::vector<kernel::OutboxRow>& left_outbox() const { return left_outbox_; }
  // In the order of Wanted::expire; counted to one more than the limit.
  const std::vector<int64_t>& rows_due() const { return rows_due_; }
  // Keys that were wanted or needed.
  const KeyRows& key_values() const { return key_values_; }
  // The value under a dedupe key, when it is taken.
  const std::string* key(const kernel::DedupeRow& row) const;

 private:
  friend class Loader;
  std::unordered_map<ExecutionId, kernel::ExecutionRow> executions_;
  std::unordered_map<ExecutionId, std::vector<ExecutionId>> trees_;
  std::unordered_map<ExecutionId, StoredState> workflows_;
  std::vector<std::pair<Need, TaskRuns>> needed_;
  std::unordered_map<ExecutionId, Value> results_;
  std::unordered_map<InquiryId, kernel::InquiryRow> inquiries_;
  std::unordered_map<TimerId, kernel::TimerRow> timers_;
  std::vector<kernel::TimerRow> schedules_;
  std::unordered_map<EventId, kernel::EventRow> events_;
  KeyRows key_values_;
  std::map<std::tuple<TenantId, std::string, std::string>, std::string> keys_;
  std::unordered_set<MessageId> messages_;
  std::vector<ExecutionId> leased_;
  std::vector<kernel::WorkerRow> workers_;
  std::vector<kernel::MessageRow> left_messages_;
  std::vector<kernel::OutboxRow> left_outbox_;
  std::vector<int64_t> rows_due_;
  std::deque<ExecutionId> queue_;  // candidates in dispatch order
};

// Collects what one commit sends out, so that a batch costs one post per receiver.
class Deliveries {
 public:
  virtual ~Deliveries() = default;
  virtual void grant(WorkerId worker, kernel::WorkOrder order) = 0;
  virtual void cancel(WorkerId worker, const kernel::RunKey& key) = 0;
  // `ended` is called when the execution, which is not final, has become so.
  virtual void watch(int64_t number, ExecutionId id, Reply<kernel::ExecutionRow> ended) = 0;
};

// What changes in the executor's memory after a commit.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void timer_set(const kernel::TimerRow& timer) = 0;
  virtual void catalog_changed(std::shared_ptr<const Catalog> catalog) = 0;
  virtual void worker_opened(const kernel::WorkerRow& worker, int busy_slots) = 0;
  virtual void granting_stopped() = 0;
  virtual void sweep_again() = 0;
  // Hands over another message; it is decided in a later batch.
  virtual void follow_up(std::unique_ptr<class Transition> next) = 0;
};

// Finds the newest row of an execution among those that a decision adds, of which it may add many.
class RowIndex {
 public:
  // Its position in `rows`, to which rows are only ever added, or SIZE_MAX.
  size_t find(const std::vector<kernel::ExecutionRow>& rows, ExecutionId id);

 private:
  std::unordered_map<ExecutionId, size_t> places_;
  size_t known_ = 0;
};

// One message on its way through load, decide, write. Each kind of message is one class in
// transitions/, and its whole decision is visible there.
//
// Lives on three threads one after the other: the sender's, the executor's (load, decide,
// settle), the committer's (deliver). Never on two at once.
class Transition : public store::Step {
 public:
  // For logs, metrics and quarantine: `finish_run`.
  virtual std::string_view name() const = 0;
  // What it is about, for quarantine: an execution, an event.
  virtual int64_t subject() const { return key; }
  // The execution that nobody would ever move again if this message were lost.
  virtual ExecutionId holds_up() const { return {}; }
  virtual void want(Wanted&) const {}
  // The execution whose tree it moves, once it is known: one batch at a time moves a tree.
  virtual ExecutionId about(const Loaded&) const { return {}; }
  // Pure. Fills `changes`. May be called again, with `changes` empty, when its rows were stale or
  // a dedupe key was taken. An error refuses the message: nothing is written.
  virtual Result<void> decide(Context& ctx) = 0;
  // The changes are durable. On the committer's thread: answer whoever waits, fill `out`. Quick.
  virtual void deliver(Deliveries&) {}
  // The same on the executor's thread, after `deliver`: update the memory of the executor.
  virtual void settle(Memory&) {}
  // It was refused, or the store is away. On the executor's or the committer's thread.
  virtual void fail(const Error&) {}
  // True: the store being away is no answer; it is tried again until it is written.
  virtual bool insists() const { return false; }

  // Set by the executor: orders to hand out after the commit, slots taken (negative: given back).
  std::vector<std::pair<WorkerId, kernel::WorkOrder>> orders;
  std::map<WorkerId, int> slots_taken;
  std::vector<ExecutionId> dequeued;
  // Workflows whose state the decision has moved.
  struct Moved {
    ExecutionId workflow;
    ExecutionId root;
  };
  std::vector<Moved> workflows;
  std::vector<Need> needs;  // loaded before the next decision
  bool again = false;       // the decision does not count: make it again
  // Workflows that cannot go on, and why: the next decision ends them. Those that begin in this
  // decision are known by their place.
  std::map<ExecutionId, std::string> broken_workflows;
  std::map<int, std::string> broken_beginnings;
  int beginnings = 0;
  bool counts = true;  // false: somebody else of the batch was in the way of the decision
  // Of changes.executions and changes.new_executions.
  mutable RowIndex changed_rows;
  mutable RowIndex made_rows;
  int steps_ended = 0;  // inside the server, by this decision
  // Forgets what was decided, for another decision.
  void start_over() {
    changes = {};
    changed_rows = {};
    made_rows = {};
    again = false;
    counts = true;
    steps_ended = 0;
    beginnings = 0;
  }
  int64_t submitted_ns = 0;
  int decisions = 0;
  // Keys that turned the last write away: looked up before the next decision.
  std::vector<kernel::DedupeRow> taken_keys;
};

}  // namespace millrace::engine
