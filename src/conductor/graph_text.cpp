// SPDX-License-Identifier: Apache-2.0
#include "conductor/graph_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace millrace::conductor {
namespace {

bool is_start(const Graph& graph, const Node& node) {
  return std::ranges::any_of(graph.roots(),
                             [&](NodeId root) { return &graph.node(root) == &node; });
}

Value join_of(const Barrier& barrier) {
  if (barrier.kind == Barrier::Kind::Count) return Value(barrier.count);
  return Value(barrier.settled() ? "settled" : "all");
}

void set_given(Value& shown, std::string_view key, const Value& value) {
  if (!value.is_null()) shown.set(key, value);
}

Value node_view(const Graph& graph, const Node& node, const TaskStatuses& statuses) {
  const Task& task = *node.task;
  Value shown = Value::map({{"name", node.name}});
  set_given(shown, "action", task.action.source());
  if (is_start(graph, node)) shown.set("start", true);
  if (node.barrier) shown.set("join", join_of(*node.barrier));
  if (task.items) shown.set("with_items", task.items->clause);
  if (node.retry) shown.set("retry", node.retry->count.source());
  set_given(shown, "delay", task.delay.source());
  set_given(shown, "timeout", task.timeout.source());
  if (task.waits_for_answer) shown.set("wait_for", "inquiry");
  if (task.holds_on_failure) shown.set("on_failure", "hold");
  if (!task.compensate.empty()) shown.set("compensate", task.compensate);
  if (auto it = statuses.find(node.name); it != statuses.end()) shown.set("status", it->second);
  return shown;
}

Value edge_view(const Graph& graph, const Edge& edge) {
  const Node& source = graph.node(edge.source);
  const Transition& transition = source.task->next[static_cast<size_t>(edge.transition)];
  Value shown = Value::map({{"from", source.name}, {"to", graph.node(edge.target).name}});
  set_given(shown, "when", transition.when.source());
  if (transition.is_else) shown.set("else", true);
  if (!transition.publish.empty()) {
    Value names = Value::list();
    for (const Assignment& published : transition.publish) names.push_back(published.name);
    shown.set("publish", std::move(names));
  }
  return shown;
}

std::string plain(const Value& value) {
  return value.is_string() ? std::string(value.as_string()) : to_json(value);
}

std::string listed(const Value& names) {
  std::string out;
  for (const Value& name : names.as_list()) {
    out += (out.empty() ? "" : ", ") + std::string(name.as_string());
  }
  return out;
}

// What stands behind the name of a task: `ci.build, start, join all, retry 3`.
std::vector<std::string> remarks(const Value& node) {
  std::vector<std::string> out;
  if (node.find("action")) out.push_back(plain(node["action"]));
  if (node.find("start")) out.emplace_back("start");
  for (std::string_view key : {"join", "retry", "delay", "timeout", "compensate"}) {
    if (node.find(key)) out.push_back(fmt::format("{} {}", key, plain(node[key])));
  }
  if (node.find("with_items")) out.push_back(fmt::format("with {}", plain(node["with_items"])));
  if (node.find("wait_for")) out.emplace_back("waits for an answer");
  if (node.find("on_failure")) out.emplace_back("held on failure");
  return out;
}

std::string condition(const Value& edge) {
  if (edge.find("when")) return "when " + plain(edge["when"]);
  return edge.find("else") ? "else" : "";
}

std::string dot_text(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string_view colour(std::string_view status) {
  if (status == "succeeded") return "palegreen";
  if (status == "failed" || status == "timeout" || status == "abandoned") return "lightcoral";
  if (status == "running" || status == "retrying") return "lightskyblue";
  if (status == "pending" || status == "paused" || status == "pausing") return "khaki";
  return "lightgrey";
}

}  // namespace

Value graph_view(const Definition& definition, const TaskStatuses& statuses) {
  const Graph& graph = definition.graph();
  Value nodes = Value::list();
  Value edges = Value::list();
  for (const Node& node : graph.nodes()) {
    if (!node.task) continue;
    nodes.push_back(node_view(graph, node, statuses));
    std::vector<EdgeId> out = node.out;
    std::ranges::sort(out, {}, [&](EdgeId id) {
      const Edge& edge = graph.edge(id);
      return std::pair<int, std::string_view>(edge.transition, graph.node(edge.target).name);
    });
    for (EdgeId id : out) edges.push_back(edge_view(graph, graph.edge(id)));
  }
  return Value::map({{"nodes", std::move(nodes)}, {"edges", std::move(edges)}});
}

std::string graph_text(const Value& view) {
  std::string out;
  for (const Value& node : view["nodes"].as_list()) {
    std::string_view name = node.string_or("name", "");
    out += name;
    if (node.find("status")) out += fmt::format(" [{}]", plain(node["status"]));
    auto said = remarks(node);
    out += fmt::format("{}{}\n", said.empty() ? "" : ": ", fmt::join(said, ", "));
    for (const Value& edge : view["edges"].as_list()) {
      if (edge.string_or("from", "") != name) continue;
      std::string when = condition(edge);
      out += fmt::format("  -> {}{}{}", plain(edge["to"]), when.empty() ? "" : "  ", when);
      if (edge.find("publish")) out += fmt::format("  publish {}", listed(edge["publish"]));
      out += '\n';
    }
  }
  return out;
}

std::string graph_dot(const Value& view, std::string_view title) {
  std::string out =
      fmt::format("digraph {} {{\n  node [shape=box, style=filled];\n", dot_text(title));
  for (const Value& node : view["nodes"].as_list()) {
    std::string_view status = node.string_or("status", "");
    std::string label(node.string_or("name", ""));
    for (const std::string& remark : remarks(node)) label += "\n" + remark;
    if (!status.empty()) label += fmt::format("\n[{}]", status);
    out += fmt::format("  {} [label={}, fillcolor={}];\n", dot_text(node.string_or("name", "")),
                       dot_text(label), status.empty() ? "white" : colour(status));
  }
  for (const Value& edge : view["edges"].as_list()) {
    std::string when = condition(edge);
    out +=
        fmt::format("  {} -> {}{};\n", dot_text(plain(edge["from"])), dot_text(plain(edge["to"])),
                    when.empty() ? "" : fmt::format(" [label={}]", dot_text(when)));
  }
  for (const Value& node : view["nodes"].as_list()) {
    if (!node.find("compensate")) continue;
    out += fmt::format("  {} -> {} [style=dashed, label=\"undone by\"];\n",
                       dot_text(plain(node["name"])), dot_text(plain(node["compensate"])));
  }
  return out + "}\n";
}

}  // namespace millrace::conductor
