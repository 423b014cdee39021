// SPDX-License-Identifier: Apache-2.0
#include "conductor/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <set>

#include "conductor/bits.h"

namespace millrace::conductor {

std::string edge_name(std::string_view end, int key) {
  std::string name(end);
  name += "__t";
  name += std::to_string(key);
  return name;
}

std::optional<std::pair<std::string_view, int>> parse_edge_name(std::string_view text) {
  size_t mark = text.rfind("__t");
  if (mark == std::string_view::npos) return std::nullopt;
  int key = 0;
  std::string_view digits = text.substr(mark + 3);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return std::pair(text.substr(0, mark), key);
}

// Visits the tasks breadth first with the split tasks passed so far. A task outside of cycles is
// visited again when it is reached with splits not seen there before; the last visit's count.
class Composer {
 public:
  Composer(const Flow& flow, Graph& graph) : flow_(flow), graph_(graph) {}

  Result<void> run() {
    for (int start : flow_.starts()) queue_.push_back({start, {}, {}});
    while (!queue_.empty()) {
      Visit visit = std::move(queue_.front());
      queue_.pop_front();
      TRY(enter(visit));
    }
    for (const auto& [id, splits] : splits_of_) {
      for (int split : splits) node(id).splits.emplace_back(flow_.name(split));
    }
    for (int start : flow_.starts()) graph_.roots_.push_back(ensure(start));
    sort_edges();
    add_compensations();
    for (size_t i = 0; i < graph_.nodes_.size(); ++i) find_feeders(graph_.nodes_[i]);
    return {};
  }

 private:
  struct Visit {
    int task;
    std::vector<int> splits;  // in the order of the way
    Bits passed;              // the same
  };

  Result<void> enter(Visit& visit) {
    NodeId id = ensure(visit.task);
    if (flow_.is_split(visit.task) && !flow_.in_cycle(visit.task)) {
      visit.splits.push_back(visit.task);
      visit.passed.add(static_cast<size_t>(visit.task));
    }
    if (!visit.splits.empty()) splits_of_[id] = visit.splits;
    const bool is_first = entered_.insert(visit.task).second;
    const Task* task = flow_.task(visit.task);
    if (task && task->retry) node(id).retry = task->retry;
    for (const Flow::Exit& exit : flow_.exits(visit.task)) {
      if (exit.name == "retry") {
        node(id).retry = retry_command(task->next[static_cast<size_t>(exit.transition)]);
        continue;
      }
      if (exit.target == Flow::kUnknown) {
        return Error(ErrorKind::Invalid, "CND-0002",
                     fmt::format("task '{}': transition {} leads to the undefined task '{}'",
                                 flow_.name(visit.task), exit.transition, exit.name));
      }
      plan_visit(exit.target, visit);
      if (is_first) connect(id, ensure(exit.target), exit.transition);
    }
    return {};
  }

  void plan_visit(int target, const Visit& from) {
    if (graph_.find(flow_.name(target)) && flow_.in_cycle(target)) return;
    auto [known, is_new] = splits_seen_.try_emplace(target);
    if (!is_new && known->second.includes(from.passed)) return;
    known->second.unite(from.passed);
    queue_.push_back({target, from.splits, from.passed});
  }

  static Retry retry_command(const Transition& transition) {
    constexpr std::string_view kAlways = "<% completed() %>";
    return {.when = transition.when.is_null() ? Renderable(Value(kAlways)) : transition.when,
            .count = Renderable(Value(3)),
            .delay = Renderable(),
            .is_command = true};
  }

  NodeId ensure(int task) {
    std::string_view name = flow_.name(task);
    if (auto found = graph_.find(name)) return *found;
    NodeId id = static_cast<NodeId>(graph_.nodes_.size());
    graph_.ids_.emplace(name, id);
    graph_.nodes_.push_back({.name = std::string(name),
                             .barrier = barrier(flow_.task(task)),
                             .task = flow_.task(task),
                             .is_split = flow_.is_split(task),
                             .in_cycle = flow_.in_cycle(task)});
    return id;
  }

  static std::optional<Barrier> barrier(const Task* task) {
    if (!task || !task->is_join()) return std::nullopt;
    if (task->join.is_int()) return Barrier{Barrier::Kind::Count, task->join.as_int()};
    if (task->join == Value("settled")) return Barrier{Barrier::Kind::Settled};
    return Barrier{};
  }

  // The same target twice in one transition is one edge.
  void connect(NodeId source, NodeId target, int transition) {
    int key = 0;
    for (EdgeId id : node(source).out) {
      const Edge& edge = graph_.edge(id);
      if (edge.target != target) continue;
      if (edge.transition == transition) return;
      ++key;
    }
    EdgeId id = static_cast<EdgeId>(graph_.edges_.size());
    graph_.edges_.push_back({source, target, key, transition});
    node(source).out.push_back(id);
    node(target).in.push_back(id);
  }

