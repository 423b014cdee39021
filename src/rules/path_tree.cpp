// SPDX-License-Identifier: Apache-2.0
#include "rules/path_tree.h"

namespace millrace::rules {

void PathTree::add(const Path& path, uint32_t slot) {
  uint32_t node = 0;
  auto child = [&](auto& children, const auto& key) {
    auto [entry, is_new] = children.try_emplace(key, static_cast<uint32_t>(nodes_.size()));
    node = entry->second;
    if (is_new) nodes_.emplace_back();
  };
  for (const Path::Step& step : path.steps_) {
    switch (step.kind) {
      case Path::Step::Kind::Name: child(nodes_[node].by_name, std::string_view(step.name)); break;
      case Path::Step::Kind::Index: child(nodes_[node].by_index, step.index); break;
      case Path::Step::Kind::Each: nodes_[node].each.emplace_back(slot, &path); return;
    }
  }
  nodes_[node].slot = slot;
}

void PathTree::walk(const Value& root, const Found& found) const { walk(0, root, root, found); }

void PathTree::walk(uint32_t number, const Value& at, const Value& root, const Found& found) const {
  const Node& node = nodes_[number];
  if (node.slot) found(*node.slot, at);
  for (auto [slot, path] : node.each) {
    if (const Value* value = path->find(root)) found(slot, *value);
  }
  if (at.is_map()) {
    const ValueMap& map = at.as_map();
    if (node.by_name.size() <= map.size()) {
      for (const auto& [name, child] : node.by_name) {
        if (const Value* value = map.find(name)) walk(child, *value, root, found);
      }
    } else {
      for (const auto& entry : map) {
        auto child = node.by_name.find(entry.name());
        if (child != node.by_name.end()) walk(child->second, entry.value, root, found);
      }
    }
  }
  if (at.is_list()) {
    for (const auto& [index, child] : node.by_index) {
      if (index < at.size()) walk(child, at.as_list()[index], root, found);
    }
  }
}

}  // namespace millrace::rules
