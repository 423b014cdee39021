// SPDX-License-Identifier: Apache-2.0
// Timeouts, branches, joins, retries and items of the native language.
#include <fmt/format.h>

#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

TEST(Timeout, IsAStatusThatTransitionsSee) {
  Rig run(R"(
tasks:
  slow:
    action: core.noop
    timeout: <% ctx().limit %>
    next:
      - when: <% timed_out() %>
        do: late
      - when: <% failed() %>
        do: broken
  late: {}
  broken: {}
input: [{limit: 1.5}]
)");
  EXPECT_EQ(run.offered("slow").timeout, Value(1.5));
  run.end("slow", Status::Timeout);
  EXPECT_EQ(run.status_of("slow"), Status::Timeout);
  EXPECT_EQ(run.next(), Names{"late"});
}

TEST(Timeout, FailsTheWorkflowWhenNothingTakesCareOfIt) {
  Rig run("tasks: {slow: {action: core.noop, timeout: 1}}");
  run.end("slow", Status::Timeout);
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(Timeout, IsRetried) {
  Rig run("tasks: {slow: {action: core.noop, timeout: 1, retry: {count: 1}}}");
  run.end("slow", Status::Timeout);
  EXPECT_EQ(run.status_of("slow"), Status::Retrying);
  run.succeed("slow");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Timeout, ALateEventOfTheActionIsPassedOver) {
  Rig run("tasks: {slow: {next: [{when: <% timed_out() %>, do: late}]}, late: {}}");
  run.end("slow", Status::Timeout);
  run.report("slow", Status::Succeeded);
  EXPECT_EQ(run.status_of("slow"), Status::Timeout);
  EXPECT_EQ(run.next(), Names{"late"});
}

TEST(Else, IsTakenWhenNoConditionHeld) {
  constexpr std::string_view kText = R"(
tasks:
  ask:
    next:
      - when: <% result() = 1 %>
        do: one
      - else: other
        publish: [{seen: <% result() %>}]
  one: {}
  other: {}
)";
  Rig held(kText);
  held.succeed("ask", 1);
  EXPECT_EQ(held.next(), Names{"one"});
  Rig other(kText);
  other.succeed("ask", 2);
  EXPECT_EQ(other.next(), Names{"other"});
  EXPECT_EQ(other.offered("other").ctx["seen"], Value(2));
}

TEST(Else, RemediatesAFailure) {
  Rig run(
      "tasks: {a: {next: [{when: <% succeeded() %>, do: b}, {else: true, do: c}]}, b: {}, c: {}}");
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Running);
  EXPECT_EQ(run.next(), Names{"c"});
}

TEST(First, StopsAtTheFirstConditionThatHoldsInTheOrderOfTheFile) {
  Rig run(R"(
tasks:
  a:
    first: true
    next:
      - {when: <% result() > 1 %>, do: z}
      - {when: <% result() > 0 %>, do: b}
      - {do: c}
  z: {}
  b: {}
  c: {}
)");
  run.succeed("a", 2);
  EXPECT_EQ(run.next(), Names{"z"});
}

constexpr std::string_view kSettled = R"(
tasks:
  start: {next: [{do: 'a, b, c'}]}
  a: {next: [{when: <% succeeded() %>, do: report}]}
  b: {next: [{when: <% succeeded() %>, do: b2}]}
  b2: {next: [{do: report}]}
  c: {next: [{when: <% result() = 1 %>, do: report}]}
  report: {join: settled}
)";

TEST(SettledJoin, WaitsForAllBranchesFiredOrNot) {
  Rig run(kSettled);
  run.succeed("start");
  run.succeed("a");
  EXPECT_EQ(run.next(), (Names{"b", "c"}));
  run.succeed("c", 2);
  run.succeed("b");
  EXPECT_EQ(run.next(), Names{"b2"});
  run.succeed("b2");
  EXPECT_EQ(run.next(), Names{"report"});
  run.succeed("report");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(SettledJoin, TakesCareOfABranchThatFailed) {
  Rig run(kSettled);
  run.succeed("start");
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Running);
  run.succeed("c", 1);
  EXPECT_EQ(run.next(), Names{"b"});
  run.succeed("b");
  run.succeed("b2");
  EXPECT_EQ(run.next(), Names{"report"});
}

