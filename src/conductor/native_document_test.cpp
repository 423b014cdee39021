// SPDX-License-Identifier: Apache-2.0
// Spelling, names and inspection of the native language.
#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

TEST(Attune, SpellsTheSameGraph) {
  Rig run(R"(
parameters:
  host: {type: string, default: web1}
  count: 3
tasks:
  - name: ping
    action: net.ping
    input: {to: "{{ parameters.host }}", n: "{{ parameters.count }}"}
    next: [{do: report}]
  - name: report
    action: core.echo
    input: {ms: "{{ task.ping.result.ms }}"}
output_map:
  last: "{{ task.ping.result.ms }}"
)",
          Value::map({{"host", "web2"}}));
  EXPECT_EQ(to_json(run.offered("ping").actions[0].input), R"({"to":"web2","n":3})");
  run.succeed("ping", Value::map({{"ms", 4}}));
  EXPECT_EQ(to_json(run.offered("report").actions[0].input), R"({"ms":4})");
  run.succeed("report");
  ASSERT_TRUE(run.conductor().render_output().ok());
  EXPECT_EQ(to_json(run.state().output), R"({"last":4})");
}

TEST(Names, StandBesideCtx) {
  Rig run(R"(
input: [a]
tasks:
  x:
    with: i in {{ workflow.list }}
    action: core.noop
    input: {item: "{{ item.i }}", index: "{{ index }}", b: "{{ workflow.b }}", a: "{{ ctx().a }}"}
vars: [{list: [p, q]}, {b: "{{ parameters.a }}"}]
)",
          Value::map({{"a", 5}}));
  NextTask task = run.offered("x");
  EXPECT_EQ(to_json(task.actions[1].input), R"({"item":"q","index":1,"b":5,"a":5})");
}

TEST(Names, AKeyThatMustBeLoadedFirstIsAskedFor) {
  Rig run("tasks: {a: {action: core.noop, input: {t: '{{ keystore.token }}'}}}");
  auto tasks = run.conductor().next_tasks();
  ASSERT_FALSE(tasks.ok());
  EXPECT_EQ(expr::needed_key(tasks.error()), "token");
  run.reported.set_key("token", "s3");
  EXPECT_EQ(to_json(run.offered("a").actions[0].input), R"({"t":"s3"})");
}

TEST(NativeMode, DataIsNeverEvaluated) {
  Rig run("{input: [a], tasks: {x: {action: core.echo, input: {m: <% ctx().a %>}}}}",
          Value::map({{"a", "<% 1 + 1 %>"}}));
  EXPECT_EQ(to_json(run.offered("x").actions[0].input), R"({"m":"<% 1 + 1 %>"})");
}

TEST(NativeInspection, TakesEveryNativeKey) {
  EXPECT_EQ(found(R"(
language: native
parameters: {n: 1}
tasks:
  - name: a
    action: core.noop
    timeout: 1.5
    first: true
    on_failure: hold
    compensate: undo
    retry: {count: 2, delay: 0.5, backoff: exponential, max_delay: 10, jitter: 0.1}
    with: {items: "<% list(1, 2) %>", batch_size: 2, concurrency: <% 1 + 1 %>}
    next: [{when: <% timed_out() %>, do: b}, {else: b}]
  - name: b
    join: settled
    wait_for: inquiry
  - name: undo
    action: core.noop
output_map: {r: <% ctx().n %>}
)"),
            Names{});
}

TEST(NativeInspection, TellsWhatIsWrongAndWhere) {
  EXPECT_EQ(found("tasks:\n  a:\n    action: core.noop\n    compensate: undu\n  undo: {}\n"),
            Names{"4 tasks.a.compensate: task 'a': undefined task 'undu' (did you mean 'undo'?)"});
  EXPECT_EQ(found("tasks:\n  - name: a\n    wait_for: inquiry\n    action: core.noop\n"),
            Names{"2 tasks.a: task 'a': 'wait_for' takes no 'action' and no 'with'"});
  EXPECT_EQ(found("tasks:\n  a:\n    next:\n      - {else: b, when: <% 1 %>}\n  b: {}\n").size(),
            1u);
  EXPECT_EQ(found("tasks: {a: {compensate: b, next: [{do: b}]}, b: {}}").size(), 1u);
}

TEST(NativeInspection, WhatIsNoWorkflowIsToldSo) {
  for (std::string_view text : {"", "null", "# only this", "---"}) {
    auto findings = found(text);
    ASSERT_EQ(findings.size(), 1u) << text;
    EXPECT_TRUE(findings[0].ends_with(
        " : expected a workflow, a map with 'tasks', found an empty document"))
        << findings[0];
  }
  EXPECT_EQ(found("[1]"), Names{"1 : expected a workflow, a map with 'tasks', found [1]"});
  EXPECT_EQ(found("text"), Names{"1 : expected a workflow, a map with 'tasks', found \"text\""});
  EXPECT_EQ(found("{}"), Names{"1 : the key 'tasks' is missing"});
  EXPECT_EQ(found("tasks:"), Names{"1 tasks: expected object, found null"});
  EXPECT_EQ(found("tasks: {}"), Names{"1 tasks: expected at least one key, found none"});
}

TEST(NativeInspection, AMisspeltRootNameIsToldWithTheRightOne) {
  auto findings = found("tasks:\n  a:\n    input:\n      x: '{{ paramters.y }}'\n");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].starts_with(
      "3 tasks.a.input: unknown name 'paramters' (did you mean 'parameters'?)"))
      << findings[0];
  EXPECT_EQ(found("tasks: {a: {input: {x: '{% for i in index %}{{ i }}{% endfor %}'}}}"), Names{});
}

TEST(NativeInspection, NativeKeysAreUnknownInTheReferencesLanguage) {
  EXPECT_EQ(found("language: orquesta\ntasks:\n  a:\n    timeout: 1\n").size(), 1u);
}

}  // namespace
}  // namespace millrace::conductor
