// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "conductor/conductor.h"

namespace millrace::conductor {

// A run of a task that is to be run again: the last of the task on its route.
struct Conductor::Candidate {
  NodeId task;
  RouteId route;
  EntryIndex index;
  bool reset_items = false;
};

Result<void> Conductor::rerun(const std::vector<RerunRequest>& requests) {
  if (!kCompleted.has(state_.status)) {
    return Error(ErrorKind::Conflict, "CND-0009",
                 fmt::format("the workflow is '{}': only a completed one can be run again",
                             to_string(state_.status)));
  }
  TRY(auto candidates, requested_runs(requests));
  if (candidates.empty()) {
    candidates = abended_ends();
  } else {
    collapse(candidates);
  }
  std::erase_if(state_.staged, [](const Staged& staged) { return staged.compensates.has_value(); });
  auto& record = state_.reruns.emplace_back();
  for (const Candidate& candidate : candidates) record.push_back(candidate.index);
  changes_.head = true;

  std::ranges::sort(candidates, {}, [&](const Candidate& candidate) {
    return std::pair<std::string_view, RouteId>(node(candidate.task).name, candidate.route);
  });
  for (const Candidate& candidate : candidates) TRY(restart(candidate));

  // A task that has led on does not end the workflow any more; of several runs the last counts.
  std::map<std::pair<NodeId, RouteId>, EntryIndex> leading_on;
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    const Entry& entry = state_.entry(i);
    bool fired = std::ranges::any_of(entry.next, &std::pair<EdgeId, bool>::second);
    if (entry.term && fired) leading_on[{entry.task, entry.route}] = i;
  }
  for (const auto& [task, index] : leading_on) changed(index).term = false;
  state_.output = Value();
  state_.status = Status::Resuming;
  return {};
}

Result<std::vector<Conductor::Candidate>> Conductor::requested_runs(
    const std::vector<RerunRequest>& requests) {
  std::vector<Candidate> candidates;
  std::string unknown;
  for (const RerunRequest& request : requests) {
    auto id = graph().find(request.task);
    auto index = id ? state_.last(*id, request.route) : std::nullopt;
    if (!index) {
      unknown += fmt::format("{}{}|{}", unknown.empty() ? "" : ", ", request.task, request.route);
      continue;
    }
    auto same = std::ranges::find(candidates, *index, &Candidate::index);
    if (same != candidates.end()) {
      same->reset_items = request.reset_items;
    } else {
      candidates.push_back({*id, request.route, *index, request.reset_items});
    }
  }
  if (unknown.empty()) return candidates;
  return Error(ErrorKind::NotFound, "CND-0008",
               fmt::format("cannot run again what has not run (task|route): {}", unknown));
}

// The tasks with which the workflow ended badly.
std::vector<Conductor::Candidate> Conductor::abended_ends() {
  std::vector<Candidate> candidates;
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    const Entry& entry = state_.entry(i);
    if (!entry.term || !kAbended.has(entry.status) || is_command(node(entry.task).name)) continue;
    auto same = std::ranges::find_if(candidates, [&](const Candidate& candidate) {
      return candidate.task == entry.task && candidate.route == entry.route;
    });
    if (same != candidates.end()) {
      same->index = i;
    } else {
      candidates.push_back({entry.task, entry.route, i});
    }
  }
  return candidates;
}

// Drops a task that another one of the list will lead to again. As in the reference, one that
// adds nothing to any of the others.
void Conductor::collapse(std::vector<Candidate>& candidates) {
  if (candidates.size() < 2) return;
  std::vector<std::set<EntryIndex>> runs;
  for (const Candidate& candidate : candidates) {
    auto list = with_followers(candidate.task, candidate.route);
    runs.emplace_back(list.begin(), list.end());
  }
  std::vector<Candidate> kept;
  for (size_t i = 0; i < candidates.size(); ++i) {
    bool adds = std::ranges::any_of(
        runs, [&](const auto& other) { return !std::ranges::includes(other, runs[i]); });
    if (adds) kept.push_back(candidates[i]);
  }
  candidates = std::move(kept);
}

// The last run of a task on a route, and the runs that any of its runs has led to.
std::vector<EntryIndex> Conductor::with_followers(NodeId task, RouteId route) {
  std::vector<EntryIndex> list;
  if (auto last = state_.last(task, route)) list.push_back(*last);
  for (EntryIndex i = 0; i < static_cast<EntryIndex>(state_.sequence().size()); ++i) {
    for (const auto& [edge, previous] : state_.entry(i).prev) {
      const Entry& source = state_.entry(previous);
      if (source.task == task && source.route == route) list.push_back(i);
    }
  }
  return list;
}

Result<void> Conductor::restart(const Candidate& candidate) {
  Entry& entry = changed(*state_.last(candidate.task, candidate.route));
  ContextList in = entry.in;
  Previous prev = entry.prev;
  entry.term = false;
  Staged* staged = state_.find_staged(candidate.task, candidate.route);
  if (staged) staged->completed = false;
  forget_errors(node(candidate.task).name);
  const Task* task = node(candidate.task).task;
  // Items that have all succeeded are not staged any more: to be run again they begin anew.
  bool has_items = task && task->items;
  if (has_items && !staged && !candidate.reset_items) {
    return Error(ErrorKind::Conflict, "CND-0008",
                 fmt::format("cannot run task '{}' again: none of its items failed; reset its "
                             "items (--reset-items) to run all of them",
                             task->name));
  }
  if (has_items && staged) {
    for (size_t i = 0; staged->items && i < staged->items->size(); ++i) {
      if (!candidate.reset_items && !kAbended.has((*staged->items)[i])) continue;
      staged->items->set(i, Status::Null);
      item_changed(*staged, i);
    }
  } else {
    TRY(add_entry(candidate.task, candidate.route, in, prev));
    state_.staged.push_back({.task = candidate.task,
                             .route = candidate.route,
                             .in = std::move(in),
                             .prev = std::move(prev),
                             .ready = true});
  }
  for (EntryIndex index : with_followers(candidate.task, candidate.route)) {
    changed(index).term = false;
  }
  return {};
}

void Conductor::forget_errors(std::string_view task) {
  auto first = std::ranges::find(state_.errors, task, &LogEntry::task);
  auto kept = static_cast<size_t>(first - state_.errors.begin());
  changes_.errors_from = std::min(changes_.errors_from, kept);
  std::erase_if(state_.errors, [&](const LogEntry& error) { return error.task == task; });
}

}  // namespace millrace::conductor
