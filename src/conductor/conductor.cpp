// SPDX-License-Identifier: Apache-2.0
#include "conductor/conductor.h"

#include <fmt/format.h>

#include <algorithm>

#include "conductor/machines.h"

namespace millrace::conductor {
namespace {

std::string event_name(std::string_view kind, Status status) {
  std::string name(kind);
  name += to_string(status);
  return name;
}

// The task statuses whose event says whether other tasks are active.
constexpr StatusSet kToldWithOthers(Status::Pending, Status::Paused, Status::Succeeded,
                                    Status::Failed, Status::Canceled, Status::Retrying);
// What a workflow cannot be asked to become.
constexpr StatusSet kNotRequested(Status::Null, Status::Pending, Status::Timeout, Status::Abandoned,
                                  Status::Retrying);

}  // namespace

Conductor::Conductor(DefinitionPtr definition, State state, const Environment& environment)
    : definition_(std::move(definition)), state_(std::move(state)), environment_(environment) {
  changes_.contexts_from = state_.contexts.size();
  changes_.errors_from = state_.errors.size();
}

StatusSet Conductor::going_on() const {
  return definition_->questions_pause() ? kActive : kActiveOrPending;
}

StatusSet Conductor::paused() const {
  return definition_->questions_pause() ? StatusSet(Status::Paused, Status::Pending)
                                        : StatusSet(Status::Paused);
}

Result<void> Conductor::request_status(Status status) {
  Status before = state_.status;
  if (kNotRequested.has(status)) {
    return Error(ErrorKind::Invalid, "CND-0003",
                 fmt::format("a workflow cannot be asked to become '{}'", to_string(status)));
  }
  TRY(send_workflow_request(status));
  if (state_.status != before || status == before) return {};
  // Pausing what pauses and canceling what cancels is no mistake.
  if (status == Status::Paused && before == Status::Pausing) return {};
  if (status == Status::Canceled && before == Status::Canceling) return {};
  return Error(ErrorKind::Conflict, "CND-0004",
               fmt::format("the workflow is '{}' and cannot become '{}'", to_string(before),
                           to_string(status)));
}

// The active tasks hear what the workflow is to become: one with items offers no further ones when
// it pauses or is canceled.
Result<void> Conductor::tell_tasks(Status status) {
  const auto& sequence = state_.sequence();
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(sequence.size()); ++i) {
    if (!kActive.has(state_.entry(i).status) || !state_.is_last(i)) continue;
    std::string event = event_name("workflow_", status);
    const Staged* staged = state_.find_staged(state_.entry(i).task, state_.entry(i).route);
    if ((kPause.has(status) || kCancel.has(status)) && staged && staged->items) {
      const ItemList& items = *staged->items;
      event += items.count(kActive) > 0 ? "_task_active" : "_task_dormant";
      event += items.count(kCompleted) < items.size() ? "_items_incomplete" : "_items_completed";
    }
    TRY(send_to_task(i, event));
  }
  return {};
}

Result<void> Conductor::send_workflow_request(Status status) {
  TRY(tell_tasks(status));
  if (native() && kCancel.has(status)) release_held();
  std::string event = event_name("workflow_", status);
  if (kPause.has(status)) {
    event += state_.any(kActive) ? "_workflow_active" : "_workflow_dormant";
  } else if (kCancel.has(status)) {
    event += state_.any(going_on()) ? "_workflow_active" : "_workflow_dormant";
  } else if ((status == Status::Running || status == Status::Resuming) &&
             state_.status == Status::Paused && !state_.any(going_on()) && !state_.any_offered() &&
             !state_.any(paused())) {
    event += "_workflow_completed";
  }
  if (auto next = workflow_transition(state_.status, event)) {
    state_.status = *next;
    changes_.head = true;
  }
  return {};
}