TEST(SettledJoin, RunsEvenIfNoBranchFired) {
  Rig run(kSettled);
  run.succeed("start");
  run.fail("a");
  run.fail("b");
  EXPECT_EQ(run.status(), Status::Failed) << "b leads to no join of its own";
  Rig other(kSettled);
  other.succeed("start");
  other.succeed("b");
  other.fail("b2");
  EXPECT_EQ(other.next(), (Names{"a", "c"}));
  other.fail("a");
  other.succeed("c", 2);
  EXPECT_EQ(other.next(), Names{"report"});
  other.succeed("report");
  EXPECT_EQ(other.status(), Status::Succeeded);
}

TEST(SettledJoin, DoesNotWaitForWhatNeverStarts) {
  Rig run(R"(
tasks:
  start: {next: [{do: a}, {when: <% result() = 1 %>, do: b}]}
  a: {next: [{do: report}]}
  b: {next: [{do: report}]}
  report: {join: settled}
)");
  run.succeed("start", 0);
  run.succeed("a");
  EXPECT_EQ(run.next(), Names{"report"});
}

TEST(Retry, BackoffGrowsToItsCeiling) {
  auto delays = [](std::string_view retry) {
    Rig run("tasks: {a: {action: core.noop, retry: " + std::string(retry) + "}}");
    Names seen;
    for (int i = 0; i < 4; ++i) {
      run.fail("a");
      seen.push_back(to_json(run.offered("a").delay));
    }
    return seen;
  };
  EXPECT_EQ(delays("{count: 4, delay: 2}"), (Names{"2", "2", "2", "2"}));
  EXPECT_EQ(delays("{count: 4, delay: 2, backoff: linear}"), (Names{"2", "4", "6", "8"}));
  EXPECT_EQ(delays("{count: 4, delay: 2, backoff: exponential, max_delay: 10}"),
            (Names{"2", "4", "8", "10"}));
}

TEST(Retry, JitterStaysWithinItsPart) {
  bool differs = false;
  for (int i = 0; i < 20; ++i) {
    Rig run("tasks: {a: {action: core.noop, retry: {count: 9, delay: 10, jitter: 0.5}}}");
    for (int j = 0; j <= i % 9; ++j) run.fail("a");
    if (run.status() != Status::Running) continue;
    double delay = run.offered("a").delay.as_float();
    EXPECT_GE(delay, 5);
    EXPECT_LE(delay, 15);
    differs = differs || delay != 10;
  }
  EXPECT_TRUE(differs);
}

std::string each_of(std::string_view items, std::string_view input) {
  return fmt::format(
      "tasks: {{each: {{with: {{items: \"{}\", concurrency: 1}}, action: core.echo, "
      "input: {{message: \"{}\"}}}}}}",
      items, input);
}

