// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "conductor/spec.h"

namespace millrace::conductor {

// Who follows whom by the names alone: what composing the graph and inspecting it have in common.
// Holds the tasks of the document, then the engine's commands; names that nobody defines have no
// number.
class Flow {
 public:
  static constexpr int kUnknown = -1;

  // A way out of a task: to one target of one transition.
  struct Exit {
    int target;  // kUnknown when the name is not defined
    std::string_view name;
    int transition;  // index in Task::next
  };

  explicit Flow(const Spec& spec);

  int count() const { return static_cast<int>(nodes_.size()); }
  int find(std::string_view name) const;
  std::string_view name(int node) const { return nodes_[index(node)].name; }
  // Null for a command.
  const Task* task(int node) const { return nodes_[index(node)].task; }
  // Sorted by the target's name, then in the order of the document.
  const std::vector<Exit>& exits(int node) const { return nodes_[index(node)].exits; }

  // Tasks that nothing leads to, sorted by name; those that undo another task are none. An action
  // chain has one start of its own.
  std::vector<int> starts() const;
  bool is_join(int node) const { return task(node) && task(node)->is_join(); }
  // Reached in more than one way without being a join: each way starts a route of its own. A chain
  // goes one way only.
  bool is_split(int node) const {
    return start_ == kUnknown && !is_join(node) && nodes_[index(node)].entries > 1;
  }
  bool in_cycle(int node) const { return nodes_[index(node)].in_cycle; }
  bool compensates(int node) const { return nodes_[index(node)].compensates; }

 private:
  struct Node {
    std::string_view name;
    const Task* task = nullptr;
    std::vector<Exit> exits;
    int entries = 0;
    bool in_cycle = false;
    bool compensates = false;
  };
  static size_t index(int node) { return static_cast<size_t>(node); }
  void add(std::string_view name, const Task* task);
  void connect(Node& node);
  bool reaches_itself(int node) const;

  std::vector<Node> nodes_;
  int start_ = kUnknown;  // of an action chain
  std::unordered_map<std::string_view, int, StringHash> numbers_;
};

}  // namespace millrace::conductor
