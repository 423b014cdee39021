// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "conductor/graph.h"
#include "conductor/status.h"

namespace millrace::conductor {

using RouteId = int;
using EntryIndex = int;    // in State::sequence()
using ContextIndex = int;  // in State::contexts()
using ContextList = std::vector<ContextIndex>;

// Contexts merge key by key where both sides are maps; anything else is replaced.
void merge_into(Value& into, const Value& from);

// By which edges a task was reached, and from which run of their source.
using Previous = std::vector<std::pair<EdgeId, EntryIndex>>;

struct RetryState {
  Value count;
  Value delay;      // seconds; null: none
  Value max_delay;  // native
  int64_t tally = 0;
};

// One run of a task.
struct Entry {
  NodeId task = 0;
  RouteId route = 0;
  Status status = Status::Null;
  ContextList in;
  std::optional<std::pair<EdgeId, ContextIndex>> out;  // of the last transition that published
  Previous prev;
  std::vector<std::pair<EdgeId, bool>> next;  // which transitions fired
  std::optional<RetryState> retry;
  bool term = false;  // the workflow ended with it
  // Native:
  bool held = false;                      // abended; waits for an operator
  std::optional<EntryIndex> compensates;  // the run that this one undoes
};

// The items of a with-items task, with how many stand in each status.
class ItemList {
 public:
  ItemList() = default;
  explicit ItemList(size_t count) : statuses_(count) { counts_[0] = count; }

  size_t size() const { return statuses_.size(); }
  bool empty() const { return statuses_.empty(); }
  Status operator[](size_t item) const { return statuses_[item]; }
  void set(size_t item, Status status);
  size_t count(StatusSet set) const;
  // The first item at or after `from` that has not run; size() when there is none. Items run in
  // their order, mostly: where the last search ended is where the next begins.
  size_t next_unset(size_t from) const;

 private:
  std::vector<Status> statuses_;
  std::array<size_t, kStatusCount> counts_{};
  mutable size_t none_unset_before_ = 0;
};

// A task that waits to be offered, or that waits for other branches until it is ready.
struct Staged {
  NodeId task = 0;
  RouteId route = 0;
  ContextList in;
  Previous prev;
  bool ready = false;
  bool completed = false;    // a with-items task that abended: kept for a rerun of its items
  bool run_on_fail = false;  // offered even though the workflow failed
  std::optional<Value> retry_delay;       // of a task that is to be retried
  std::optional<ItemList> items;          // once the task has been offered
  std::optional<size_t> items_seen;       // how many were rendered, until all were
  std::optional<EntryIndex> compensates;  // native: the run that is to be undone

  bool offered() const { return ready && !completed; }
};

// An error or a remark of the run, as people see it.
struct LogEntry {
  std::string type;  // "error", "info"
  std::string message;
  std::string task;
  std::optional<RouteId> route;
  std::string transition;
  Value result;

  bool operator==(const LogEntry&) const = default;
  Value to_value() const;
  static LogEntry from_value(const Value& value);
};

// A step of a route: the source of the edge that made it, and the edge's key.
struct RouteStep {
  NodeId source;
  int key;
  bool operator==(const RouteStep&) const = default;
};
using Route = std::vector<RouteStep>;
// Whether each step of `earlier` is a step of `later`.
bool continues(const Route& later, const Route& earlier);

// Which parts of a state differ from what was last read or taken.
struct Changes {
  bool head = false;
  size_t contexts_from = 0;  // contexts are only ever appended
  size_t errors_from = 0;    // errors from here on are new; those after errors_size() are gone
  std::vector<EntryIndex> entries;
  struct Items {
    NodeId task;
    RouteId route;
    bool cleared;               // forget all items of this task and route first
    std::vector<size_t> items;  // then write these
  };
  std::vector<Items> items;
};

// What has happened in one run of a workflow. Serialisable as one value, or in the pieces that a
// store writes by themselves: the head, contexts, entries, items and errors.
class State {
 public:
  static constexpr int kVersion = 1;

  Status status = Status::Null;
  Value parameters;  // the rendered input, a map
  Value output;      // null until it is rendered
  std::vector<Value> contexts;
  std::vector<Route> routes;
  std::vector<Staged> staged;
  std::vector<std::vector<EntryIndex>> reruns;
  std::vector<LogEntry> errors;
  // Native: the runs that succeeded and can be undone, in the order of their completion; taken
  // from the end as they are undone.
  std::vector<EntryIndex> undoable;

  const std::vector<Entry>& sequence() const { return sequence_; }
  const Entry& entry(EntryIndex index) const { return sequence_[static_cast<size_t>(index)]; }
  Entry& mutable_entry(EntryIndex index) { return sequence_[static_cast<size_t>(index)]; }
  // The last run of a task on a route.
  std::optional<EntryIndex> last(NodeId task, RouteId route) const;
  bool is_last(EntryIndex index) const;
  EntryIndex append(Entry entry);
  void set_status(EntryIndex index, Status to);
  // How many tasks stand in one of the statuses, by their last runs.
  bool any(StatusSet set) const;

  Staged* find_staged(NodeId task, RouteId route);
  const Staged* find_staged(NodeId task, RouteId route) const;
  bool any_offered() const;

 private:
  static uint64_t key(NodeId task, RouteId route);

  std::vector<Entry> sequence_;
  std::unordered_map<uint64_t, EntryIndex> last_;
  std::array<int, kStatusCount> counts_{};  // of the last runs
};

// The written form names tasks and edges, so that it outlives a re-read of the definition, not a
// change of it. Reading: CND-0011 when it is of another version, damaged, or not of this graph.
Value to_value(const State& state, const Graph& graph);
Result<State> state_from_value(const Value& value, const Graph& graph);

// The same in pieces. The head holds everything but contexts, entries, errors, and the statuses of
// items, of which it holds the number.
struct ItemStatus {
  NodeId task;
  RouteId route;
  size_t item;
  Status status;
};
struct Pieces {
  Value head;
  std::vector<Value> contexts;
  std::vector<Value> entries;
  std::vector<Value> errors;
  std::vector<ItemStatus> items;  // those that are not null
};
std::string head_to_json(const State& state, const Graph& graph);
std::string entry_to_json(const Entry& entry, const Graph& graph);
Result<State> state_from_pieces(const Pieces& pieces, const Graph& graph);

}  // namespace millrace::conductor
