// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "conductor/firing.h"
#include "conductor/machines.h"
#include "conductor/task_lookup.h"

namespace millrace::conductor {
namespace {

// The item events whose meaning depends on how the other items stand.
constexpr StatusSet kToldWithItems(Status::Resuming, Status::Pending, Status::Paused,
                                   Status::Succeeded, Status::Failed, Status::Timeout,
                                   Status::Abandoned, Status::Canceled);
// What an action cannot report.
constexpr StatusSet kNotReported(Status::Null, Status::Retrying);

bool has_items(const Node& node) { return node.task && node.task->items; }

std::string action_event(Status status) {
  std::string event = "action_";
  event += to_string(status);
  return event;
}

// The task machine's event for an item that takes a status, by how the other items stand.
std::string item_event(const ItemList& items, size_t item, Status status) {
  std::string event = action_event(status);
  Status own = items[item];
  auto others = [&](StatusSet set) { return items.count(set) - (set.has(own) ? 1 : 0); };
  if (others(kActive) > 0) {
    event += "_task_active";
  } else {
    event += "_task_dormant";
    if (others(StatusSet(Status::Pending, Status::Paused)) > 0) return event + "_items_paused";
    if (others(StatusSet(Status::Canceled)) > 0) return event + "_items_canceled";
    if (others(kAbended) > 0) return event + "_items_failed";
  }
  bool incomplete = others(kCompleted) < items.size() - 1;
  return event + (incomplete ? "_items_incomplete" : "_items_completed");
}

}  // namespace

// What reaches the task machine: the report of an action, or a command of the engine.
struct Conductor::Signal {
  Status status = Status::Null;
  std::string_view command;  // "noop", "fail", ...: empty for a report
  const TaskEvent* report = nullptr;

