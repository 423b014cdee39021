// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/loader.h"

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "base/mutants.h"
#include "engine/machine/catalog.h"
#include "kernel/gauges.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// How many executions of one kind a sweep looks at.
constexpr size_t kMostUnreleased = 500;
constexpr int kMostSchedules = 200;
constexpr ExecutionStatus kLeasedStatuses[] = {ExecutionStatus::Scheduled, ExecutionStatus::Running,
                                               ExecutionStatus::Canceling};

// The shards that are looked at: the partition's.
ShardSet seen(ShardSet shards, Mutant others_too) {
  return mutant(others_too) ? ShardSet::all() : shards;
}

// One candidate of each tenant in turn, so that a tenant with a long queue cannot starve another;
// and as many for each need, so that those whose workers are busy do not stand in the others' way.
Result<std::deque<Of<ExecutionId>>> take_turns(sql::Connection& db, ShardSet shards,
                                               std::span<const store::QueueDepth> queued,
                                               int limit) {
  std::vector<std::vector<QueueRow>> heads;
  std::map<std::string_view, int> left;  // of the limit
  for (const auto& depth : queued) {
    if (depth.waiting <= 0) continue;
    TRY(auto head, store::queue_head(db, shards, depth.tenant, depth.needs, limit));
    heads.push_back(std::move(head));
    left[depth.needs] = limit;
  }
  std::deque<Of<ExecutionId>> order;
  for (size_t round = 0, taken = 1; taken > 0; ++round) {
    taken = 0;
    for (const auto& head : heads) {
      if (round >= head.size() || left[head[round].needs]-- <= 0) continue;
      order.push_back({head[round].tenant, head[round].execution});
      ++taken;
    }
  }
  return order;
}

// What an execution has ended with; null: nothing, or not yet.
Result<Value> load_result(sql::Connection& db, const ExecutionRow& row) {
  std::string text = row.result_json;
  if (row.result_size > kInlineResultBytes) {
    TRY(auto blob, store::find_result_blob(db, row.tenant, row.id));
    if (blob) text = std::move(blob->bytes);
  }
  if (text.empty()) return Value();
  return parse_json(text, kOwnJson);
}

Result<TaskRuns> load_task(sql::Connection& db, Of<ExecutionId> workflow, const TaskKey& key) {
  TRY(auto runs, store::task_runs(db, workflow.tenant, workflow.id, key.task, key.route));
  TaskRuns loaded;
  ExecutionRow last;
  for (const auto& run : runs) {
    TRY(auto row, store::find_execution(db, workflow.tenant, run.execution));
    Value result;
    if (row) {
      TRY(result, load_result(db, *row));
      last = std::move(*row);
    }
    if (run.item < 0) {
      loaded.info = TaskInfo(workflow.id, &last, std::move(result));
    } else {
      loaded.items.resize(static_cast<size_t>(run.item) + 1);
      loaded.items.back() = std::move(result);
      loaded.statuses.resize(loaded.items.size(), to_string(ExecutionStatus::Requested));
      if (row) loaded.statuses.back() = to_string(last.status);
    }
  }
  if (!loaded.items.empty()) {
    loaded.info = TaskInfo(workflow.id, &last, Value());  // TaskResults::loaded
  }
  return loaded;
}

}  // namespace

Result<void> Loader::load(sql::Connection& db, const Wanted& wanted, const Scope& scope,
                          Loaded& into) {
  // One snapshot for the whole batch.
  TRY(store::begin_snapshot(db));
  Loader loader(db, wanted, scope, into);
  auto done = loader.read_ahead();
  if (done.ok()) done = loader.load_executions();
  if (done.ok()) done = loader.load_workflows();
  if (done.ok()) done = loader.load_key_values();
  if (done.ok()) done = loader.load_rest();
  if (done.ok()) done = loader.load_gauges();
  if (done.ok()) done = loader.load_delays();
  auto ended = store::end_snapshot(db);
  if (!done.ok()) return done;
  if (!ended.ok()) return std::move(ended).error();
  return {};
}

