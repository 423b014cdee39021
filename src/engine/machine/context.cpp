// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/context.h"

#include <algorithm>

#include "engine/machine/catalog.h"
#include "engine/machine/loader.h"

namespace millrace::engine {

void Slots::open(WorkerId worker, int slots) {
  auto since = opening_.find(worker);
  free_[worker] = slots + (since == opening_.end() ? 0 : since->second);
  if (since != opening_.end()) opening_.erase(since);
}

void Slots::close_all() { free_.clear(); }

std::optional<WorkerId> Slots::take() {
  auto best = std::max_element(free_.begin(), free_.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  if (best == free_.end() || best->second <= 0) return std::nullopt;
  --best->second;
  if (auto opening = opening_.find(best->first); opening != opening_.end()) --opening->second;
  return best->first;
}

void Slots::give_back(WorkerId worker, int count) {
  if (auto opening = opening_.find(worker); opening != opening_.end()) opening->second += count;
  auto found = free_.find(worker);
  if (found != free_.end()) found->second += count;
}

int Slots::free() const {
  int total = 0;
  for (const auto& [worker, free] : free_) total += std::max(0, free);
  return total;
}

std::optional<WorkerId> Context::take_slot(Transition& t) {
  auto worker = memory_.slots.take();
  if (worker) ++t.slots_taken[*worker];
  return worker;
}

void Context::free_slot(Transition& t, WorkerId worker) {
  memory_.slots.give_back(worker);
  --t.slots_taken[worker];
}

const kernel::ExecutionRow* Context::next_queued(Transition& t) {
  while (auto id = Loader::pop_queue(rows_)) {
    if (memory_.granting.contains(*id)) continue;
    const auto* row = rows_.execution(*id);
    if (!row || row->status != ExecutionStatus::Requested) continue;
    memory_.granting.insert(*id);
    t.dequeued.push_back(*id);
    return row;
  }
  return nullptr;
}

namespace {

template <typename Rows>
auto* find_row(Rows& rows, RowIndex& index, ExecutionId id) {
  size_t at = index.find(rows, id);
  return at == SIZE_MAX ? nullptr : &rows[at];
}

}  // namespace

size_t RowIndex::find(const std::vector<kernel::ExecutionRow>& rows, ExecutionId id) {
  if (rows.empty()) return SIZE_MAX;
  if (rows.back().id == id) return rows.size() - 1;
  for (; known_ < rows.size(); ++known_) places_[rows[known_].id] = known_;
  auto found = places_.find(id);
  return found == places_.end() ? SIZE_MAX : found->second;
}

const kernel::ExecutionRow* Context::execution(const Transition& t, ExecutionId id) const {
  if (const auto* row = find_row(t.changes.executions, t.changed_rows, id)) return row;
  if (const auto* row = rows_.execution(id)) return row;
  return find_row(t.changes.new_executions, t.made_rows, id);
}

kernel::ExecutionRow& Context::edit(Transition& t, const kernel::ExecutionRow& row) {
  if (auto* pending = find_row(t.changes.executions, t.changed_rows, row.id)) return *pending;
  if (!rows_.execution(row.id)) {
    if (auto* made = find_row(t.changes.new_executions, t.made_rows, row.id)) return *made;
  }
  auto& changed = t.changes.executions.emplace_back(row);
  changed.version += 1;
  changed.updated = now_;
  return changed;
}

LiveWorkflow* Context::workflow(Transition& t, ExecutionId id) {
  if (spoiled_.contains(id)) {
    t.again = true;
    t.counts = false;
    return nullptr;
  }
  LiveWorkflow* live = memory_.workflows.find(id);
  if (!live) {
    const auto* stored = rows_.workflow(id);
    const auto* row = rows_.execution(id);
    if (!stored || !row) return nullptr;
    auto action = catalog_.find_action(row->action, row->release);
    if (!action || !action->workflow || !action->workflow->definition) {
      t.broken_workflows[id] = "the release that it is pinned to is gone";
      return nullptr;
    }
    auto restored = LiveWorkflow::restore(stored->state, stored->runs, stored->open, *row,
                                          action->workflow->definition, environment(*action->pack));
    if (!restored.ok()) {
      t.broken_workflows[id] = restored.error().describe();
      return nullptr;
    }
    for (const auto* above = rows_.execution(row->parent); above;
         above = rows_.execution(above->parent)) {
      ++(*restored)->depth;
    }
    live = &memory_.workflows.add(std::move(*restored));
  }
  absorb_needs(t, id, *live);
  live->results->read_keys(keys(live->reader));  // of this batch
  return live;
}

void Context::absorb_needs(const Transition& t, ExecutionId of, LiveWorkflow& live) const {
  const auto& conductor = *live.conductor;
  for (const auto& need : t.needs) {
    const auto* stored = need.workflow == of ? rows_.needed(need) : nullptr;
    auto task = task_of_need(need.key);
    if (!stored || !task) continue;
    TaskRuns runs = *stored;
    if (runs.info.is_null()) {
      // It ran without an execution of its own.
      auto node = conductor.definition().graph().find(task->task);
      auto entry = node ? conductor.state().last(*node, task->route) : std::nullopt;
      auto status = entry ? conductor.state().entry(*entry).status : conductor::Status::Null;
      runs.info = task_info(live.id, *task, nullptr, Value(), conductor::to_string(status));
    }
    live.results->loaded(*task, std::move(runs));
  }
}

LiveWorkflow& Context::add_workflow(std::unique_ptr<LiveWorkflow> live) {
  live->results->read_keys(keys(live->reader));
  return memory_.workflows.add(std::move(live));
}

conductor::Environment Context::environment(const Pack& pack) {
  return {.engine = memory_.expressions,
          .random_seed = static_cast<uint64_t>(new_raw_id()),
          .config = pack.config,
          .system = Value::map()};
}

void Context::forget_workflows(Transition& t) {
  for (const auto& moved : t.workflows) {
    spoiled_.insert(moved.workflow);
    memory_.workflows.drop(moved.workflow);
  }
  t.workflows.clear();
}

bool note_need(Transition& t, const Error& error, ExecutionId workflow) {
  std::string_view key = expr::needed_key(error);
  bool is_key = key_of_need(key).has_value();
  if (!is_key && !task_of_need(key)) return false;
  Need need{is_key ? ExecutionId{} : workflow, std::string(key)};
  if (std::ranges::find(t.needs, need) == t.needs.end()) t.needs.push_back(std::move(need));
  t.again = true;
  return true;
}

}  // namespace millrace::engine