Result<void> Conductor::send_to_task(EntryIndex index, std::string_view event) {
  Status status = state_.entry(index).status;
  if (!kTaskStates.has(status) && !native()) {
    return Error(ErrorKind::Conflict, "CND-0005",
                 fmt::format("task '{}' is '{}' and takes no further event (found '{}')",
                             node(state_.entry(index).task).name, to_string(status), event));
  }
  auto next = native() ? native_task_transition(status, event) : task_transition(status, event);
  if (next && *next != status) {
    changed(index);
    state_.set_status(index, *next);
  }
  return {};
}

// The workflow machine's event for the status that a task has taken.
std::string Conductor::task_event(EntryIndex index) {
  Status status = state_.entry(index).status;
  if (native() && kAbended.has(status)) status = Status::Failed;
  bool next = has_next(index, true);
  bool remediated = kAbended.has(status) && (next || has_next(index, false));
  std::string event = remediated ? "task_remediated" : event_name("task_", status);
  if (remediated || kToldWithOthers.has(status)) {
    // What waits for an answer does not keep a workflow from pausing.
    StatusSet busy = state_.status == Status::Pausing ? kActive : going_on();
    event += state_.any(busy) ? "_workflow_active" : "_workflow_dormant";
  }
  if (!remediated && status != Status::Succeeded) return event;
  if (state_.any(kCancel)) return event + "_canceled";
  if (state_.any(StatusSet(Status::Pausing)) || state_.any(paused())) return event + "_paused";
  return event + (state_.any_offered() || next ? "_incomplete" : "_completed");
}

Result<void> Conductor::send_task_status(EntryIndex index) {
  if (!definition_->questions_pause() && state_.entry(index).status == Status::Pending) return {};
  std::string event = task_event(index);
  Status status = state_.entry(index).status;
  if (event == "task_timeout" || event == "task_abandoned" || status == Status::Null) {
    return Error(ErrorKind::Conflict, "CND-0003",
                 fmt::format("task '{}' cannot be '{}' now: the workflow has no answer to it",
                             node(state_.entry(index).task).name, to_string(status)));
  }
  auto next = workflow_transition(state_.status, event);
  if (!next) return {};
  if (*next != state_.status) {
    state_.status = *next;
    changes_.head = true;
    if (*next == Status::Canceling) TRY(cancel_items());
  }
  if (kCompleted.has(state_.status)) fail_unreachable_joins();
  return {};
}

// One of its tasks was canceled, and with it the workflow: items that were not offered never are,
// and their task does not wait for them.
Result<void> Conductor::cancel_items() {
  TRY(tell_tasks(Status::Canceling));
  if (!state_.any(going_on())) state_.status = Status::Canceled;
  return {};
}

// A join that some branch has reached can wait in vain: when the workflow ends before it is ready,
// the workflow fails.
void Conductor::fail_unreachable_joins() {
  std::vector<std::pair<NodeId, RouteId>> unreachable;
  for (const Staged& staged : state_.staged) {
    const auto& barrier = node(staged.task).barrier;
    bool counts_none = barrier && barrier->kind == Barrier::Kind::Count && barrier->count == 0;
    if (!barrier || counts_none || staged.ready) continue;
    if (inbound(staged.task, staged.route) == Inbound::NotSatisfied) {
      unreachable.emplace_back(staged.task, staged.route);
    }
  }
  for (const auto& [task, route] : unreachable) {
    state_.status = Status::Failed;
    log_error(fmt::format("UnreachableJoinError: The join task|route \"{}|{}\" is partially "
                          "satisfied but unreachable.",
                          node(task).name, route),
              node(task).name, route);
  }
}

// Whether a transition of a completed task has fired to a task that will run. `joins_count`: a
// join counts only if it is satisfied or still can be.
bool Conductor::has_next(EntryIndex index, bool joins_count) {
  const Entry& entry = state_.entry(index);
  if (!kCompleted.has(entry.status)) return false;
  for (EdgeId id : node(entry.task).out) {
    const Node& target = node(graph().edge(id).target);
    if (target.name == "continue") continue;
    if (target.barrier && target.barrier->settled()) return true;
    auto fired = std::ranges::find(entry.next, id, &std::pair<EdgeId, bool>::first);
    if (fired == entry.next.end() || !fired->second) continue;
    if (target.barrier && joins_count &&
        inbound(graph().edge(id).target, entry.route) == Inbound::NotSatisfied) {
      continue;
    }
    return true;
  }
  return false;
}

