// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/loader.h"

#include <algorithm>

#include "base/json.h"

namespace millrace::engine {

using namespace kernel;

const ExecutionRow* Loaded::execution(ExecutionId id) const {
  auto found = executions_.find(id);
  return found == executions_.end() ? nullptr : &found->second;
}

std::vector<const ExecutionRow*> Loaded::tree(ExecutionId root) const {
  std::vector<const ExecutionRow*> rows;
  if (auto found = trees_.find(root); found != trees_.end()) {
    for (ExecutionId id : found->second) {
      if (const auto* row = execution(id)) rows.push_back(row);
    }
  }
  return rows;
}

const StoredState* Loaded::workflow(ExecutionId id) const {
  auto found = workflows_.find(id);
  return found == workflows_.end() ? nullptr : &found->second;
}

const TaskRuns* Loaded::needed(const Need& need) const {
  for (const auto& [key, runs] : needed_) {
    if (key == need) return &runs;
  }
  return nullptr;
}

const Value& Loaded::result(ExecutionId id) const {
  static const Value kNone;
  auto found = results_.find(id);
  return found == results_.end() ? kNone : found->second;
}

const InquiryRow* Loaded::inquiry(InquiryId id) const {
  auto found = inquiries_.find(id);
  return found == inquiries_.end() ? nullptr : &found->second;
}

const TimerRow* Loaded::timer(TimerId id) const {
  auto found = timers_.find(id);
  return found == timers_.end() ? nullptr : &found->second;
}

const EventRow* Loaded::event(EventId id) const {
  auto found = events_.find(id);
  return found == events_.end() ? nullptr : &found->second;
}

std::vector<const ExecutionRow*> Loaded::leased() const {
  std::vector<const ExecutionRow*> rows;
  for (ExecutionId id : leased_) rows.push_back(execution(id));
  return rows;
}

const WorkerRow* Loaded::worker(std::string_view name) const {
  for (const auto& row : workers_) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const std::string* Loaded::key(const DedupeRow& row) const {
  auto found = keys_.find({row.tenant, row.scope, row.key});
  return found == keys_.end() ? nullptr : &found->second;
}

namespace {

// One candidate of each tenant in turn, so that a tenant with a long queue cannot starve another.
Result<std::deque<ExecutionId>> take_turns(sql::Connection& db,
                                           std::span<const store::QueueDepth> queued, int limit) {
  std::vector<std::vector<QueueRow>> heads;
  for (const auto& depth : queued) {
    if (depth.waiting <= 0) continue;
    TRY(auto head, store::queue_head(db, ShardSet::all(), depth.tenant, limit));
    heads.push_back(std::move(head));
  }
  std::deque<ExecutionId> order;
  for (size_t round = 0; order.size() < static_cast<size_t>(limit); ++round) {
    bool any = false;
    for (const auto& head : heads) {
      if (round >= head.size()) continue;
      order.push_back(head[round].execution);
      any = true;
    }
    if (!any) break;
  }
  return order;
}

}  // namespace

namespace {

constexpr int kMostLeftBehind = 1000;
constexpr ExecutionStatus kLeasedStatuses[] = {ExecutionStatus::Scheduled, ExecutionStatus::Running,
                                               ExecutionStatus::Canceling};

}  // namespace

Result<void> Loader::load(sql::Connection& db, const Wanted& wanted,
                          std::span<const store::QueueDepth> queued, const LiveWorkflows& live,
                          Loaded& into) {
  // One snapshot for the whole batch.
  TRY(auto* begin, db.prepare("BEGIN"));
  TRY(auto* end, db.prepare("COMMIT"));
  TRY(begin->execute());
  auto done = load_executions(db, wanted, queued, into);
  if (done.ok()) done = load_workflows(db, wanted, live, into);
  if (done.ok()) done = load_key_values(db, wanted, into);
  if (done.ok()) done = load_rest(db, wanted, into);
  TRY(end->execute());
  return done;
}

Result<void> Loader::load_executions(sql::Connection& db, const Wanted& wanted,
                                     std::span<const store::QueueDepth> queued, Loaded& into) {
  for (ExecutionId id : wanted.executions) TRY(load_one(db, id, into));
  for (auto [tenant, id] : wanted.timers) {
    TRY(auto row, store::load_timer(db, tenant, id));
    if (!row) continue;
    into.timers_.emplace(id, std::move(*row));
  }
  for (ExecutionId root : wanted.trees) {
    const auto* row = into.execution(root);
    if (!row) continue;
    TRY(auto below, store::open_descendants(db, row->tenant, root));
    auto& ids = into.trees_[root];
    for (auto& descendant : below) {
      ids.push_back(descendant.id);
      into.executions_.try_emplace(descendant.id, std::move(descendant));
    }
  }
  if (wanted.leased) {
    TRY(auto rows, store::executions_in(db, ShardSet::all(), kLeasedStatuses));
    for (auto& row : rows) {
      if (!row.worker) continue;
      into.leased_.push_back(row.id);
      into.executions_.try_emplace(row.id, std::move(row));
    }
  }
  if (wanted.queue_heads > 0 && !queued.empty()) {
    TRY(into.queue_, take_turns(db, queued, wanted.queue_heads));
    for (ExecutionId id : into.queue_) TRY(load_one(db, id, into));
  }
  return {};
}

namespace {

// Messages do not yet say whose execution they are about.
Result<std::optional<ExecutionRow>> find_anywhere(sql::Connection& db, ExecutionId id) {
  TRY(auto tenant, store::tenant_of_execution(db, id));
  if (!tenant) return std::optional<ExecutionRow>();
  return store::find_execution(db, *tenant, id);
}

}  // namespace

Result<void> Loader::load_one(sql::Connection& db, ExecutionId id, Loaded& into) {
  if (into.executions_.contains(id)) return {};
  TRY(auto row, find_anywhere(db, id));
  if (row) into.executions_.emplace(id, std::move(*row));
  return {};
}

Result<void> Loader::load_lineage(sql::Connection& db, ExecutionId id, const LiveWorkflows& live,
                                  Loaded& into) {
  for (ExecutionId at = id; at;) {
    TRY(load_one(db, at, into));
    const auto* row = into.execution(at);
    if (!row) break;
    bool may_be_workflow = !row->worker && !is_final(row->status);
    if (may_be_workflow && !live.has(at)) TRY(load_state(db, at, into));
    at = row->parent;
  }
  return {};
}

Result<void> Loader::load_state(sql::Connection& db, ExecutionId id, Loaded& into) {
  if (into.workflows_.contains(id)) return {};
  TRY(auto tenant, store::tenant_of_execution(db, id));
  if (!tenant) return {};
  TRY(auto stored, store::load_workflow(db, *tenant, id));
  if (!stored) return {};
  StoredState state{std::move(*stored), {}, {}};
  TRY(state.runs, store::workflow_runs(db, *tenant, id, false));
  TRY(state.open, store::workflow_runs(db, *tenant, id, true));
  into.workflows_.emplace(id, std::move(state));
  return {};
}

namespace {

// What an execution has ended with; null: nothing, or not yet.
Result<Value> load_result(sql::Connection& db, const ExecutionRow& row) {
  std::string text = row.result_json;
  if (row.result_size > kInlineResultBytes) {
    TRY(auto blob, store::find_result_blob(db, row.tenant, row.id));
    if (blob) text = std::move(blob->bytes);
  }
  if (text.empty()) return Value();
  auto result = parse_json(text);
  // One that cannot be read must not keep the others of the batch from being loaded.
  return result.ok() ? std::move(*result) : Value();
}

Result<TaskRuns> load_task(sql::Connection& db, ExecutionId workflow, const TaskKey& key) {
  TaskRuns loaded;
  TRY(auto tenant, store::tenant_of_execution(db, workflow));
  if (!tenant) return loaded;
  TRY(auto runs, store::task_runs(db, *tenant, workflow, key.task, key.route));
  ExecutionRow last;
  for (const auto& run : runs) {
    TRY(auto row, store::find_execution(db, *tenant, run.execution));
    Value result;
    if (row) {
      TRY(result, load_result(db, *row));
      last = std::move(*row);
    }
    if (run.item < 0) {
      loaded.info = task_info(workflow, key, &last, std::move(result));
    } else {
      loaded.items.resize(static_cast<size_t>(run.item) + 1);
      loaded.items.back() = std::move(result);
    }
  }
  if (!loaded.items.empty()) {
    loaded.info =
        task_info(workflow, key, &last, Value::map({{"items", Value(ValueList(loaded.items))}}));
  }
  return loaded;
}

}  // namespace

Result<void> Loader::load_workflows(sql::Connection& db, const Wanted& wanted,
                                    const LiveWorkflows& live, Loaded& into) {
  for (ExecutionId id : wanted.lineages) TRY(load_lineage(db, id, live, into));
  for (const auto& [id, timer] : into.timers_) {
    if (timer.subject != 0) TRY(load_lineage(db, ExecutionId{timer.subject}, live, into));
  }
  for (ExecutionId root : wanted.trees) {
    for (const auto* row : into.tree(root)) {
      if (!row->worker && !live.has(row->id)) TRY(load_state(db, row->id, into));
    }
  }
  for (ExecutionId id : wanted.states) {
    TRY(load_one(db, id, into));
    TRY(load_state(db, id, into));
  }
  for (ExecutionId id : wanted.results) {
    TRY(load_one(db, id, into));
    const auto* row = into.execution(id);
    if (!row) continue;
    TRY(auto result, load_result(db, *row));
    into.results_[id] = std::move(result);
  }
  for (const auto& need : wanted.needs) {
    auto key = task_of_need(need.key);
    if (!key) continue;
    TRY(auto runs, load_task(db, need.workflow, *key));
    into.needed_.emplace_back(need, std::move(runs));
  }
  for (auto [tenant, id] : wanted.inquiries) {
    TRY(auto row, store::find_inquiry(db, tenant, id));
    if (row) into.inquiries_.emplace(id, std::move(*row));
  }
  return {};
}

// The value of an Idempotency-Key: a request's hash, a space, the id of what it made.
Result<void> Loader::load_named_execution(sql::Connection& db, std::string_view value,
                                          Loaded& into) {
  size_t space = value.find(' ');
  if (space == std::string_view::npos) return {};
  auto id = parse_id(value.substr(space + 1), "stored key");
  if (!id.ok()) return {};
  TRY(auto row, find_anywhere(db, ExecutionId{*id}));
  if (row) into.executions_.try_emplace(row->id, std::move(*row));
  return {};
}

Result<void> Loader::load_key_values(sql::Connection& db, const Wanted& wanted, Loaded& into) {
  auto load = [&](const KeyName& key) -> Result<void> {
    if (into.key_values_.contains(key)) return {};
    TRY(auto row, store::find_key(db, key));
    into.key_values_.emplace(key, std::move(row));
    return {};
  };
  for (const auto& key : wanted.key_values) TRY(load(key));
  for (const auto& need : wanted.needs) {
    if (auto key = key_of_need(need.key)) TRY(load(*key));
  }
  return {};
}

Result<void> Loader::load_rest(sql::Connection& db, const Wanted& wanted, Loaded& into) {
  for (auto [tenant, id] : wanted.events) {
    TRY(auto row, store::find_event(db, tenant, id));
    if (row) into.events_.emplace(id, std::move(*row));
  }
  for (const auto& key : wanted.keys) {
    TRY(auto row, store::find_dedupe(db, key.tenant, key.scope, key.key));
    if (!row) continue;
    if (wanted.executions_of_keys) TRY(load_named_execution(db, row->value, into));
    into.keys_.emplace(std::tuple(key.tenant, key.scope, key.key), std::move(row->value));
  }
  for (auto [tenant, id] : wanted.messages) {
    TRY(bool waits, store::message_waits(db, tenant, id));
    if (waits) into.messages_.insert(id);
  }
  if (wanted.schedules) {
    TRY(into.schedules_, store::named_timers(db));
  }
  if (wanted.leased) {
    TRY(into.workers_, store::all_workers(db));
  }
  for (const auto& expire : wanted.expire) {
    TRY(int64_t due, store::rows_due(db, expire));
    into.rows_due_.push_back(due);
  }
  if (wanted.sweep) {
    TRY(into.left_messages_, store::messages(db, ShardSet::all(), kMostLeftBehind));
    TRY(into.left_outbox_, store::outbox(db, ShardSet::all(), kMostLeftBehind));
    for (const auto& owed : into.left_outbox_) {
      TRY(auto row, store::find_execution(db, owed.tenant, ExecutionId{owed.subject}));
      if (row) into.executions_.try_emplace(row->id, std::move(*row));
    }
  }
  return {};
}

void Loader::apply(const Changes& changes, Loaded& rows) {
  // Of the rows that it makes nobody in the batch can know the ids, but for steps of workflows.
  for (const auto& row : changes.new_executions) {
    if (row.parent) rows.executions_.insert_or_assign(row.id, row);
  }
  for (const auto& row : changes.executions) rows.executions_.insert_or_assign(row.id, row);
  for (auto timer : changes.timers_done) rows.timers_.erase(timer.id);
  for (auto message : changes.acked) rows.messages_.erase(message.id);
}

std::optional<ExecutionId> Loader::pop_queue(Loaded& rows) {
  if (rows.queue_.empty()) return std::nullopt;
  ExecutionId id = rows.queue_.front();
  rows.queue_.pop_front();
  return id;
}

}  // namespace millrace::engine