// What is known to be read, whatever else that will show: the messages of a batch ask for it one by
// one.
Result<void> Loader::read_ahead() {
  std::vector<Of<ExecutionId>> executions;
  for (const auto* wanted : {&wanted_.executions, &wanted_.trees, &wanted_.lineages,
                             &wanted_.states, &wanted_.results}) {
    executions.insert(executions.end(), wanted->begin(), wanted->end());
  }
  std::ranges::sort(executions);
  auto [first, last] = std::ranges::unique(executions);
  executions.erase(first, last);
  TRY(store::ahead_of_executions(db_, executions));
  TRY(store::ahead_of_timers(db_, wanted_.timers));
  TRY(store::ahead_of_events(db_, wanted_.events));
  TRY(store::ahead_of_keys(db_, wanted_.keys));
  return store::ahead_of_messages(db_, wanted_.messages);
}

Result<void> Loader::load_executions() {
  for (auto of : wanted_.executions) TRY(load_one(of));
  for (auto of : wanted_.timers) {
    TRY(auto row, store::load_timer(db_, of.tenant, of.id));
    if (row) into_.timers_.emplace(of.id, std::move(*row));
  }
  TRY(load_trees());
  if (wanted_.leased) TRY(load_leased());
  if (wanted_.leased || wanted_.workers) {
    TRY(into_.workers_, store::all_workers(db_));
  }
  if (wanted_.queue_heads > 0 && !scope_.queued.empty()) TRY(load_queue());
  return {};
}

Result<void> Loader::load_trees() {
  roots_ = wanted_.trees;
  for (const auto& need : wanted_.needs) {
    if (need.key == kNeedsSteps) roots_.push_back(need.workflow);
  }
  for (auto root : roots_) {
    TRY(load_one(root));
    if (!into_.execution(root)) continue;
    TRY(auto below, store::open_descendants(db_, root.tenant, root.id));
    auto& ids = into_.trees_[root.id];
    for (auto& descendant : below) {
      ids.push_back(descendant.id);
      into_.executions_.try_emplace(descendant.id, std::move(descendant));
    }
  }
  return {};
}

Result<void> Loader::load_leased() {
  // Of all shards: a worker may have runs of others.
  TRY(auto rows, store::executions_in(db_, ShardSet::all(), kLeasedStatuses));
  for (auto& row : rows) {
    if (!row.worker) continue;
    into_.leased_.push_back(row.id);
    Of<ExecutionId> parent{row.tenant, row.parent};
    into_.executions_.try_emplace(row.id, std::move(row));
    if (!parent.id) continue;
    TRY(load_one(parent));
    // What is lost of a workflow that pauses does not start again, and the workflow hears of it.
    const auto* above = into_.execution(parent);
    if (above && above->status == ExecutionStatus::Pausing) TRY(load_lineages({parent}));
  }
  TRY(auto ends, store::ends_in_quarantine(db_));
  into_.untaken_ends_.insert(ends.begin(), ends.end());
  return {};
}

// One that cannot be read is passed over and stays where it is: it holds up neither those behind it
// nor the messages that would only like to start somebody.
Result<void> Loader::load_queue() {
  constexpr int kMostPassedOver = 64;
  auto shards = seen(scope_.shards, Mutant::OthersQueueTaken);
  for (int passed_over = 0;;) {
    int limit = wanted_.queue_heads + passed_over;
    TRY(auto order, take_turns(db_, shards, scope_.queued, limit));
    into_.queue_.clear();
    int unread = 0;
    TRY(store::ahead_of_executions(db_, std::vector(order.begin(), order.end())));
    for (auto of : order) {
      auto loaded = load_one(of);
      if (!loaded.ok() && mutant(Mutant::BadHeadBlocksQueue)) return loaded;
      if (loaded.ok()) {
        into_.queue_.push_back(of.id);
        continue;
      }
      if (loaded.error().code() == sql::kDamaged) return loaded;
      ++unread;
      log_warn("queue.not_read", {{"execution", of.id}, {"error", loaded.error().message()}});
    }
    if (unread <= passed_over || passed_over >= kMostPassedOver) return {};
    passed_over = unread;
  }
}

