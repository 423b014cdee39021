// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "conductor/definition.h"
#include "conductor/state.h"
#include "expr/expr.h"

namespace millrace::conductor {

// Steps that the expressions of all workflows take together in one decision: 100 ms. What is left
// to offer when half of them are spent is for the next decision, so that one evaluation, which may
// take as much as that half, always has it.
inline constexpr uint64_t kStepsOfDecision = 2'000'000;
inline constexpr size_t kMostItems = 10'000;  // of a task, or batches of them
// Keys that the items of a task read before the next decision goes on with the others.
inline constexpr size_t kMostKeysAtOnce = 500;

// Lists and maps in each other, of a value that a workflow keeps: what is stored has some more.
inline constexpr size_t kDeepestKept = 100;

// What the conductor borrows from its caller.
struct Environment {
  expr::Engine& engine;
  // Answers st2kv() and task(). Of the task whose event is handled, task() gives what that event
  // brings.
  const expr::Lookup* outside = nullptr;
  uint64_t random_seed = 0;  // of random() and jitter; another one for each operation
  // Native: what the names `config` and `system` stand for.
  Value config;
  Value system;
  // Of the decision in hand; null: each evaluation has only its own limit.
  std::shared_ptr<expr::Allowance> allowance;
};

// One action to start. A task without an action has a null `action`: it ends at once.
struct ActionCall {
  Value action;
  Value input;
  std::optional<size_t> item;
};

// A task that may start now.
struct NextTask {
  std::string id;
  RouteId route = 0;
  std::vector<ActionCall> actions;  // of a with-items task: as many as its concurrency leaves free
  Value ctx;
  Value delay;                        // seconds before it starts; null: none
  std::optional<size_t> items_count;  // of a with-items task; 0: the caller completes the task
  Value concurrency;
  // Native:
  Value timeout;                  // seconds; when they are over, report Status::Timeout
  bool waits_for_answer = false;  // ask, report Status::Pending, then the end with the answer
  std::string compensates;        // the task that this one undoes; empty: none
};

// What became of a task's action, or of one item of it.
struct TaskEvent {
  Status status = Status::Null;
  Value result;
  std::optional<size_t> item;
  // Of an event that ends a with-items task (see needs_results): the results of all items, in
  // their order.
  Value accumulated;
};

struct RerunRequest {
  std::string task;
  RouteId route = 0;
  bool reset_items = false;  // run all items again, not only those that abended
};

// Decides what happens next in one run of a workflow: the history is in the State, an operation
// moves it on, and what changed can be taken to be written. Holds no clock and does no I/O.
//
// Errors that belong to the run (an expression that fails, a join that cannot be reached) are
// entries of State::errors and fail the workflow. An operation returns an Error for a caller's
// mistake: CND-0003 to CND-0009. EXP-0004 says that a value must be loaded first
// (expr::needed_key). After an Error the state may have moved half of the way, as it does in the
// reference: drop the conductor and make a new one from what was stored.
class Conductor {
 public:
  Conductor(DefinitionPtr definition, State state, const Environment& environment);

  // What the operations from now on may do together: those of another decision.
  void draw_on(std::shared_ptr<expr::Allowance> allowance) {
    environment_.allowance = std::move(allowance);
  }
  // {{ system.timestamp }}: of the decision in hand.
  void tell_time(std::string_view timestamp) { environment_.system.set("timestamp", timestamp); }

  // Renders input and vars and stages the start tasks. Once, on an empty state. `context` is what
  // the workflow sees besides its own variables.
  Result<void> begin(const Value& context, const Value& inputs);

  // Start, pause, resume, cancel, fail. CND-0004 when the workflow cannot take the status.
  Result<void> request_status(Status status);

  // The tasks that may start now, sorted by name and route. They stay staged until their first
  // event comes.
  Result<std::vector<NextTask>> next_tasks();
  // It has left out tasks or items, because half of the allowance was spent: the next decision is
  // to ask again.
  bool was_cut_short() const { return was_cut_short_; }

  // Returns the entry that the event belongs to.
  Result<EntryIndex> event(std::string_view task, RouteId route, const TaskEvent& event);

  // Whether this event of an item ends its task, so that it must bring the results of all items.
  bool needs_results(std::string_view task, RouteId route, const TaskEvent& event) const;

  // Native: lets a held task run again, with its retries unspent or not; of a with-items task the
  // items that abended. The other answers of an operator are events: succeeded with a result, or
  // failed. CND-0007: the task is not held.
  Result<void> retry_held(std::string_view task, RouteId route);

  // Whether nothing is left to do: the workflow completed, no task is active, nothing remains to
  // be cleaned up or undone.
  bool is_over() const;

  // Renders the output of a completed workflow, once.
  Result<void> render_output();

  // Runs the named tasks again, or those with which the workflow failed. Only when it completed.
  Result<void> rerun(const std::vector<RerunRequest>& tasks);

  // The variables at the end of the workflow: those of its last tasks, merged.
  Value terminal_context();

  const State& state() const { return state_; }
  const Definition& definition() const { return *definition_; }
  const DefinitionPtr& definition_ptr() const { return definition_; }
  Changes take_changes();

 private:
  struct Signal;
  struct Firing;
  struct Candidate;
  class TaskLookup;

  const Graph& graph() const { return definition_->graph(); }
  const Node& node(NodeId id) const { return graph().node(id); }
  bool native() const { return definition_->native(); }
  bool is_chain() const { return definition_->is_chain(); }
  // The task statuses that keep the workflow going, and those that count as paused, in its
  // language.
  StatusSet going_on() const;
  StatusSet paused() const;

