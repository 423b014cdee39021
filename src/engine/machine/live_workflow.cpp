// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/live_workflow.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/json.h"
#include "base/time.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr std::string_view kTaskPrefix = "task:";

Result<std::vector<Value>> parse_all(const std::vector<std::string>& texts) {
  std::vector<Value> values;
  values.reserve(texts.size());
  for (const auto& text : texts) {
    TRY(auto value, parse_json(text, kOwnJson));
    values.push_back(std::move(value));
  }
  return values;
}

Result<conductor::Pieces> pieces_of(const store::StoredWorkflow& stored,
                                    std::span<const WorkflowRunRow> runs,
                                    const conductor::Graph& graph) {
  conductor::Pieces pieces;
  TRY(pieces.head, parse_json(stored.head.head_json, kOwnJson));
  TRY(pieces.contexts, parse_all(stored.contexts));
  TRY(pieces.entries, parse_all(stored.entries));
  TRY(pieces.errors, parse_all(stored.errors));
  for (const auto& run : runs) {
    auto task = graph.find(run.task);
    if (run.item < 0 || run.status == 0 || !task) continue;
    pieces.items.push_back({*task, run.route, static_cast<size_t>(run.item),
                            static_cast<conductor::Status>(run.status)});
  }
  return pieces;
}

}  // namespace

std::string need_of(const TaskKey& key) {
  return fmt::format("{}{}:{}", kTaskPrefix, key.route, key.task);
}

std::optional<TaskKey> task_of_need(std::string_view key) {
  if (!key.starts_with(kTaskPrefix)) return std::nullopt;
  key.remove_prefix(kTaskPrefix.size());
  size_t colon = key.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  TaskKey task{std::string(key.substr(colon + 1)), 0};
  std::from_chars(key.data(), key.data() + colon, task.route);
  return task;
}

TaskInfo::TaskInfo(ExecutionId workflow, const ExecutionRow* step, Value result,
                   std::string_view status)
    : workflow_(workflow),
      step_(step ? step->id : ExecutionId()),
      status_(step ? to_string(step->status) : status),
      started_(step ? step->started : 0),
      ended_(step ? step->ended : 0),
      result_(std::move(result)) {}

const Value& TaskInfo::value(const TaskKey& key) const {
  auto time = [](int64_t ms) { return ms ? Value(to_rfc3339(ms)) : Value(); };
  if (value_.is_null()) {
    value_ = Value::map({{"task_execution_id", step_ ? Value(step_.str()) : Value()},
                         {"workflow_execution_id", workflow_.str()},
                         {"task_name", key.task},
                         {"task_id", key.task},
                         {"route", key.route},
                         {"result", result_},
                         {"status", status_},
                         {"start_timestamp", time(started_)},
                         {"end_timestamp", time(ended_)}});
  }
  return value_;
}

// TaskResults

expr::Answer TaskResults::task(std::optional<std::string_view> id,
                               std::optional<int64_t> route) const {
  if (!id) return expr::Answer::absent();
  TaskKey key{std::string(*id), static_cast<int32_t>(route.value_or(0))};
  auto found = tasks_.find(key);
  if (found == tasks_.end()) return expr::Answer::absent();
  if (!found->second.runs) return expr::Answer::need(need_of(key));
  return expr::Answer::of(found->second.runs->info.value(key));
}

void TaskResults::started(const TaskKey& key, TaskInfo info, size_t items) {
  Known& known = tasks_[key];
  known.runs = TaskRuns{std::move(info), ValueList(items)};
  known.items_complete = true;
}

void TaskResults::ended(const TaskKey& key, TaskInfo info, int32_t item, const Value& result) {
  Known& known = tasks_[key];
  if (!known.runs) {
    if (item >= 0) return;  // the others are in the store: so will this one be
    known.runs.emplace();
  }
  known.runs->info = std::move(info);
  auto at = static_cast<size_t>(item);
  if (item < 0) return;
  if (at >= known.runs->items.size()) known.runs->items.resize(at + 1);
  known.runs->items[at] = result;
}

Value TaskResults::shown(const ValueList& items,
                         const std::vector<std::string_view>& statuses) const {
  Value list = Value::list();
  for (size_t i = 0; i < items.size(); ++i) {
    bool has_status = items_have_status_ && i < statuses.size();
    list.push_back(has_status ? Value::map({{"status", statuses[i]}, {"result", items[i]}})
                              : items[i]);
  }
  return Value::map({{"items", std::move(list)}});
}