Result<void> Loader::load_one(Of<ExecutionId> of) {
  if (into_.executions_.contains(of.id)) return {};
  TRY(auto row, store::find_execution(db_, of.tenant, of.id));
  if (row) into_.executions_.emplace(of.id, std::move(*row));
  return {};
}

// Level by level: what is above many is read once, and a level in one message.
Result<void> Loader::load_lineages(std::vector<Of<ExecutionId>> level) {
  for (bool is_first = true; !level.empty(); is_first = false) {
    if (!is_first) TRY(store::ahead_of_executions(db_, level));
    std::vector<Of<ExecutionId>> workflows;
    std::vector<Of<ExecutionId>> above;
    for (auto of : level) {
      TRY(load_one(of));
      const auto* row = into_.execution(of);
      if (!row) continue;
      bool may_be_workflow = !row->worker && !is_final(row->status);
      bool is_known = scope_.live.has(of.id) || into_.workflows_.contains(of.id);
      if (may_be_workflow && !is_known) workflows.push_back(of);
      if (row->parent) above.push_back({of.tenant, row->parent});
    }
    TRY(store::ahead_of_workflows(db_, workflows));
    for (auto of : workflows) TRY(load_state(of));
    std::ranges::sort(above);
    auto [first, last] = std::ranges::unique(above);
    above.erase(first, last);
    level = std::move(above);
  }
  return {};
}

Result<void> Loader::load_state(Of<ExecutionId> of) {
  if (into_.workflows_.contains(of.id)) return {};
  TRY(auto stored, store::load_workflow(db_, of.tenant, of.id));
  if (!stored) return {};
  StoredState state{std::move(*stored), {}, {}};
  TRY(state.runs, store::workflow_runs(db_, of.tenant, of.id, false));
  TRY(state.open, store::workflow_runs(db_, of.tenant, of.id, true));
  into_.workflows_.emplace(of.id, std::move(state));
  return {};
}

// Of all that may be let go on, whatever it was read for. What the batch has of timers is known.
Result<void> Loader::load_delays() {
  auto note = [&](const TimerRow& timer) {
    if (timer.kind == TimerKind::Wake) into_.delays_.emplace(ExecutionId{timer.subject}, timer.id);
  };
  for (const auto& [id, timer] : into_.timers_) note(timer);
  for (const auto& timer : into_.delays_ahead_) note(timer);
  if (into_.trees_.empty() && mutant(Mutant::DelayNotLooked)) return {};
  for (const auto& [id, row] : into_.executions_) {
    bool held = row.status == ExecutionStatus::Paused && row.started == 0;
    if (row.status != ExecutionStatus::Delayed && !held) continue;
    if (into_.delays_.contains(id)) continue;
    TRY(auto timer, store::find_timer_of(db_, row.tenant, id, TimerKind::Wake));
    if (timer) into_.delays_.emplace(id, *timer);
  }
  return {};
}

Result<void> Loader::load_workflows() {
  auto lineages = wanted_.lineages;
  for (const auto& [id, timer] : into_.timers_) {
    if (timer.subject != 0) lineages.push_back({timer.tenant, ExecutionId{timer.subject}});
  }
  TRY(load_lineages(std::move(lineages)));
  for (auto root : roots_) {
    for (const auto* row : into_.tree(root.id)) {
      if (row->worker || scope_.live.has(row->id)) continue;
      TRY(load_state({row->tenant, row->id}));
    }
  }
  for (auto of : wanted_.states) {
    TRY(load_one(of));
    TRY(load_state(of));
  }
  for (auto of : wanted_.results) {
    TRY(load_one(of));
    const auto* row = into_.execution(of);
    if (!row) continue;
    TRY(auto result, load_result(db_, *row));
    into_.results_[of.id] = std::move(result);
  }
  for (const auto& need : wanted_.needs) {
    auto key = task_of_need(need.key);
    if (!key) continue;
    TRY(auto runs, load_task(db_, need.workflow, *key));
    into_.needed_.emplace_back(need, std::move(runs));
  }
  for (auto of : wanted_.inquiries) {
    TRY(auto row, store::find_inquiry(db_, of.tenant, of.id));
    if (row) into_.inquiries_.emplace(of.id, std::move(*row));
  }
  return {};
}

