// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "conductor/conductor.h"
#include "engine/machine/keys.h"
#include "kernel/rows.h"
#include "store/read.h"

namespace millrace::engine {

// A task on a route: how expressions and the store name a step of a workflow.
struct TaskKey {
  std::string task;
  int32_t route = 0;
  auto operator<=>(const TaskKey&) const = default;
};

// What has to be loaded before a decision can be made: a key, or of a workflow the runs of a task.
struct Need {
  Of<ExecutionId> workflow;  // 0 of a key
  std::string key;           // as expr::needed_key gives it, or kNeedsSteps
  bool operator==(const Need&) const = default;
};
// All open steps of the workflow.
inline constexpr std::string_view kNeedsSteps = "steps";
std::string need_of(const TaskKey& task);
std::optional<TaskKey> task_of_need(std::string_view key);

// What task() tells of a task on a route. Most of it nobody ever asks for: it is made a value then.
class TaskInfo {
 public:
  TaskInfo() = default;  // none
  // `step`: the execution that ran it last, or nullptr; `status`, a literal, is said without one.
  TaskInfo(ExecutionId workflow, const kernel::ExecutionRow* step, Value result,
           std::string_view status = "running");
  bool is_none() const { return !workflow_; }
  const Value& value(const TaskKey& key) const;
  void set_result(Value result) { result_ = std::move(result); }

 private:
  ExecutionId workflow_;
  ExecutionId step_;
  std::string_view status_;
  int64_t started_ = 0;
  int64_t ended_ = 0;
  Value result_;
  mutable Value value_;
};

// What came of a task, as task() shows it, and of its items, in their order.
struct TaskRuns {
  TaskInfo info;
  std::vector<Value> items;
  std::vector<std::string_view> statuses = {};  // of the items, when they come from the store
};

// What task() and st2kv() know in one workflow. What is not in memory has to be loaded.
class TaskResults final : public expr::Lookup {
 public:
  expr::Answer kv(std::string_view key, bool decrypt) const override {
    return keys_ ? keys_->kv(key, decrypt) : expr::Answer::absent();
  }
  expr::Answer task(std::optional<std::string_view> id,
                    std::optional<int64_t> route) const override;

  // Whether task() shows each item as {status, result}, which StackStorm does.
  void tells_items(bool with_status) { items_have_status_ = with_status; }
  // What it shows of the items of a task.
  Value shown(const ValueList& items, const std::vector<std::string_view>& statuses) const;
  // The task has run, but what came of it is only in the store.
  void note_stored(const TaskKey& key) { tasks_.try_emplace(key); }
  void started(const TaskKey& key, TaskInfo info, size_t items);
  // `item` -1: of the task itself.
  void ended(const TaskKey& key, TaskInfo info, int32_t item, const Value& result);
  void loaded(const TaskKey& key, TaskRuns runs);
  // The keys as the decision in hand sees them.
  void read_keys(KeyLookup keys) { keys_ = std::move(keys); }
  // The results of all items, or nothing when some are only in the store.
  std::optional<Value> all_items(const TaskKey& key) const;

 private:
  struct Known {
    std::optional<TaskRuns> runs;
    bool items_complete = false;
  };
  std::map<TaskKey, Known> tasks_;
  bool items_have_status_ = false;
  std::optional<KeyLookup> keys_;
};

// A workflow that runs, in the partition's memory: its conductor, and who works for it.
struct LiveWorkflow {
  // What one may come to, in memory and in the store: a loop that runs for a year must not become
  // a state that no decision can carry (the limits of Temporal's histories).
  static constexpr size_t kMostEntries = 50'000;
  static constexpr int64_t kMostBytes = 64 << 20;

  // How a step stands, as the conductor was told.
  struct Step {
    TaskKey task;
    int32_t item = -1;
    conductor::Status told = conductor::Status::Null;
    bool ended = false;  // its execution is final, but the conductor has not been told yet
  };

  ExecutionId id;
  ExecutionId root;
  TenantId tenant;
  KeyReader reader;
  // Whose stored runs are its own: of a rerun that is being decided those of the original.
  Of<ExecutionId> runs_of;
  int beginning = -1;  // its place among those that begin in the decision in hand; -1: it has begun
  int depth = 0;       // 0: not a step of another workflow
  int64_t version = 0;  // as stored, or as the decision in hand will store it; 0: new
  std::unique_ptr<TaskResults> results = std::make_unique<TaskResults>();
  std::optional<conductor::Conductor> conductor;
  std::unordered_map<ExecutionId, Step> open;  // whose end the conductor waits for
  bool over = false;
  int64_t state_bytes = 0;   // as stored
  int64_t result_bytes = 0;  // of the results that are in memory
  int64_t bytes() const { return state_bytes + result_bytes; }

  // Without a conductor.
  static std::unique_ptr<LiveWorkflow> of(const kernel::ExecutionRow& row);
  static Result<std::unique_ptr<LiveWorkflow>> restore(const store::StoredWorkflow& stored,
                                                       std::span<const kernel::WorkflowRunRow> runs,
                                                       std::span<const kernel::WorkflowRunRow> open,
                                                       const kernel::ExecutionRow& row,
                                                       conductor::DefinitionPtr definition,
                                                       conductor::Environment environment);
  // Whether a step undoes another one.
  bool undoes(const Step& step) const;
  // Why it may not grow any more; empty: it may.
  std::string too_large() const;
  // A step of the decision in hand.
  void add_run(const TaskKey& key, int32_t item, ExecutionId execution) {
    made_[{key, item}] = execution;
  }
  // What has changed since the last call, as rows.
  void take_changes(kernel::Changes& into);

 private:
  void take_runs(const conductor::Changes& changed, kernel::Changes& into);
  void weigh_piece(kernel::PieceKind kind, size_t position, size_t bytes);
  std::map<std::pair<TaskKey, int32_t>, ExecutionId> made_;
  size_t errors_stored_ = 0;
  std::array<std::vector<int64_t>, 3> piece_bytes_;  // by kernel::PieceKind
};

// The workflows in memory, the least recently used leave. Belongs to one partition.
class LiveWorkflows {
 public:
  static constexpr size_t kMost = 4096;
  static constexpr int64_t kMostBytes = 256 << 20;  // of all together
  explicit LiveWorkflows(size_t most = kMost, int64_t most_bytes = kMostBytes)
      : most_(most), most_bytes_(most_bytes) {}
  LiveWorkflow* find(ExecutionId id);
  bool has(ExecutionId id) const { return entries_.contains(id); }
  LiveWorkflow& add(std::unique_ptr<LiveWorkflow> workflow);
  // Its size has changed.
  void weigh(ExecutionId id);
  void drop(ExecutionId id);
  // All of them. Returns who they were.
  std::vector<ExecutionId> drop_all();
  size_t size() const { return entries_.size(); }
  // Drops what is more than fits. Not while a decision holds a LiveWorkflow.
  void trim();

 private:
  struct Entry {
    std::unique_ptr<LiveWorkflow> workflow;
    std::list<ExecutionId>::iterator place;
    int64_t bytes = 0;
  };
  size_t most_;
  int64_t most_bytes_;
  int64_t bytes_ = 0;
  std::list<ExecutionId> used_;  // the newest first
  std::unordered_map<ExecutionId, Entry> entries_;
};

}  // namespace millrace::engine