TEST(WithItems, AreAtMostTenThousand) {
  Rig most(each_of("{{ range(10000) | list }}", "x"));
  EXPECT_EQ(most.offered("each").items_count, 10'000U);
  Rig more(each_of("{{ range(10001) | list }}", "x"));
  EXPECT_EQ(more.next(), Names{});
  EXPECT_EQ(more.status(), Status::Failed);
  EXPECT_EQ(more.messages(),
            Names{"with: expected at most 10000 items, found 10001: put several into one with "
                  "batch_size, or make the list shorter"});
  Rig batches(
      "tasks: {each: {with: {items: \"{{ range(30000) | list }}\", batch_size: 100}, "
      "action: core.echo}}");
  EXPECT_EQ(batches.offered("each").items_count, 300U);
}

// All are looked at before the first is offered, in as many decisions as it takes.
TEST(WithItems, ThatAreDearTogetherAreLookedAtInSeveralDecisions) {
  Rig run(each_of("{{ range(30) | list }}", "{{ range(50000) | sum }}"));
  int decisions = 0;
  Names offered;
  do {
    run.allow(kStepsOfDecision);
    offered = run.next();
    EXPECT_GE(run.steps_left(), kStepsOfDecision / 2 - 200'000);
    ++decisions;
  } while (offered.empty() && decisions < 50);
  EXPECT_EQ(offered, Names{"each"});
  EXPECT_GT(decisions, 2);
  EXPECT_LT(decisions, 8);
}

TEST(WithItems, AMistakeInTheLastIsFoundBeforeTheFirstStarts) {
  Rig run(each_of("{{ range(30) | list }}", "{{ range(50000) | sum // (29 - item) }}"));
  for (int i = 0; i < 50 && run.status() == Status::Running; ++i) {
    run.allow(kStepsOfDecision);
    EXPECT_EQ(run.next(), Names{});
  }
  EXPECT_EQ(run.status(), Status::Failed);
}

// What is offered together is what half of a decision renders.
TEST(WithItems, ThatAreDearTogetherAreOfferedInSeveralDecisions) {
  Rig run(
      "tasks: {each: {with: {items: \"{{ range(30) | list }}\"}, action: core.echo, "
      "input: {message: \"{{ range(50000) | sum + item }}\"}}}");
  size_t started = 0;
  for (int i = 0; i < 50 && started < 30; ++i) {
    run.allow(kStepsOfDecision);
    auto tasks = *run.conductor().next_tasks();
    for (const auto& task : tasks) {
      EXPECT_LT(task.actions.size(), 15U);
      for (const auto& call : task.actions) {
        EXPECT_EQ(*call.item, started++);
        run.report_item("each", *call.item, Status::Running);
      }
    }
  }
  EXPECT_EQ(started, 30U);
}

// Keys that a template puts together are known only when it is rendered.
TEST(WithItems, AskForTheKeysOfManyItemsAtOnce) {
  Rig run(each_of("{{ range(200) | list }}", "{{ st2kv('system.k' ~ item) }}"));
  auto tasks = run.conductor().next_tasks();
  ASSERT_FALSE(tasks.ok());
  EXPECT_EQ(expr::needed_keys(tasks.error()).size(), 100U) << "as many as an error names";
}

TEST(WithItems, TenThousandOfACheapExpressionTakeAFewDecisions) {
  Rig run(each_of("{{ range(10000) | list }}", "host {{ item }} of {{ index + 1 }} {{ task }}"));
  int decisions = 0;
  Names offered;
  do {
    run.allow(kStepsOfDecision);
    offered = run.next();
    ++decisions;
  } while (offered.empty() && decisions < 10);
  EXPECT_EQ(offered, Names{"each"});
  EXPECT_LE(decisions, 3);
}

TEST(Allowance, ConditionsAndWhatIsPublishedDrawOnIt) {
  Rig run(R"(
tasks:
  a:
    next:
      - when: "{{ range(1000) | sum > 0 }}"
        publish: [{x: "{{ range(1000) | sum }}"}]
        do: b
  b: {}
)");
  run.next();
  run.report("a", Status::Running);
  run.allow(kStepsOfDecision);
  run.report("a", Status::Succeeded);
  EXPECT_LE(run.steps_left(), kStepsOfDecision - 2000);
  EXPECT_EQ(run.next(), Names{"b"});
}

// It could not be read again after a restart.
TEST(Publish, AValueThatIsTooDeepFailsTheWorkflow) {
  Rig run(R"(
vars: [{x: 1}]
tasks:
  begin: {next: [{do: a}]}
  a: {next: [{publish: [{x: {a: [<% ctx().x %>]}}], do: a}]}
)");
  run.succeed("begin");
  int rounds = 0;
  while (run.status() == Status::Running && rounds < 80) {
    run.succeed("a");
    ++rounds;
  }
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_EQ(rounds, 51);
  EXPECT_EQ(run.messages(), Names{R"('{"a":["<% ctx().x %>"]}': expected a value of at most 100 )"
                                  "levels of lists and maps"});
}

// What is published is stored, each time.
TEST(Allowance, WhatIsKeptDrawsOnItByItsSize) {
  auto publish = [](int times) {
    std::string text = "tasks:\n  a:\n    next:\n      - publish:\n";
    for (int i = 0; i < times; ++i) text += fmt::format("          - {{x{}: <% result() %>}}\n", i);
    return text;
  };
  for (auto [times, ends] : {std::pair(3, Status::Succeeded), {60, Status::Failed}}) {
    Rig run(publish(times));
    run.next();
    run.report("a", Status::Running);
    run.allow(kStepsOfDecision);
    run.report("a", Status::Succeeded, Value(std::string(2 << 20, 'x')));
    EXPECT_EQ(run.status(), ends);
    EXPECT_LE(run.steps_left(),
              kStepsOfDecision - static_cast<uint64_t>(std::min(times, 30)) * 60'000);
  }
}

TEST(WithItems, BatchesHoldSeveralElements) {
  Rig run(R"(
input: [{size: 2}]
tasks:
  a:
    with: {items: "host in <% ctx(hosts) %>", batch_size: <% ctx(size) %>, concurrency: <% 1 + 1 %>}
    action: core.ping
    input: {hosts: <% item(host) %>}
vars: [{hosts: [h1, h2, h3, h4, h5]}]
)");
  NextTask task = run.offered("a");
  EXPECT_EQ(task.items_count, 3u);
  ASSERT_EQ(task.actions.size(), 2u);
  EXPECT_EQ(to_json(task.actions[1].input), R"({"hosts":["h3","h4"]})");
  run.report_item("a", 0, Status::Running);
  run.report_item("a", 1, Status::Running);
  run.report_item("a", 0, Status::Succeeded);
  task = run.offered("a");
  ASSERT_EQ(task.actions.size(), 1u);
  EXPECT_EQ(to_json(task.actions[0].input), R"({"hosts":["h5"]})");
}

TEST(WithItems, OneNameTakesAListAsItIs) {
  Rig run(
      "{vars: [{xs: [[1, 2]]}], tasks: {a: {with: 'x in <% ctx(xs) %>', action: <% item(x) %>}}}");
  EXPECT_EQ(to_json(run.offered("a").actions[0].action), "[1,2]");
}

// Found by the simulation: the task waited for ever for an item that a canceled workflow never
// offers.
TEST(WithItems, AreNotWaitedForWhenAnotherTaskIsCanceled) {
  for (auto mode : {expr::Mode::Orquesta, expr::Mode::Native}) {
    for (bool between_items : {false, true}) {
      Rig run(R"(
vars: [{xs: [1, 2, 3]}]
tasks:
  each: {with: {items: <% ctx(xs) %>, concurrency: 1}, action: core.ping}
  beside: {action: core.ping}
)",
              Value::map(), mode);
      run.next();
      run.report("beside", Status::Running);
      run.report_item("each", 0, Status::Running);
      if (between_items) run.report_item("each", 0, Status::Succeeded);
      run.report("beside", Status::Canceled);
      if (!between_items) {
        EXPECT_EQ(run.status(), Status::Canceling);
        run.report_item("each", 0, Status::Succeeded);
      }
      EXPECT_TRUE(run.next().empty());
      EXPECT_EQ(run.status_of("each"), Status::Canceled);
      EXPECT_EQ(run.status(), Status::Canceled);
    }
  }
}

TEST(WithItems, AnInInsideTheExpressionIsPartOfIt) {
  Rig run("tasks: {a: {with: '<% list(1 in list(1), 2) %>', action: core.noop}}");
  EXPECT_EQ(run.offered("a").items_count, 2u);
}

}  // namespace
}  // namespace millrace::conductor