// The value of an Idempotency-Key: a request's hash, a space, the id of what it made.
Result<void> Loader::load_named_execution(TenantId tenant, std::string_view value) {
  size_t space = value.find(' ');
  if (space == std::string_view::npos) return {};
  auto id = parse_id(value.substr(space + 1), "stored key");
  if (!id.ok()) return {};  // of another kind
  return load_one({tenant, ExecutionId{*id}});
}

Result<void> Loader::load_key_values() {
  auto load = [&](const KeyName& key) -> Result<void> {
    if (into_.key_values_.contains(key)) return {};
    TRY(auto row, store::find_key(db_, key));
    into_.key_values_.emplace(key, std::move(row));
    return {};
  };
  for (const auto& key : wanted_.key_values) TRY(load(key));
  for (const auto& need : wanted_.needs) {
    if (auto key = key_of_need(need.key)) TRY(load(*key));
  }
  return {};
}

// Where executions are counted that the batch may move, and what decisions have asked for.
Result<void> Loader::load_gauges() {
  for (const auto& need : wanted_.needs) {
    if (auto name = gauge_of_need(need.key)) TRY(load_gauge(*name));
  }
  std::vector<GaugeName> counted;
  for (const auto& [id, row] : into_.executions_) {
    if (row.limits.empty()) continue;
    for (auto& gauge : counted_of(row.limits).gauges) {
      counted.emplace_back(row.tenant, std::move(gauge));
    }
  }
  for (const auto& name : counted) TRY(load_gauge(name));
  if (wanted_.gauges_after) TRY(load_heads(*wanted_.gauges_after));
  return {};
}

Result<void> Loader::load_gauge(const GaugeName& name) {
  if (into_.gauges_.contains(name)) return {};
  const auto& [tenant, gauge] = name;
  LoadedGauge loaded;
  TRY(auto row, store::find_gauge(db_, tenant, gauge));
  if (row) {
    loaded.row = std::move(*row);
    constexpr auto kFirst = LoadedGauge::kFirst;
    for (auto state : {PlaceState::Leaves, PlaceState::Holds}) {
      if (loaded.row.held == 0) continue;
      TRY(auto places, store::first_places(db_, tenant, gauge, state, kFirst));
      loaded.has_all_holders &= places.size() < static_cast<size_t>(kFirst);
      std::ranges::move(places, std::back_inserter(loaded.holders));
    }
    if (loaded.row.waiting > 0) {
      TRY(loaded.waiting, store::first_places(db_, tenant, gauge, PlaceState::Waits, kFirst));
      loaded.has_all_waiting = loaded.waiting.size() < static_cast<size_t>(kFirst);
    }
  } else {
    loaded.row.tenant = tenant;
    loaded.row.name = gauge;
  }
  into_.gauges_.emplace(name, std::move(loaded));
  return {};
}

// Of those of this partition's shards: the others' are looked at by their owners.
Result<void> Loader::load_heads(const GaugeName& after) {
  constexpr int kMostGauges = 200;
  TRY(auto gauges, store::waiting_gauges(db_, after.first, after.second, kMostGauges));
  for (const auto& row : gauges) {
    TRY(auto first, store::first_places(db_, row.tenant, row.name, PlaceState::Waits, 1));
    if (first.empty()) continue;
    if (!scope_.shards.has(shard_of(row.tenant, first[0].root.value))) continue;
    into_.heads_.push_back(std::move(first[0]));
  }
  if (gauges.size() < static_cast<size_t>(kMostGauges)) return {};
  into_.gauges_after_ = {gauges.back().tenant, gauges.back().name};
  return {};
}

