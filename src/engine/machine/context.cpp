// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/mutants.h"
#include "base/time.h"
#include "engine/machine/loader.h"
#include "engine/machine/pack_config.h"
#include "engine/machine/transition.h"

namespace millrace::engine {

namespace {

template <typename Rows>
auto* find_row(Rows& rows, RowIndex& index, ExecutionId id) {
  size_t at = index.find(rows, id);
  return at == SIZE_MAX ? nullptr : &rows[at];
}

}  // namespace

size_t RowIndex::find(const std::vector<kernel::ExecutionRow>& rows, ExecutionId id) {
  constexpr size_t kFew = 8;
  if (rows.empty()) return SIZE_MAX;
  if (rows.back().id == id) return rows.size() - 1;
  if (rows.size() <= kFew) {
    auto found = std::ranges::find(rows, id, &kernel::ExecutionRow::id);
    return found == rows.end() ? SIZE_MAX : static_cast<size_t>(found - rows.begin());
  }
  for (; known_ < rows.size(); ++known_) places_[rows[known_].id] = known_;
  auto found = places_.find(id);
  return found == places_.end() ? SIZE_MAX : found->second;
}

void give_back(const Decision& decision, Slots& slots, std::unordered_set<ExecutionId>& granting) {
  for (const auto& [worker, count] : decision.slots_taken) {
    if (count > 0 || mutant(Mutant::SlotFreedEarly)) slots.give_back(worker, count);
  }
  for (const auto& borrowed : decision.borrowed) slots.borrow(borrowed);
  for (const auto& [number, lent] : decision.lent) slots.not_begun(number, lent);
  for (const auto& [worker, run] : decision.holds) slots.let_go(worker, run);
  for (const auto& [worker, run] : decision.lets_go) slots.hold(worker, run);
  for (ExecutionId id : decision.dequeued) granting.erase(id);
  if (decision.opening) slots.not_opened(decision.opening);
}

Context::Context(Batch& batch, Learned& learned)
    : Context(batch, learned, std::make_unique<Decision>()) {}

Context::Context(Batch& batch, Learned& learned, std::unique_ptr<Decision> fresh)
    : changes(fresh->changes),
      batch_(batch),
      learned_(learned),
      owned_(std::move(fresh)),
      decision_(owned_.get()) {}

int Context::freed_here(WorkerId worker) const {
  auto taken = decision_->slots_taken.find(worker);
  if (taken == decision_->slots_taken.end() || mutant(Mutant::SlotFreedEarly)) return 0;
  auto free = batch_.memory.slots.free_of(worker);
  return free ? std::clamp(*free - taken->second, 0, std::max(0, -taken->second)) : 0;
}

bool Context::has_slot(std::string_view needs) const {
  const Slots& slots = batch_.memory.slots;
  return slots.free(needs) > 0 ||
         std::ranges::any_of(decision_->slots_taken, [&](const auto& taken) {
           return freed_here(taken.first) > 0 && slots.offers(taken.first, needs);
         });
}

bool Context::somebody_waits(std::string_view needs) const {
  return std::ranges::any_of(batch_.memory.waiting,
                             [&](const auto& lane) { return lane.needs == needs; });
}

// First what this decision itself frees: others have that only when it is durable.
std::optional<Slots::Taken> Context::take_slot(std::string_view needs) {
  Slots& slots = batch_.memory.slots;
  for (auto& [worker, count] : decision_->slots_taken) {
    if (freed_here(worker) == 0 || !slots.offers(worker, needs)) continue;
    ++count;
    slots.gives_own(worker);
    return Slots::Taken{worker};
  }
  auto taken = slots.take(needs);
  if (!taken) return taken;
  if (taken->borrowed) {
    decision_->borrowed.push_back(*taken->borrowed);
  } else {
    ++decision_->slots_taken[taken->worker];
    slots.gives_own(taken->worker);
  }
  return taken;
}

void Context::free_slot(const Slots::Taken& taken) {
  if (!taken.borrowed) return free_slot(taken.worker);
  batch_.memory.slots.borrow(*taken.borrowed);
  std::erase_if(decision_->borrowed,
                [&](const auto& one) { return one.permit == taken.borrowed->permit; });
}

void Context::free_slot(WorkerId worker) {
  int& count = decision_->slots_taken[worker];
  bool taken_here = count > 0;
  if (taken_here || mutant(Mutant::SlotFreedEarly)) batch_.memory.slots.give_back(worker);
  --count;
}

void Context::free_slot(WorkerId worker, const kernel::RunKey& run) {
  if (!batch_.memory.slots.let_go(worker, run)) return;
  decision_->lets_go.emplace_back(worker, run);
  free_slot(worker);
}

void Context::hold_slot(WorkerId worker, const kernel::RunKey& run) {
  batch_.memory.slots.hold(worker, run);
  decision_->holds.emplace_back(worker, run);
}

bool Context::begin_lent(int64_t number, const kernel::RunKey& run) {
  auto lent = batch_.memory.slots.begin_lent(number);
  if (!lent) return false;
  decision_->lent.emplace_back(number, *lent);
  hold_slot(lent->worker, run);
  return true;
}

const kernel::ExecutionRow* Context::next_queued() {
  while (auto id = Loader::pop_queue(batch_.rows)) {
    if (batch_.memory.granting.contains(*id)) continue;
    const auto* row = batch_.rows.execution(*id);
    if (!row || row->status != ExecutionStatus::Requested) continue;
    if (!has_slot(row->needs)) continue;
    batch_.memory.granting.insert(*id);
    decision_->dequeued.push_back(*id);
    return row;
  }
  return nullptr;
}

const kernel::ExecutionRow* Context::execution(ExecutionId id) const {
  if (const auto* row = find_row(changes.executions, changed_rows_, id)) return row;
  if (const auto* row = batch_.rows.execution(id)) return row;
  return find_row(changes.new_executions, made_rows_, id);
}

bool Context::is_new(ExecutionId id) const {
  return !batch_.rows.execution(id) && find_row(changes.new_executions, made_rows_, id);
}

kernel::ExecutionRow& Context::edit(const kernel::ExecutionRow& row) {
  if (auto* pending = find_row(changes.executions, changed_rows_, row.id)) return *pending;
  if (!batch_.rows.execution(row.id)) {
    if (auto* made = find_row(changes.new_executions, made_rows_, row.id)) return *made;
  }
  auto& changed = changes.executions.emplace_back(row);
  changed.version += 1;
  changed.updated = batch_.now;
  return changed;
}

Result<LiveWorkflow*> Context::workflow(ExecutionId id) {
  if (batch_.spoiled.contains(id)) return spoiled_error(false);
  if (auto why = learned_.broken_workflows.find(id); why != learned_.broken_workflows.end()) {
    return Error(ErrorKind::Internal, kBroken, why->second);
  }
  LiveWorkflow* live = batch_.memory.workflows.find(id);
  if (!live) {
    const auto* stored = batch_.rows.workflow(id);
    const auto* row = batch_.rows.execution(id);
    if (!stored || !row) return static_cast<LiveWorkflow*>(nullptr);
    auto action = catalog(row->tenant).find_action(row->action, row->release);
    if (!action || !action->workflow || !action->workflow->definition) {
      return no_release(*row);
    }
    auto around = environment(*action->pack, *row);
    if (lacks_config_) return needs_error();
    auto restored = LiveWorkflow::restore(stored->state, stored->runs, stored->open, *row,
                                          action->workflow->definition, around);
    if (!restored.ok()) {
      return Error(ErrorKind::Internal, kBroken, restored.error().describe());
    }
    for (const auto* above = batch_.rows.execution(row->parent); above;
         above = batch_.rows.execution(above->parent)) {
      ++(*restored)->depth;
    }
    live = &batch_.memory.workflows.add(std::move(*restored));
  }
  absorb_needs(*live);
  live->conductor->draw_on(expressions_left_);
  live->conductor->tell_time(to_rfc3339(now()));
  live->results->read_keys(keys(live->reader));  // of this batch
  return live;
}

Error Context::no_release(const kernel::ExecutionRow& row) const {
  std::string pinned = fmt::format("the release {} of '{}' that it is pinned to",
                                   row.release.substr(0, 12), row.action);
  auto action = catalog(row.tenant).find_action(row.action, row.release);
  if (action && action->workflow && !action->workflow->definition) {
    pinned += " cannot be used by this version: " + action->workflow->faults;
  } else {
    pinned += " is not there";
  }
  return Error(ErrorKind::Unavailable, kNoRelease, std::move(pinned));
}

void Context::absorb_needs(LiveWorkflow& live) const {
  const auto& conductor = *live.conductor;
  for (const auto& need : learned_.needs) {
    const auto* stored = need.workflow == live.runs_of ? batch_.rows.needed(need) : nullptr;
    auto task = task_of_need(need.key);
    if (!stored || !task) continue;
    TaskRuns runs = *stored;
    if (runs.info.is_none()) {
      // It ran without an execution of its own.
      auto node = conductor.definition().graph().find(task->task);
      auto entry = node ? conductor.state().last(*node, task->route) : std::nullopt;
      auto status = entry ? conductor.state().entry(*entry).status : conductor::Status::Null;
      runs.info = TaskInfo(live.id, nullptr, Value(), conductor::to_string(status));
    }
    live.results->loaded(*task, std::move(runs));
  }
}

LiveWorkflow& Context::add_workflow(std::unique_ptr<LiveWorkflow> live) {
  live->results->read_keys(keys(live->reader));
  return batch_.memory.workflows.add(std::move(live));
}

void Context::moves(const LiveWorkflow& live) {
  auto same = [&](const auto& moved) { return moved.workflow == live.id; };
  if (std::ranges::any_of(decision_->workflows, same)) return;
  decision_->workflows.push_back({live.id, live.root});
}

namespace {

// {{ system }} of a workflow: as its rule's, and those below it have the same.
Value system_of(const kernel::ExecutionRow& row, int64_t now) {
  auto by = row.env_json.empty() ? Value() : parse_json(row.env_json, kOwnJson);
  if (!by.ok() || !by->find("rule_id")) return rules::system_value(now, {});
  rules::RuleName rule{.pack = {}, .ref = by->string_or("rule", "")};
  rule.revision = by->int_or("rule_revision", 0);
  auto number = [&](std::string_view name) {
    auto id = parse_id(by->string_or(name, ""), name);
    return id.ok() ? *id : 0;
  };
  rule.id = RuleId{number("rule_id")};
  return rules::system_value(now, rule, EnforcementId{number("enforcement")});
}

}  // namespace

conductor::Environment Context::environment(const Pack& pack, const kernel::ExecutionRow& row) {
  return {.engine = batch_.memory.expressions,
          .random_seed = static_cast<uint64_t>(new_raw_id()),
          .config = config_of(pack, {row.tenant, key_user(row.identity), pack.ref, row.action}),
          .system = system_of(row, now()),
          .allowance = expressions_left_};
}

Value Context::config_of(const Pack& pack, KeyReader reader) {
  if (!is_configurable(pack)) return pack.config;
  auto name =
      fmt::format("{} {} {} {}", reader.tenant.value, pack.digest, reader.action, reader.user);
  if (auto known = configs_.find(name); known != configs_.end()) return known->second;
  auto config = pack_config(pack, keys(std::move(reader)), expressions());
  if (config.ok()) return configs_.emplace(std::move(name), *std::move(config)).first->second;
  if (need(config.error())) lacks_config_ = true;
  return pack.config;
}

std::optional<Error> Context::need(const Error& error, Of<ExecutionId> workflow) {
  if (is_another_try(error)) return error;
  bool any = false;
  for (const Problem& problem : expr::needed_keys(error)) {
    auto named = key_of_need(problem.path);
    if (!named && !task_of_need(problem.path)) continue;
    any = true;
    Need need{named ? Of<ExecutionId>{} : workflow, problem.path};
    bool may_load = !named || learned_.needs.size() - learned_.gauges < kMostNeeds;
    if (may_load && std::ranges::find(learned_.needs, need) == learned_.needs.end()) {
      learned_.needs.push_back(std::move(need));
    }
  }
  if (!any) return std::nullopt;
  if (!std::exchange(needs_, true)) ++learned_.rounds;
  return needs_error();
}

LoadedGauge* Context::gauge(TenantId tenant, const std::string& name) {
  GaugeName key{tenant, name};
  if (auto known = gauges_.find(key); known != gauges_.end()) return &known->second;
  uint64_t number = number_of(key);
  bool is_own = batch_.gauges.contains(number);
  if (!is_own && batch_.memory.in_flight && batch_.memory.in_flight(number)) {
    lacks_gauge_ = true;
    waits_for_gauge_ = number;
    return nullptr;
  }
  if (const auto* loaded = batch_.rows.gauge(key)) {
    return &gauges_.emplace(std::move(key), *loaded).first->second;
  }
  lacks_gauge_ = true;
  Need need{{}, need_of_gauge(key)};
  if (std::ranges::find(learned_.needs, need) == learned_.needs.end()) {
    learned_.needs.push_back(std::move(need));
    ++learned_.gauges;
    ++lacking_gauges_;
  }
  if (!std::exchange(needs_, true)) ++learned_.rounds;
  return nullptr;
}

void Context::count(LoadedGauge& gauge) {
  if (mutant(Mutant::GaugeNotWritten)) return;
  auto& row = gauge.row;
  auto same = [&](const auto& one) { return one.tenant == row.tenant && one.name == row.name; };
  auto written = std::ranges::find_if(changes.gauges, same);
  if (written != changes.gauges.end()) {
    int64_t was = written->was;
    *written = row;
    written->was = was;
    return;
  }
  // Not one more than before: another server may have come to that number by another way, and what
  // rests on a count of ours that was not written would be taken to rest on its.
  bool by_one = mutant(Mutant::GaugeCountsByOne) && row.version != 0;
  int64_t was = std::exchange(row.version, by_one ? row.version + 1 : new_raw_id());
  changes.gauges.push_back(row);
  changes.gauges.back().was = was;
}

void Context::put_place(LoadedGauge& gauge, kernel::PlaceRow place) {
  gauge.put(place);
  auto same = [&](const auto& one) {
    return one.execution == place.execution && one.gauge == place.gauge;
  };
  auto written = std::ranges::find_if(changes.places, same);
  if (written == changes.places.end()) {
    changes.places.push_back(std::move(place));
  } else {
    *written = std::move(place);
  }
}

Result<void> Context::needs_steps(const Of<ExecutionId>& workflow) {
  Need need{workflow, std::string(kNeedsSteps)};
  if (std::ranges::find(learned_.needs, need) != learned_.needs.end()) return {};
  learned_.needs.push_back(std::move(need));
  return needs_error();
}

Error Context::broke(const LiveWorkflow& live, const Error& why) {
  if (live.beginning < 0) {
    learned_.broken_workflows[live.runs_of.id] = why.describe();
  } else {
    // Those that began after it are counted anew.
    auto& broken = learned_.broken_beginnings;
    broken.erase(broken.lower_bound(live.beginning), broken.end());
    broken[live.beginning] = why.describe();
  }
  return spoiled_error();
}

std::unique_ptr<Decision> Context::decided(std::move_only_function<void(Deliveries&)> reply) {
  ASSERT_MSG(agenda.empty(), "a decision must work off its agenda");
  decision_->reply = std::move(reply);
  return std::move(owned_);
}

void Context::undo_all() {
  for (ExecutionId id : batch_.memory.workflows.drop_all()) batch_.spoiled.insert(id);
  undo();
}

void Context::undo() {
  for (const auto& moved : decision_->workflows) {
    batch_.spoiled.insert(moved.workflow);
    batch_.memory.workflows.drop(moved.workflow);
  }
  if (!mutant(Mutant::UndoLeaks)) {
    give_back(*decision_, batch_.memory.slots, batch_.memory.granting);
  }
}

}  // namespace millrace::engine
