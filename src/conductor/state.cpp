// SPDX-License-Identifier: Apache-2.0
#include "conductor/state.h"

#include <algorithm>

namespace millrace::conductor {

bool continues(const Route& later, const Route& earlier) {
  return std::ranges::all_of(earlier, [&](const RouteStep& step) {
    return std::ranges::find(later, step) != later.end();
  });
}

void merge_into(Value& into, const Value& from) {
  for (const auto& [key, value] : from.as_map()) {
    const Value* present = into.find(key.as_string());
    Value merged = value;
    if (present && present->is_map() && value.is_map()) {
      merged = *present;
      merge_into(merged, value);
    }
    into.mutable_map().set(key, std::move(merged));
  }
}

void ItemList::set(size_t item, Status status) {
  --counts_[static_cast<size_t>(statuses_[item])];
  ++counts_[static_cast<size_t>(status)];
  statuses_[item] = status;
  if (status == Status::Null) none_unset_before_ = std::min(none_unset_before_, item);
}

size_t ItemList::count(StatusSet set) const {
  size_t total = 0;
  for (int i = 0; i < kStatusCount; ++i) {
    if (set.has(static_cast<Status>(i))) total += counts_[static_cast<size_t>(i)];
  }
  return total;
}

size_t ItemList::next_unset(size_t from) const {
  size_t start = std::max(from, none_unset_before_);
  auto first = statuses_.begin() + static_cast<ptrdiff_t>(start);
  auto found = std::find(first, statuses_.end(), Status::Null) - statuses_.begin();
  if (from <= none_unset_before_) none_unset_before_ = static_cast<size_t>(found);
  return static_cast<size_t>(found);
}

uint64_t State::key(NodeId task, RouteId route) {
  return (static_cast<uint64_t>(task) << 32) | static_cast<uint32_t>(route);
}

std::optional<EntryIndex> State::last(NodeId task, RouteId route) const {
  auto it = last_.find(key(task, route));
  if (it == last_.end()) return std::nullopt;
  return it->second;
}

bool State::is_last(EntryIndex index) const {
  return last(entry(index).task, entry(index).route) == index;
}

EntryIndex State::append(Entry added) {
  EntryIndex index = static_cast<EntryIndex>(sequence_.size());
  auto [slot, is_new] = last_.try_emplace(key(added.task, added.route), index);
  if (!is_new) {
    --counts_[static_cast<size_t>(entry(slot->second).status)];
    slot->second = index;
  }
  ++counts_[static_cast<size_t>(added.status)];
  sequence_.push_back(std::move(added));
  return index;
}

void State::set_status(EntryIndex index, Status to) {
  Entry& moved = mutable_entry(index);
  if (is_last(index)) {
    --counts_[static_cast<size_t>(moved.status)];
    ++counts_[static_cast<size_t>(to)];
  }
  moved.status = to;
}

bool State::any(StatusSet set) const {
  for (int i = 0; i < kStatusCount; ++i) {
    if (counts_[static_cast<size_t>(i)] > 0 && set.has(static_cast<Status>(i))) return true;
  }
  return false;
}

Staged* State::find_staged(NodeId task, RouteId route) {
  auto it = std::ranges::find_if(
      staged, [&](const Staged& s) { return s.task == task && s.route == route; });
  return it == staged.end() ? nullptr : &*it;
}

const Staged* State::find_staged(NodeId task, RouteId route) const {
  return const_cast<State*>(this)->find_staged(task, route);
}

bool State::any_offered() const { return std::ranges::any_of(staged, &Staged::offered); }

}  // namespace millrace::conductor
