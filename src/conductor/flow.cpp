// SPDX-License-Identifier: Apache-2.0
#include "conductor/flow.h"

#include <algorithm>

namespace millrace::conductor {

Flow::Flow(const Spec& spec) {
  for (const Task& task : spec.tasks) add(task.name, &task);
  for (std::string_view command : kCommands) add(command, nullptr);
  for (Node& node : nodes_) connect(node);
  for (const Task& task : spec.tasks) {
    int undone_by = find(task.compensate);
    if (undone_by != kUnknown) nodes_[index(undone_by)].compensates = true;
  }
  for (const Node& node : nodes_) {
    for (const Exit& exit : node.exits) {
      if (exit.target != kUnknown) ++nodes_[index(exit.target)].entries;
    }
  }
  if (spec.is_chain) start_ = find(spec.start);
  for (int i = 0; i < count(); ++i) nodes_[index(i)].in_cycle = reaches_itself(i);
}

void Flow::add(std::string_view name, const Task* task) {
  // A task with the name of a command hides it; inspect() reports the name.
  if (numbers_.emplace(name, count()).second) nodes_.push_back({.name = name, .task = task});
}

void Flow::connect(Node& node) {
  if (!node.task) return;
  for (size_t i = 0; i < node.task->next.size(); ++i) {
    for (const std::string& target : node.task->next[i].targets) {
      node.exits.push_back({find(target), target, static_cast<int>(i)});
    }
  }
  std::ranges::sort(node.exits, {}, [](const Exit& e) { return std::pair(e.name, e.transition); });
}

int Flow::find(std::string_view name) const {
  auto it = numbers_.find(name);
  return it == numbers_.end() ? kUnknown : it->second;
}

std::vector<int> Flow::starts() const {
  if (start_ != kUnknown) return {start_};
  std::vector<int> out;
  for (int i = 0; i < count(); ++i) {
    const Node& node = nodes_[index(i)];
    if (node.task && node.entries == 0 && !node.compensates) out.push_back(i);
  }
  std::ranges::sort(out, {}, [&](int node) { return name(node); });
  return out;
}

bool Flow::reaches_itself(int node) const {
  std::vector<bool> seen(nodes_.size());
  std::vector<int> open{node};
  while (!open.empty()) {
    int at = open.back();
    open.pop_back();
    for (const Exit& exit : exits(at)) {
      if (exit.target == node) return true;
      if (exit.target == kUnknown || seen[index(exit.target)]) continue;
      seen[index(exit.target)] = true;
      open.push_back(exit.target);
    }
  }
  return false;
}

}  // namespace millrace::conductor