void Loader::take_schedules(std::vector<TimerRow> rows) {
  for (auto& row : rows) {
    std::pair name(row.tenant, row.name);
    into_.schedules_.insert_or_assign(std::move(name), std::move(row));
  }
}

Result<void> Loader::load_timers_behind(TimerId after) {
  auto full_page = [&](const std::vector<TimerRow>& rows) {
    if (rows.size() < size_t{kMostSchedules}) return;
    auto& next = into_.schedules_after_;
    next = next ? std::min(*next, rows.back().id) : rows.back().id;
  };
  TRY(auto schedules, store::named_timers_after(db_, scope_.shards, after, kMostSchedules));
  full_page(schedules);
  take_schedules(std::move(schedules));
  if (wanted_.delays_ahead_of == 0) return {};
  TRY(into_.delays_ahead_,
      store::timers_ahead(db_, scope_.shards, wanted_.delays_ahead_of, after, kMostSchedules));
  full_page(into_.delays_ahead_);
  for (const auto& timer : into_.delays_ahead_) {
    TRY(load_one({timer.tenant, ExecutionId{timer.subject}}));
  }
  return {};
}

Result<void> Loader::load_rest() {
  for (auto of : wanted_.events) {
    TRY(auto row, store::find_event(db_, of.tenant, of.id));
    if (row) into_.events_.emplace(of.id, std::move(*row));
  }
  for (const auto& key : wanted_.keys) {
    if (key.expires != 0) {
      into_.keys_.emplace(std::tuple(key.tenant, key.scope, key.key), key);
      continue;
    }
    TRY(auto row, store::find_dedupe(db_, key.tenant, key.scope, key.key));
    if (!row) continue;
    if (wanted_.executions_of_keys) TRY(load_named_execution(key.tenant, row->value));
    into_.keys_.emplace(std::tuple(key.tenant, key.scope, key.key), std::move(*row));
  }
  for (auto of : wanted_.messages) {
    TRY(bool waits, store::message_waits(db_, of.tenant, of.id));
    if (waits) into_.messages_.insert(of.id);
  }
  for (auto of : wanted_.stored_ends) {
    TRY(auto rows, store::stored_ends(db_, of.tenant, of.id));
    std::ranges::move(rows, std::back_inserter(into_.stored_ends_));
  }
  for (TenantId tenant : wanted_.tokens_of) {
    TRY(auto rows, store::tokens_of(db_, tenant));
    for (auto& row : rows) into_.tokens_.emplace(Of{tenant, row.id}, std::move(row));
  }
  for (TenantId tenant : wanted_.schedules_of) {
    TRY(auto rows, store::named_timers(db_, tenant));
    take_schedules(std::move(rows));
  }
  for (const auto& [tenant, name] : wanted_.schedules) {
    TRY(auto rows, store::named_timer(db_, tenant, name));
    take_schedules(std::move(rows));
  }
  if (auto after = wanted_.schedules_after) TRY(load_timers_behind(*after));
  for (const auto& expire : wanted_.expire) {
    TRY(auto due, scope_.retention.due(db_, scope_.shards, expire));
    std::ranges::move(due.rows, std::back_inserter(into_.expired_.rows));
    into_.expired_.more |= due.more;
  }
  if (wanted_.left) TRY(load_left());
  if (wanted_.unreleased_after) TRY(load_unreleased(*wanted_.unreleased_after));
  return {};
}

// True: it was read. False: no message has named it, and it holds up none of the others.
Result<bool> Loader::passes_over(Result<void> loaded, int64_t id) {
  if (loaded.ok()) return true;
  if (loaded.error().code() == sql::kDamaged || !wanted_.without_unread) {
    return std::move(loaded).error();
  }
  log_warn("row.not_read", {{"id", id}, {"error", loaded.error().message()}});
  return false;
}

