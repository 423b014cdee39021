// SPDX-License-Identifier: Apache-2.0
#include "conductor/graph_text.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/yaml.h"

namespace millrace::conductor {
namespace {

Value view_of(std::string_view yaml, const TaskStatuses& statuses = {}) {
  expr::Engine engine;
  auto definition =
      Definition::compile(parse_yaml(yaml, "w.yaml")->value, engine, expr::Mode::Native);
  EXPECT_TRUE(definition.ok());
  return graph_view(**definition, statuses);
}

constexpr std::string_view kBuildGraph = R"(
tasks:
  build:
    action: ci.build
    retry: {count: 2}
    compensate: drop
    next:
      - {when: <% succeeded() %>, publish: [{image: <% result() %>}], do: 'test, lint'}
      - {else: fail}
  lint: {with: 'f in <% list(1) %>', action: ci.lint, next: [{do: ask}]}
  test: {action: ci.test, timeout: 60, next: [{do: ask}]}
  ask: {join: all, wait_for: inquiry}
  drop: {action: ci.drop}
)";

TEST(GraphText, TellsTasksAndTheWaysOutOfThem) {
  EXPECT_EQ(graph_text(view_of(kBuildGraph)),
            R"(build: ci.build, start, retry 2, compensate drop
  -> lint  when <% succeeded() %>  publish image
  -> test  when <% succeeded() %>  publish image
  -> fail  else
lint: ci.lint, with f in <% list(1) %>
  -> ask
test: ci.test, timeout 60
  -> ask
ask: join all, waits for an answer
drop: ci.drop
)");
}

TEST(GraphText, ShowsWhereTheTasksOfARunStand) {
  std::string text =
      graph_text(view_of(kBuildGraph, {{"build", "succeeded"}, {"lint", "running"}}));
  EXPECT_TRUE(text.starts_with("build [succeeded]: ci.build")) << text;
  EXPECT_NE(text.find("\nlint [running]: ci.lint"), text.npos) << text;
  EXPECT_NE(text.find("\ntest: ci.test"), text.npos) << text;
}

TEST(GraphText, DotQuotesWhatStandsInTheFile) {
  std::string dot =
      graph_dot(view_of(R"(tasks: {a: {next: [{when: '<% "x" in list() %>', do: b}]}, b: {}})",
                        {{"a", "failed"}}),
                "w.yaml");
  EXPECT_EQ(dot, R"dot(digraph "w.yaml" {
  node [shape=box, style=filled];
  "a" [label="a\nstart\n[failed]", fillcolor=lightcoral];
  "b" [label="b", fillcolor=white];
  "a" -> "b" [label="when <% \"x\" in list() %>"];
}
)dot");
}

TEST(GraphText, TheViewNamesWhatHoldsOfAWayOut) {
  Value edges = view_of(kBuildGraph)["edges"];
  EXPECT_EQ(to_json(edges.as_list()[0]),
            R"({"from":"build","to":"lint","when":"<% succeeded() %>","publish":["image"]})");
  EXPECT_EQ(to_json(edges.as_list()[2]), R"({"from":"build","to":"fail","else":true})");
}

TEST(GraphText, AChainShowsItsTwoWays) {
  EXPECT_EQ(graph_text(view_of("chain: [{name: a, ref: x.y, on-success: b, on-failure: c}, "
                               "{name: b, ref: x.y}, {name: c, ref: x.y}]")),
            "a: x.y, start\n  -> b  when <% succeeded() %>\n  -> c  when <% not succeeded() %>\n"
            "b: x.y\nc: x.y\n");
}

}  // namespace
}  // namespace millrace::conductor