  std::optional<size_t> item() const { return report ? report->item : std::nullopt; }
};

Result<EntryIndex> Conductor::event(std::string_view task, RouteId route, const TaskEvent& event) {
  auto id = graph().find(task);
  if (!id) {
    std::vector<std::string> names;
    for (const Node& known : graph().nodes()) names.push_back(known.name);
    return Error(ErrorKind::NotFound, "CND-0006",
                 fmt::format("unknown task '{}'{}", task, did_you_mean(task, names)));
  }
  return advance(*id, route, {.status = event.status, .report = &event});
}

Result<EntryIndex> Conductor::advance(NodeId task, RouteId route, const Signal& signal) {
  TRY(EntryIndex index, open_entry(task, route, signal));
  TRY(note_item(task, route, signal));
  Value result = signal.report ? signal.report->result : Value();
  if (signal.status == Status::Failed) {
    log_error("Execution failed. See result for details.", node(task).name, {}, {}, result);
  }
  if (signal.report && kNotReported.has(signal.status)) {
    return Error(ErrorKind::Invalid, "CND-0003",
                 fmt::format("an action of task '{}' cannot report '{}'", node(task).name,
                             to_string(signal.status)));
  }
  Status before = state_.entry(index).status;
  TRY(send_to_task(index, signal_event(task, route, signal)));
  Status after = state_.entry(index).status;
  if (after == Status::Retrying) stage_retry(index);
  bool undoes = state_.entry(index).compensates.has_value();

  Firing firing;
  if (kCompleted.has(after)) {
    TRY(leave_staging(index));
    if (has_items(node(task))) {
      if (signal.item()) result = signal.report->accumulated;
      if (!expr::truthy(result)) result = Value::list();
    }
    // The reference asks again at each late event of a completed task.
    bool asks = !native() || after != before;
    if (asks && (kActive.has(state_.status) || undoes)) {
      TRY(bool retry, wants_retry(index, result));
      if (retry) return advance(task, route, {.status = Status::Retrying, .command = "retry"});
    }
    if (after != before) {
      TRY(firing, fire_transitions(index, result));
    }
    if (firing.held) {
      TRY(hold(index));
      return index;
    }
  }
  if (undoes) return index;
  if (graph().has_settled_joins()) settle_joins();

  TRY(send_task_status(index));
  for (const auto& [command, command_route] : firing.commands) {
    std::string_view name = node(command).name;
    Status outcome = name == "fail" ? Status::Failed : Status::Succeeded;
    TRY(advance(command, command_route, {.status = outcome, .command = name}));
  }
  if (kCompleted.has(state_.status)) changed(index).term = true;
  return index;
}

// The first event takes a task off the stage; a with-items task that was offered stays there, with
// the statuses of its items.
Result<void> Conductor::note_item(NodeId task, RouteId route, const Signal& signal) {
  Staged* staged = state_.find_staged(task, route);
  bool offered = staged && staged->items;
  if (staged && !offered) unstage(task, route);
  if (!signal.item()) return {};
  if (offered && *signal.item() < staged->items->size()) {
    staged->items->set(*signal.item(), signal.status);
    item_changed(*staged, *signal.item());
    return {};
  }
  // A late word of an item of a completed task that says nothing new is passed over.
  if (!staged && !kToldWithItems.has(signal.status)) return {};
  return Error(
      ErrorKind::Conflict, "CND-0007",
      fmt::format("task '{}' has no item {}: it was not offered", node(task).name, *signal.item()));
}

// The entry that an event belongs to: the last of the task on the route, or a new one if there is
// none, for a command, and when a completed task starts again in a cycle.
Result<EntryIndex> Conductor::open_entry(NodeId task, RouteId route, const Signal& signal) {
  auto last = state_.last(task, route);
  Staged* staged = state_.find_staged(task, route);
  bool restarts =
      last && kCompleted.has(state_.entry(*last).status) && kStarting.has(signal.status);
  if (last && !restarts && !is_command(node(task).name)) return *last;
  if (!staged) {
    return Error(ErrorKind::Conflict, "CND-0007",
                 fmt::format("task '{}' is not staged on route {}: it was not offered",
                             node(task).name, route));
  }
  return add_entry(task, route, staged->in, staged->prev);
}

Result<EntryIndex> Conductor::add_entry(NodeId task, RouteId route, ContextList in, Previous prev) {
  Entry entry{.task = task, .route = route, .in = std::move(in), .prev = std::move(prev)};
  if (const Staged* staged = state_.find_staged(task, route)) {
    entry.compensates = staged->compensates;
  }
  if (node(task).retry) {
    TRY(entry.retry, start_retry(task, entry.in));
  }
  EntryIndex index = state_.append(std::move(entry));
  changed(index);
  return index;
}

// Count and delay are rendered when the task is first seen, without a current task.
Result<RetryState> Conductor::start_retry(NodeId task, const ContextList& in) {
  const Retry& retry = *node(task).retry;
  TaskLookup lookup(*this);
  expr::Scope scope = this->scope(merged(in), lookup);
  auto number = [&](const Renderable& source, std::string_view what, bool whole) -> Result<Value> {
    if (!source.source().is_string()) return source.source();
    TRY(Value value, render(source, scope));
    if (value.is_int() || (!whole && value.is_number())) return value;
    return Error(ErrorKind::Invalid, "CND-0010",
                 fmt::format("ValueError: The retry {} for task \"{}\" is not an integer.", what,
                             node(task).name));
  };
  RetryState state;
  TRY(state.delay, number(retry.delay, "delay", !native()));
  TRY(state.count, number(retry.count, "count", true));
  TRY(state.max_delay, number(retry.max_delay, "max_delay", false));
  return state;
}

std::string Conductor::signal_event(NodeId task, RouteId route, const Signal& signal) {
  if (!signal.command.empty()) return fmt::format("task_{}_requested", signal.command);
  if (!signal.item() || !kToldWithItems.has(signal.status)) return action_event(signal.status);
  const ItemList& items = *state_.find_staged(task, route)->items;
  return item_event(items, *signal.item(), signal.status);
}

bool Conductor::needs_results(std::string_view task, RouteId route, const TaskEvent& event) const {
  auto id = graph().find(task);
  auto index = id ? state_.last(*id, route) : std::nullopt;
  const Staged* staged = id ? state_.find_staged(*id, route) : nullptr;
  if (!index || !staged || !staged->items || !event.item || !kToldWithItems.has(event.status) ||
      *event.item >= staged->items->size()) {
    return false;
  }
  std::string name = item_event(*staged->items, *event.item, event.status);
  auto next = task_transition(state_.entry(*index).status, name);
  return next && kCompleted.has(*next);
}

void Conductor::stage_retry(EntryIndex index) {
  Entry& entry = changed(index);
  ++entry.retry->tally;
  unstage(entry.task, entry.route);
  state_.staged.push_back({.task = entry.task,
                           .route = entry.route,
                           .in = entry.in,
                           .prev = entry.prev,
                           .ready = true,
                           .retry_delay = retry_delay(entry),
                           .compensates = entry.compensates});
  changes_.head = true;
}

Result<bool> Conductor::wants_retry(EntryIndex index, const Value& result) {
  const Entry& entry = state_.entry(index);
  if (!entry.retry || entry.held) return false;
  // No way leads from there to another try: asked for one, it would be asked again without end.
  if (entry.status == Status::Canceled) return false;
  if (!entry.retry->count.is_int() || entry.retry->tally >= entry.retry->count.as_int()) {
    return false;
  }
  const Renderable& when = node(entry.task).retry->when;
  if (when.is_null()) return kAbended.has(entry.status);
  TaskLookup lookup(*this, entry.task, entry.route);
  lookup.with_result(result);
  expr::Scope scope = this->scope(merged(entry.in), lookup);
  TRY(Value wanted, render(when, scope));
  return expr::truthy(wanted);
}

// A with-items task that abended stays, so that its items can be run again.
Result<void> Conductor::leave_staging(EntryIndex index) {
  const Entry& entry = state_.entry(index);
  if (!has_items(node(entry.task)) || !kAbended.has(entry.status)) {
    unstage(entry.task, entry.route);
    return {};
  }
  Staged* staged = state_.find_staged(entry.task, entry.route);
  if (!staged) {
    return Error(ErrorKind::Conflict, "CND-0007",
                 fmt::format("the items of task '{}' are no longer staged", node(entry.task).name));
  }
  staged->completed = true;
  changes_.head = true;
  return {};
}

// A with-items task stays while items of it are active.
void Conductor::unstage(NodeId task, RouteId route) {
  auto it = std::ranges::find_if(state_.staged, [&](const Staged& staged) {
    return staged.task == task && staged.route == route;
  });
  if (it == state_.staged.end()) return;
  if (it->items && it->items->count(kActive) > 0) return;
  if (it->items) items_cleared(*it);
  state_.staged.erase(it);
  changes_.head = true;
}

}  // namespace millrace::conductor
