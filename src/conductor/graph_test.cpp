// SPDX-License-Identifier: Apache-2.0
#include "conductor/graph.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/yaml.h"

namespace millrace::conductor {
namespace {

// A spec and the graph that points into it.
struct Composed {
  explicit Composed(std::string_view tasks, expr::Mode mode = expr::Mode::Orquesta)
      : spec(read_spec(normalized(parse_yaml(tasks, "w.yaml")->value, mode), mode)),
        graph(Graph::compose(Flow(spec))) {}
  const Node& operator[](std::string_view name) { return graph->node(*graph->find(name)); }

  Spec spec;
  Result<Graph> graph;
};

TEST(Graph, RootsAreTheTasksThatNothingLeadsTo) {
  Composed w("tasks: {b: {next: [{do: c}]}, a: {next: [{do: c}]}, c: {join: all}}");
  std::vector<std::string> roots;
  for (NodeId id : w.graph->roots()) roots.push_back(w.graph->node(id).name);
  EXPECT_EQ(roots, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(w["c"].barrier->kind, Barrier::Kind::All);
  EXPECT_FALSE(w["c"].is_split);
}

TEST(Graph, ATaskReachedTwiceWithoutJoinSplits) {
  Composed w(
      "tasks: {a: {next: [{do: 'b, c'}]}, b: {next: [{do: d}]}, c: {next: [{do: d}]}, d: {}}");
  EXPECT_TRUE(w["d"].is_split);
  EXPECT_EQ(w["d"].splits, std::vector<std::string>{"d"});
}

TEST(Graph, TheSameTargetOfOneTransitionIsOneEdge) {
  Composed w("tasks: {a: {next: [{do: [b, b]}, {do: b}]}, b: {}}");
  const Node& a = w["a"];
  ASSERT_EQ(a.out.size(), 2u);
  EXPECT_EQ(w.graph->out_name(a.out[0]), "b__t0");
  EXPECT_EQ(w.graph->out_name(a.out[1]), "b__t1");
  EXPECT_EQ(w.graph->in_name(a.out[1]), "a__t1");
  EXPECT_EQ(w.graph->find_in(*w.graph->find("b"), "a__t1"), a.out[1]);
  EXPECT_EQ(w.graph->find_out(*w.graph->find("a"), "b__t2"), std::nullopt);
}

TEST(Graph, ATransitionWithoutTargetContinues) {
  Composed w("tasks: {a: {next: [{publish: [{x: 1}]}]}}");
  EXPECT_EQ(w.graph->out_name(w["a"].out[0]), "continue__t0");
}

TEST(Graph, RetryIsNoTargetButARetry) {
  Composed w("tasks: {a: {next: [{when: <% failed() %>, do: retry}]}}");
  EXPECT_TRUE(w["a"].out.empty());
  ASSERT_TRUE(w["a"].retry);
  EXPECT_EQ(w["a"].retry->count.source(), Value(3));
}

TEST(Graph, CyclesAreSeen) {
  Composed w("tasks: {a: {next: [{do: b}]}, b: {next: [{do: c}]}, c: {next: [{do: b}]}}");
  EXPECT_FALSE(w["a"].in_cycle);
  EXPECT_TRUE(w["b"].in_cycle);
  EXPECT_TRUE(w["c"].in_cycle);
}

TEST(Graph, AnUndefinedTargetIsAnError) {
  Composed w("tasks: {a: {next: [{do: b}]}}");
  ASSERT_FALSE(w.graph.ok());
  EXPECT_EQ(w.graph.error().code(), "CND-0002");
}

// Each level doubles the ways; composing must not.
TEST(Graph, ALadderOfForksIsComposedQuickly) {
  std::string tasks = "tasks:\n";
  constexpr int kLevels = 200;
  for (int i = 0; i < kLevels; ++i) {
    std::string n = std::to_string(i);
    std::string next = std::to_string(i + 1);
    tasks += "  j" + n + ": {join: 1, next: [{do: 'x" + n + ", y" + n + "'}]}\n";
    tasks += "  x" + n + ": {next: [{do: j" + next + "}]}\n";
    tasks += "  y" + n + ": {next: [{do: j" + next + "}]}\n";
  }
  tasks += "  j" + std::to_string(kLevels) + ": {join: 1}\n";
  Composed w(tasks);
  ASSERT_TRUE(w.graph.ok());
  EXPECT_EQ(w.graph->nodes().size(), 3u * kLevels + 1);
}

}  // namespace
}  // namespace millrace::conductor