  // conductor.cpp: status of workflow and tasks
  Result<void> send_to_task(EntryIndex index, std::string_view event);
  Result<void> tell_tasks(Status status);
  Result<void> send_workflow_request(Status status);
  Result<void> cancel_items();
  Result<void> send_task_status(EntryIndex index);
  std::string task_event(EntryIndex index);
  void fail_unreachable_joins();
  bool has_next(EntryIndex index, bool joins_count);
  enum class Inbound : uint8_t { Satisfied, InProgress, NotSatisfied };
  Inbound inbound(NodeId task, RouteId route);

  // native.cpp: what the native language adds
  bool is_settled(NodeId join, RouteId route);
  void settle_joins();
  Result<std::vector<std::optional<bool>>> conditions(EntryIndex index, expr::Scope& scope);
  void note_undoable(EntryIndex index);
  bool wants_hold(EntryIndex index, const std::vector<std::optional<bool>>& holding) const;
  Result<void> hold(EntryIndex index);
  void release_held();
  void plan_compensation();
  bool ended_badly() const;
  bool any_at_work() const;
  Value retry_delay(const Entry& entry);
  Value names(const Value& ctx) const;
  Result<void> add_named(const Renderable& source, expr::Scope& scope) const;

  // chain_run.cpp: what action chains have of their own
  Value chain_names(const Value& ctx) const;
  Result<void> add_chain_names(const Renderable& source, expr::Scope& scope) const;
  Result<void> render_chain_output();

  // advance.cpp: what an event of a task does
  Result<EntryIndex> advance(NodeId task, RouteId route, const Signal& signal);
  Result<void> note_item(NodeId task, RouteId route, const Signal& signal);
  Result<EntryIndex> open_entry(NodeId task, RouteId route, const Signal& signal);
  Result<EntryIndex> add_entry(NodeId task, RouteId route, ContextList in, Previous prev);
  Result<RetryState> start_retry(NodeId task, const ContextList& in);
  std::string signal_event(NodeId task, RouteId route, const Signal& signal);
  Result<void> leave_staging(EntryIndex index);
  void unstage(NodeId task, RouteId route);
  void stage_retry(EntryIndex index);
  Result<bool> wants_retry(EntryIndex index, const Value& result);

  // transitions.cpp: what follows a completed task
  Result<Firing> fire_transitions(EntryIndex index, const Value& result);
  Result<std::optional<bool>> condition(const Transition& transition, EntryIndex index, EdgeId edge,
                                        expr::Scope& scope);
  Result<void> fire(EntryIndex index, EdgeId edge, expr::Scope scope, Firing& firing);
  Result<std::optional<Value>> publish(const Transition& transition, EntryIndex index, EdgeId edge,
                                       expr::Scope& scope);
  Result<void> fail_in_transition(Error error, EntryIndex index, EdgeId edge);
  void arrive_at_settled(EntryIndex index, Firing& firing);
  void stage_target(EntryIndex index, EdgeId edge, ContextList in, Firing& firing);
  RouteId route_after(EdgeId edge, RouteId route);

  // render.cpp: contexts and expressions
  bool has_spent_half() const;
  const Value& merged(const ContextList& in);
  void compact(ContextList& in) const;
  bool all_show(const ContextList& in) const;
  expr::Scope scope(Value ctx, const TaskLookup& lookup);
  Result<Value> render(const Renderable& source, expr::Scope& scope);
  // Of what the workflow keeps: writing it costs, too.
  Result<Value> render_kept(const Renderable& source, expr::Scope& scope);
  std::optional<Value> render_or_log(const Renderable& source, expr::Scope& scope,
                                     std::optional<Error>& needs);
  Result<Renderable> input_source(const Assignment& input, const Value& inputs);
  void assign(expr::Scope& scope, const std::string& name, const Value& value) const;
  Result<NextTask> render_task(Staged& staged);
  Result<Value> render_seconds(const Renderable& source, std::string_view what, expr::Scope& scope);
  Result<void> render_items(Staged& staged, TaskLookup& lookup, expr::Scope& scope, NextTask& next);
  Result<void> render_actions(Staged& staged, const Value& list, TaskLookup& lookup,
                              expr::Scope& scope, NextTask& next);
  Result<Value> render_list(const WithItems& with, expr::Scope& scope);
  Result<ActionCall> render_item(const Task& task, const Value& element, size_t index,
                                 TaskLookup& lookup, expr::Scope& scope);

  // rerun.cpp
  Result<std::vector<Candidate>> requested_runs(const std::vector<RerunRequest>& requests);
  std::vector<Candidate> abended_ends();
  void collapse(std::vector<Candidate>& candidates);
  std::vector<EntryIndex> with_followers(NodeId task, RouteId route);
  Result<void> restart(const Candidate& candidate);
  void forget_errors(std::string_view task);

  void log_error(std::string message, std::string_view task = {}, std::optional<RouteId> route = {},
                 std::string transition = {}, Value result = {});
  Entry& changed(EntryIndex index);
  void items_cleared(const Staged& staged);
  void item_changed(const Staged& staged, size_t item);

  DefinitionPtr definition_;
  State state_;
  Environment environment_;
  uint64_t evaluations_ = 0;
  bool was_cut_short_ = false;
  struct ContextListHash {
    size_t operator()(const ContextList& list) const;
  };
  std::unordered_map<ContextList, Value, ContextListHash> merged_;
  Changes changes_;
};

}  // namespace millrace::conductor
