// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/value.h"
#include "conductor/flow.h"

namespace millrace::conductor {

using NodeId = int;
using EdgeId = int;

// One transition: from a task to one target. Parallel edges of the same two tasks are numbered by
// `key`; `task2__t0` is the way from somewhere to task2 by its first edge.
struct Edge {
  NodeId source;
  NodeId target;
  int key;
  int transition;  // index in Task::next of the source
};

// `NAME__tKEY`, as entries and routes write an edge: the name of one of its ends and its key.
std::string edge_name(std::string_view end, int key);
std::optional<std::pair<std::string_view, int>> parse_edge_name(std::string_view text);

// What must have fired before a task with `join` is ready.
struct Barrier {
  enum class Kind : uint8_t {
    All,
    Count,
    Settled,  // native: every source has ended, whether it fired or not
  };
  Kind kind = Kind::All;
  int64_t count = 0;  // of Count
  bool settled() const { return kind == Kind::Settled; }
};

struct Node {
  std::string name;
  std::optional<Barrier> barrier;
  std::vector<std::string> splits;  // split tasks on the way to here
  const Task* task = nullptr;       // null for a command
  std::optional<Retry> retry;       // of the task, or of a transition `do: retry`
  bool is_split = false;
  bool in_cycle = false;
  std::vector<EdgeId> out;  // sorted by target name and key
  std::vector<EdgeId> in;
  std::vector<bool> fed_by;  // of a settled join, by NodeId: who leads to it, however far
  std::optional<NodeId> undone_by;
};

// The directed multigraph that a workflow runs on. Composed breadth first from the start tasks, in
// the order of the reference, so that nodes and keys have its numbers. Points into the Spec.
class Graph {
 public:
  // CND-0002 when a transition leads to an undefined task that can be reached.
  static Result<Graph> compose(const Flow& flow);

  // Expressions of the nodes' own retries; those of the tasks belong to the Spec.
  Result<void> compile(expr::Engine& engine, expr::Mode mode);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  const Edge& edge(EdgeId id) const { return edges_[static_cast<size_t>(id)]; }
  bool has_settled_joins() const { return has_settled_joins_; }
  std::optional<NodeId> find(std::string_view name) const;
  // The tasks to start with, sorted by name.
  const std::vector<NodeId>& roots() const { return roots_; }

  // `target__tKEY`, as the outbound map of a state entry names an edge; and back.
  std::string out_name(EdgeId id) const;
  std::optional<EdgeId> find_out(NodeId source, std::string_view name) const;
  // `source__tKEY`, as the inbound map of a state entry names an edge; and back.
  std::string in_name(EdgeId id) const;
  std::optional<EdgeId> find_in(NodeId target, std::string_view name) const;

  // Node-link form: {directed, multigraph, graph, nodes, adjacency}.
  Value to_value() const;

 private:
  friend class Composer;

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<NodeId> roots_;
  bool has_settled_joins_ = false;
  std::unordered_map<std::string, NodeId, StringHash, std::equal_to<>> ids_;
};

}  // namespace millrace::conductor