void TaskResults::loaded(const TaskKey& key, TaskRuns runs) {
  Known& known = tasks_[key];
  if (known.runs) return;  // memory is ahead of the store
  if (!runs.items.empty()) runs.info.set_result(shown(runs.items, runs.statuses));
  known = {std::move(runs), true};
}

std::optional<Value> TaskResults::all_items(const TaskKey& key) const {
  auto found = tasks_.find(key);
  if (found == tasks_.end() || !found->second.items_complete) return std::nullopt;
  return Value(ValueList(found->second.runs->items));
}

// LiveWorkflow

std::unique_ptr<LiveWorkflow> LiveWorkflow::of(const ExecutionRow& row) {
  auto live = std::make_unique<LiveWorkflow>();
  live->id = row.id;
  live->root = row.root;
  live->tenant = row.tenant;
  live->runs_of = {row.tenant, row.id};
  live->reader = {row.tenant, key_user(row.identity), row.action.substr(0, row.action.find('.')),
                  row.action};
  return live;
}

Result<std::unique_ptr<LiveWorkflow>> LiveWorkflow::restore(
    const store::StoredWorkflow& stored, std::span<const WorkflowRunRow> runs,
    std::span<const WorkflowRunRow> open_runs, const ExecutionRow& row,
    conductor::DefinitionPtr definition, conductor::Environment environment) {
  auto live = of(row);
  live->version = stored.head.version;
  live->errors_stored_ = stored.errors.size();
  TRY(auto pieces, pieces_of(stored, runs, definition->graph()));
  TRY(auto state, conductor::state_from_pieces(pieces, definition->graph()));
  for (const auto& entry : state.sequence()) {
    live->results->note_stored({definition->graph().node(entry.task).name, entry.route});
  }
  auto told = [&](const WorkflowRunRow& run) {
    auto node = definition->graph().find(run.task);
    auto entry = node ? state.last(*node, run.route) : std::nullopt;
    if (run.item >= 0) return static_cast<conductor::Status>(run.status);
    // Of a task that is held for an operator the run has been told.
    if (!entry || state.entry(*entry).held) return conductor::Status::Null;
    return state.entry(*entry).status;
  };
  for (const auto& run : open_runs) {
    live->open[run.execution] = {{run.task, run.route}, run.item, told(run)};
  }
  // Those that ended while the workflow could not be told.
  for (const auto& run : runs) {
    auto status = told(run);
    if (!run.execution || live->open.contains(run.execution)) continue;
    if (status != conductor::Status::Null && !conductor::kCompleted.has(status)) {
      live->open[run.execution] = {{run.task, run.route}, run.item, status, true};
    }
  }
  auto weigh = [&](PieceKind kind, const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) live->weigh_piece(kind, i, texts[i].size());
  };
  weigh(PieceKind::Context, stored.contexts);
  weigh(PieceKind::Entry, stored.entries);
  weigh(PieceKind::Error, stored.errors);
  environment.outside = live->results.get();
  live->results->tells_items(!definition->native());
  live->conductor.emplace(std::move(definition), std::move(state), environment);
  return live;
}

// One that is written again takes the place of what was there.
void LiveWorkflow::weigh_piece(PieceKind kind, size_t position, size_t bytes) {
  auto& known = piece_bytes_.at(static_cast<size_t>(kind));
  if (known.size() <= position) known.resize(position + 1);
  int64_t before = std::exchange(known[position], static_cast<int64_t>(bytes));
  state_bytes += known[position] - before;
}

void LiveWorkflow::take_changes(Changes& into) {
  beginning = -1;
  runs_of = {tenant, id};
  conductor::Changes changed = conductor->take_changes();
  const auto& state = conductor->state();
  const auto& graph = conductor->definition().graph();
  if (++version == 1) {
    // All of it: it may be the copy of another run.
    changed.contexts_from = changed.errors_from = 0;
    changed.entries.resize(state.sequence().size());
    std::iota(changed.entries.begin(), changed.entries.end(), 0);
  }
  WorkflowRow head{.execution = id, .root = root, .tenant = tenant, .version = version};
  if (changed.head || version == 1) head.head_json = head_to_json(state, graph);
  into.workflows.push_back(std::move(head));

  auto add_piece = [&](PieceKind kind, size_t position, std::string text) {
    weigh_piece(kind, position, text.size());
    into.workflow_pieces.push_back({.workflow = id,
                                    .tenant = tenant,
                                    .kind = kind,
                                    .position = static_cast<int64_t>(position),
                                    .body_json = std::move(text),
                                    .is_new = version == 1});
  };
  for (size_t i = changed.contexts_from; i < state.contexts.size(); ++i) {
    add_piece(PieceKind::Context, i, to_json(state.contexts[i]));
  }
  for (auto entry : changed.entries) {
    add_piece(PieceKind::Entry, static_cast<size_t>(entry),
              entry_to_json(state.entry(entry), graph));
  }
  if (changed.errors_from < errors_stored_) {
    auto from = static_cast<int64_t>(changed.errors_from);
    into.workflow_pieces.push_back({id, tenant, PieceKind::Error, from, {}, true});
    for (size_t i = changed.errors_from; i < errors_stored_; ++i) {
      weigh_piece(PieceKind::Error, i, 0);
    }
  }
  for (size_t i = changed.errors_from; i < state.errors.size(); ++i) {
    add_piece(PieceKind::Error, i, to_json(state.errors[i].to_value()));
  }
  errors_stored_ = state.errors.size();
  take_runs(changed, into);
}