// What is to be held for a release that is not there, and what was held for one that is.
Result<void> Loader::load_unreleased(ExecutionId after) {
  auto load = [&](TenantId tenant, const std::vector<ExecutionId>& ids) -> Result<void> {
    std::vector<Of<ExecutionId>> found;
    for (ExecutionId id : ids) found.push_back({tenant, id});
    TRY(store::ahead_of_executions(db_, found));
    TRY(store::ahead_of_workflows(db_, found));
    for (ExecutionId id : ids) {
      TRY(bool read, passes_over(load_lineages({{tenant, id}}), id.value));
      if (read) into_.unreleased_.push_back(id);
    }
    // A full page: the next one begins behind the shortest of them.
    if (ids.size() == kMostUnreleased) {
      auto& next = into_.unreleased_after_;
      next = next ? std::min(*next, ids.back()) : ids.back();
    }
    return {};
  };
  for (const auto& release : scope_.catalog.missing()) {
    TRY(auto ids, store::executions_pinned_to(db_, scope_.shards, release.tenant, release.digest,
                                              after, kMostUnreleased));
    TRY(load(release.tenant, ids));
  }
  for (TenantId tenant : scope_.catalog.tenants()) {
    TRY(auto digests, store::releases_waited_for(db_, tenant));
    for (const auto& digest : digests) {
      if (!scope_.catalog.of(tenant).has_release(digest)) continue;
      TRY(auto ids,
          store::executions_held_for(db_, scope_.shards, tenant, digest, after, kMostUnreleased));
      TRY(load(tenant, ids));
    }
  }
  return {};
}

Result<void> Loader::load_left() {
  const auto& left = *wanted_.left;
  auto shards = seen(scope_.shards, Mutant::OthersMessagesTaken);
  TRY(into_.left_messages_, store::messages(db_, shards, left.messages_after, left.limit));
  TRY(into_.left_outbox_, store::outbox(db_, scope_.shards, left.outbox_after, left.limit));
  std::unordered_set<OutboxId> unread;
  for (const auto& owed : into_.left_outbox_) {
    TRY(bool read, passes_over(load_one({owed.tenant, ExecutionId{owed.subject}}), owed.subject));
    if (!read) unread.insert(owed.id);
  }
  std::erase_if(into_.left_outbox_, [&](const auto& owed) { return unread.contains(owed.id); });
  return {};
}

void Loader::apply(const Changes& changes, Loaded& rows) {
  // Of the rows that it makes nobody in the batch can know the ids, but for steps of workflows that
  // were there before.
  std::unordered_set<ExecutionId> made;
  for (const auto& row : changes.new_executions) {
    if (!row.parent) {
      made.insert(row.id);
    } else if (!made.contains(row.root)) {
      rows.executions_.insert_or_assign(row.id, row);
    }
  }
  for (const auto& row : changes.executions) rows.executions_.insert_or_assign(row.id, row);
  for (const auto& done : changes.timers_done) {
    rows.timers_.erase(done.id);
    std::erase_if(rows.delays_, [&](const auto& delay) { return delay.second == done.id; });
    std::erase_if(rows.schedules_, [&](const auto& each) { return each.second.id == done.id; });
  }
  for (const auto& of : changes.timers_of_done) rows.delays_.erase(of.id);
  for (const auto& timer : changes.timers) {
    if (!timer.name.empty()) rows.schedules_.insert_or_assign({timer.tenant, timer.name}, timer);
    if (timer.kind == TimerKind::Wake) rows.delays_[ExecutionId{timer.subject}] = timer.id;
  }
  for (const auto& row : changes.gauges) {
    auto& known = rows.gauges_[{row.tenant, row.name}].row;
    known = row;
    known.was = 0;
  }
  for (const auto& place : changes.places) {
    rows.gauges_[{place.tenant, place.gauge}].put(place);
  }
  for (const auto& acked : changes.acked) rows.messages_.erase(acked.id);
  for (const auto& token : changes.tokens_done) rows.tokens_.erase(token);
}

std::optional<ExecutionId> Loader::pop_queue(Loaded& rows) {
  if (rows.queue_.empty()) return std::nullopt;
  ExecutionId id = rows.queue_.front();
  rows.queue_.pop_front();
  return id;
}

}  // namespace millrace::engine