  void sort_edges() {
    for (Node& node : graph_.nodes_) {
      std::ranges::sort(node.out, {}, [&](EdgeId id) {
        const Edge& edge = graph_.edge(id);
        return std::pair<std::string_view, int>(graph_.node(edge.target).name, edge.key);
      });
    }
  }

  // Tasks that undo others are nodes without edges.
  void add_compensations() {
    size_t count = graph_.nodes_.size();
    for (size_t i = 0; i < count; ++i) {
      const Task* task = graph_.nodes_[i].task;
      int undone_by = task ? flow_.find(task->compensate) : Flow::kUnknown;
      if (undone_by == Flow::kUnknown || !flow_.task(undone_by)) continue;
      NodeId id = ensure(undone_by);
      if (flow_.task(undone_by)->retry) node(id).retry = flow_.task(undone_by)->retry;
      graph_.nodes_[i].undone_by = id;
    }
  }

  void find_feeders(Node& join) {
    if (!join.barrier || !join.barrier->settled()) return;
    graph_.has_settled_joins_ = true;
    join.fed_by.resize(graph_.nodes_.size());
    std::vector<EdgeId> open = join.in;
    while (!open.empty()) {
      NodeId source = graph_.edge(open.back()).source;
      open.pop_back();
      if (join.fed_by[static_cast<size_t>(source)]) continue;
      join.fed_by[static_cast<size_t>(source)] = true;
      const auto& further = node(source).in;
      open.insert(open.end(), further.begin(), further.end());
    }
  }

  Node& node(NodeId id) { return graph_.nodes_[static_cast<size_t>(id)]; }

  const Flow& flow_;
  Graph& graph_;
  std::deque<Visit> queue_;
  std::unordered_map<int, Bits> splits_seen_;
  std::map<NodeId, std::vector<int>> splits_of_;
  std::set<int> entered_;
};

Result<Graph> Graph::compose(const Flow& flow) {
  Graph graph;
  TRY(Composer(flow, graph).run());
  return graph;
}

Result<void> Graph::compile(expr::Engine& engine, expr::Mode mode) {
  for (Node& node : nodes_) {
    if (!node.retry) continue;
    TRY(node.retry->when.compile(engine, mode));
    TRY(node.retry->count.compile(engine, mode));
    TRY(node.retry->delay.compile(engine, mode));
    TRY(node.retry->max_delay.compile(engine, mode));
  }
  return {};
}

std::optional<NodeId> Graph::find(std::string_view name) const {
  auto it = ids_.find(name);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

std::string Graph::out_name(EdgeId id) const {
  return edge_name(node(edge(id).target).name, edge(id).key);
}

std::string Graph::in_name(EdgeId id) const {
  return edge_name(node(edge(id).source).name, edge(id).key);
}

std::optional<EdgeId> Graph::find_out(NodeId source, std::string_view name) const {
  auto parsed = parse_edge_name(name);
  if (!parsed) return std::nullopt;
  for (EdgeId id : node(source).out) {
    if (edge(id).key == parsed->second && node(edge(id).target).name == parsed->first) return id;
  }
  return std::nullopt;
}

std::optional<EdgeId> Graph::find_in(NodeId target, std::string_view name) const {
  auto parsed = parse_edge_name(name);
  if (!parsed) return std::nullopt;
  for (EdgeId id : node(target).in) {
    if (edge(id).key == parsed->second && node(edge(id).source).name == parsed->first) return id;
  }
  return std::nullopt;
}

namespace {

Value barrier_to_value(const Barrier& barrier) {
  if (barrier.kind == Barrier::Kind::Count) return Value(barrier.count);
  return Value(barrier.settled() ? "settled" : "*");
}

}  // namespace

Value Graph::to_value() const {
  Value nodes = Value::list();
  Value adjacency = Value::list();
  for (const Node& node : nodes_) {
    Value shown = Value::map({{"id", node.name}});
    if (node.barrier) shown.set("barrier", barrier_to_value(*node.barrier));
    if (!node.splits.empty()) {
      shown.set("splits", Value(ValueList(node.splits.begin(), node.splits.end())));
    }
    if (node.retry) {
      Value retry =
          Value::map({{"when", node.retry->when.source()}, {"count", node.retry->count.source()}});
      if (!node.retry->is_command) retry.set("delay", node.retry->delay.source());
      shown.set("retry", std::move(retry));
    }
    nodes.push_back(std::move(shown));
    Value edges = Value::list();
    for (EdgeId id : node.out) {
      const Edge& e = edge(id);
      Value criteria = Value::list();
      const Value& when = node.task->next[static_cast<size_t>(e.transition)].when.source();
      if (!when.is_null()) criteria.push_back(when);
      edges.push_back(Value::map({{"criteria", std::move(criteria)},
                                  {"ref", e.transition},
                                  {"id", this->node(e.target).name},
                                  {"key", e.key}}));
    }
    adjacency.push_back(std::move(edges));
  }
  return Value::map({{"directed", true},
                     {"multigraph", true},
                     {"graph", Value::list()},
                     {"nodes", std::move(nodes)},
                     {"adjacency", std::move(adjacency)}});
}

}  // namespace millrace::conductor