// Which execution runs which item, and how the items stand.
void LiveWorkflow::take_runs(const conductor::Changes& changed, Changes& into) {
  const auto& state = conductor->state();
  const auto& graph = conductor->definition().graph();
  auto status_of = [&](const TaskKey& key, int32_t item) {
    auto node = graph.find(key.task);
    const auto* staged = node && item >= 0 ? state.find_staged(*node, key.route) : nullptr;
    bool counted = staged && staged->items && static_cast<size_t>(item) < staged->items->size();
    return counted ? static_cast<int32_t>((*staged->items)[static_cast<size_t>(item)]) : 0;
  };
  auto add = [&](const TaskKey& key, int32_t item, ExecutionId execution) {
    into.workflow_runs.push_back({.workflow = id,
                                  .tenant = tenant,
                                  .task = key.task,
                                  .route = key.route,
                                  .item = item,
                                  .execution = execution,
                                  .status = status_of(key, item),
                                  .is_new = version == 1});
  };
  for (const auto& items : changed.items) {
    TaskKey key{graph.node(items.task).name, items.route};
    if (items.cleared && version > 1) {
      into.workflow_runs.push_back(
          {.workflow = id, .tenant = tenant, .task = key.task, .route = key.route, .reset = true});
    }
    for (size_t item : items.items) {
      auto number = static_cast<int32_t>(item);
      if (!made_.contains({key, number})) add(key, number, ExecutionId{});
    }
  }
  for (const auto& [run, execution] : made_) add(run.first, run.second, execution);
  made_.clear();
}

std::string LiveWorkflow::too_large() const {
  size_t entries = conductor->state().sequence().size();
  if (entries > kMostEntries) {
    return fmt::format(
        "its history has {} entries; {} are allowed: begin anew in a workflow of "
        "its own",
        entries, kMostEntries);
  }
  if (state_bytes > kMostBytes) {
    return fmt::format(
        "its state has {} MiB; {} are allowed: publish less, or store large values "
        "elsewhere",
        state_bytes >> 20, kMostBytes >> 20);
  }
  return {};
}

bool LiveWorkflow::undoes(const Step& step) const {
  auto node = conductor->definition().graph().find(step.task.task);
  auto entry = node ? conductor->state().last(*node, step.task.route) : std::nullopt;
  return entry && conductor->state().entry(*entry).compensates.has_value();
}

// LiveWorkflows

LiveWorkflow* LiveWorkflows::find(ExecutionId id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return nullptr;
  used_.splice(used_.begin(), used_, found->second.place);
  return found->second.workflow.get();
}

LiveWorkflow& LiveWorkflows::add(std::unique_ptr<LiveWorkflow> workflow) {
  ExecutionId id = workflow->id;
  drop(id);
  used_.push_front(id);
  auto [at, added] = entries_.emplace(id, Entry{std::move(workflow), used_.begin()});
  weigh(id);
  return *at->second.workflow;
}

void LiveWorkflows::weigh(ExecutionId id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  bytes_ += entry.workflow->bytes() - entry.bytes;
  entry.bytes = entry.workflow->bytes();
}

void LiveWorkflows::drop(ExecutionId id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  used_.erase(found->second.place);
  bytes_ -= found->second.bytes;
  entries_.erase(found);
}

std::vector<ExecutionId> LiveWorkflows::drop_all() {
  std::vector<ExecutionId> dropped(used_.begin(), used_.end());
  entries_.clear();
  used_.clear();
  bytes_ = 0;
  return dropped;
}

void LiveWorkflows::trim() {
  while (entries_.size() > most_ || (bytes_ > most_bytes_ && entries_.size() > 1)) {
    drop(used_.back());
  }
}

}  // namespace millrace::engine
