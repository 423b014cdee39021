// SPDX-License-Identifier: Apache-2.0
#include "conductor/schema.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/yaml.h"

namespace millrace::conductor {
namespace {

std::vector<SchemaProblem> check(std::string_view yaml) {
  auto document = parse_yaml(yaml, "w.yaml");
  EXPECT_TRUE(document.ok());
  return validate(orquesta_schema(), document->value);
}

TEST(DocumentSchema, TakesAWorkflowOfEveryKey) {
  EXPECT_TRUE(check(R"(
version: 1.0
description: all keys
tags: [a, b]
input: [x, {y: 1}]
vars: [{v: null}]
output: [{o: <% ctx().v %>}]
tasks:
  a:
    delay: 1
    with: {items: "x in <% ctx().x %>", concurrency: 2}
    action: core.noop
    input: {k: v}
    retry: {when: <% failed() %>, count: 2, delay: <% ctx().y %>}
    next:
      - {when: <% succeeded() %>, publish: a=1, do: b}
      - {publish: [{p: 1}], do: [b, noop]}
  b: {join: all}
)")
                  .empty());
}

TEST(DocumentSchema, AMisspeltKeyIsToldWithTheRightOne) {
  auto problems = check("tasks: {a: {acton: core.noop}}");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].spec_path, "tasks.a");
  EXPECT_NE(problems[0].message.find("'acton' (did you mean 'action'?)"), std::string::npos);
}

TEST(DocumentSchema, AllProblemsAreFound) {
  auto problems = check("{version: 2.0, input: [], tasks: {a: {join: some, delay: -1}}}");
  EXPECT_EQ(problems.size(), 4u);
}

TEST(DocumentSchema, BooleansAreNoNumbers) {
  EXPECT_EQ(check("tasks: {a: {delay: true}}").size(), 1u);
  EXPECT_EQ(check("tasks: {a: {join: 2.0}}").size(), 1u);
}

TEST(ItemsClause, HasNamesOrNone) {
  EXPECT_TRUE(is_items_clause("<% ctx(xs) %>"));
  EXPECT_TRUE(is_items_clause(" {{ ctx().xs }} "));
  EXPECT_TRUE(is_items_clause("x in <% ctx(xs) %>"));
  EXPECT_TRUE(is_items_clause("x,y, z in <% zip(a, b) %>"));
  EXPECT_FALSE(is_items_clause("foobar"));
  EXPECT_FALSE(is_items_clause("x y in <% a %>"));
  EXPECT_FALSE(is_items_clause("x; y in <% a %>"));
  EXPECT_FALSE(is_items_clause("x in<% a %>"));
  EXPECT_FALSE(is_items_clause("x in <% a\n %>"));
}

}  // namespace
}  // namespace millrace::conductor