// Counted by source task, not by edge: one that fired any of its edges to the task counts once.
Conductor::Inbound Conductor::inbound(NodeId task, RouteId route) {
  const auto& barrier = node(task).barrier;
  if (barrier && barrier->settled()) {
    return is_settled(task, route) ? Inbound::Satisfied : Inbound::InProgress;
  }
  std::vector<NodeId> sources;
  std::vector<NodeId> fired;
  std::vector<NodeId> known;
  auto add = [](std::vector<NodeId>& list, NodeId id) {
    if (std::ranges::find(list, id) == list.end()) list.push_back(id);
  };
  for (EdgeId id : node(task).in) {
    NodeId source = graph().edge(id).source;
    add(sources, source);
    auto run = state_.last(source, route);
    if (!run) continue;
    add(known, source);
    const auto& next = state_.entry(*run).next;
    auto it = std::ranges::find(next, id, &std::pair<EdgeId, bool>::first);
    if (it != next.end() && it->second) add(fired, source);
  }
  size_t needed = 1;
  if (barrier && barrier->kind == Barrier::Kind::All) needed = sources.size();
  if (barrier && barrier->count > 0) needed = static_cast<size_t>(barrier->count);
  if (fired.size() >= needed) return Inbound::Satisfied;
  bool waits = known.size() < sources.size() && (state_.any(going_on()) || state_.any_offered());
  return waits ? Inbound::InProgress : Inbound::NotSatisfied;
}

void Conductor::log_error(std::string message, std::string_view task, std::optional<RouteId> route,
                          std::string transition, Value result) {
  LogEntry entry{.type = "error",
                 .message = std::move(message),
                 .task = std::string(task),
                 .route = route,
                 .transition = std::move(transition),
                 .result = std::move(result)};
  if (std::ranges::find(state_.errors, entry) != state_.errors.end()) return;
  state_.errors.push_back(std::move(entry));
}

Entry& Conductor::changed(EntryIndex index) {
  changes_.entries.push_back(index);
  return state_.mutable_entry(index);
}

void Conductor::items_cleared(const Staged& staged) {
  std::erase_if(changes_.items, [&](const Changes::Items& items) {
    return items.task == staged.task && items.route == staged.route;
  });
  changes_.items.push_back({staged.task, staged.route, true, {}});
}

void Conductor::item_changed(const Staged& staged, size_t item) {
  auto same = [&](const Changes::Items& items) {
    return items.task == staged.task && items.route == staged.route;
  };
  auto it = std::ranges::find_if(changes_.items, same);
  if (it == changes_.items.end()) {
    it = changes_.items.insert(it, {staged.task, staged.route, false, {}});
  }
  it->items.push_back(item);
}

Changes Conductor::take_changes() {
  Changes taken = std::move(changes_);
  for (auto* list : {&taken.entries}) {
    std::ranges::sort(*list);
    list->erase(std::ranges::unique(*list).begin(), list->end());
  }
  for (auto& items : taken.items) {
    std::ranges::sort(items.items);
    items.items.erase(std::ranges::unique(items.items).begin(), items.items.end());
  }
  changes_ = {};
  changes_.contexts_from = state_.contexts.size();
  changes_.errors_from = state_.errors.size();
  return taken;
}

size_t Conductor::ContextListHash::operator()(const ContextList& list) const {
  size_t hash = 0xcbf29ce484222325;
  for (ContextIndex index : list) hash = (hash ^ static_cast<size_t>(index)) * 0x100000001b3;
  return hash;
}

}  // namespace millrace::conductor
