// SPDX-License-Identifier: Apache-2.0
#include "conductor/inspect.h"
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

TEST(WithItems, AnInInsideTheExpressionIsPartOfIt) {
  Rig run("tasks: {a: {with: '<% list(1 in list(1), 2) %>', action: core.noop}}");
  EXPECT_EQ(run.offered("a").items_count, 2u);
}

TEST(Inquiry, HoldsUpItsBranchOnly) {
  Rig run(R"(
tasks:
  ask:
    wait_for: inquiry
    input: {prompt: go on}
    next:
      - when: <% result().answer = "yes" %>
        do: deploy
  other: {next: [{do: more}]}
  more: {}
  deploy: {}
)");
  NextTask ask = run.offered("ask");
  EXPECT_TRUE(ask.waits_for_answer);
  EXPECT_TRUE(ask.actions[0].action.is_null());
  run.report("ask", Status::Pending);
  EXPECT_EQ(run.status(), Status::Running);
  run.succeed("other");
  run.succeed("more");
  EXPECT_EQ(run.status(), Status::Running);
  run.report("ask", Status::Succeeded, Value::map({{"answer", "yes"}}));
  EXPECT_EQ(run.next(), Names{"deploy"});
  run.succeed("deploy");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Inquiry, DoesNotKeepAWorkflowFromPausing) {
  Rig run("tasks: {ask: {wait_for: inquiry, next: [{do: b}]}, other: {}, b: {}}");
  run.next();
  run.report("ask", Status::Pending);
  run.report("other", Status::Running);
  ASSERT_TRUE(run.conductor().request_status(Status::Paused).ok());
  EXPECT_EQ(run.status(), Status::Pausing);
  run.report("other", Status::Succeeded);
  EXPECT_EQ(run.status(), Status::Paused);
  run.report("ask", Status::Succeeded);
  EXPECT_TRUE(run.next().empty());
  ASSERT_TRUE(run.conductor().request_status(Status::Resuming).ok());
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(Inquiry, ThatRunsOutOfTimeEndsAsTimeout) {
  Rig run(
      "tasks: {ask: {wait_for: inquiry, next: [{when: <% timed_out() %>, do: late}]}, late: {}}");
  run.next();
  run.report("ask", Status::Pending);
  run.report("ask", Status::Timeout);
  EXPECT_EQ(run.next(), Names{"late"});
}

TEST(Inquiry, ACancelWaitsForItsEnd) {
  Rig run("tasks: {ask: {wait_for: inquiry}}");
  run.next();
  run.report("ask", Status::Pending);
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_EQ(run.status(), Status::Canceling);
  run.report("ask", Status::Canceled);
  EXPECT_EQ(run.status(), Status::Canceled);
}

constexpr std::string_view kHold = R"(
tasks:
  a:
    action: core.noop
    on_failure: hold
    next: [{when: <% succeeded() %>, publish: [{r: <% result() %>}], do: b}]
  b: {}
)";

TEST(Hold, KeepsTheBranchForAnOperator) {
  Rig run(kHold);
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Running);
  EXPECT_EQ(run.status_of("a"), Status::Pending);
  EXPECT_TRUE(run.next().empty());
}

TEST(Hold, AnOperatorLetsItRunAgain) {
  Rig run(kHold);
  run.fail("a");
  ASSERT_TRUE(run.conductor().retry_held("a", 0).ok());
  EXPECT_EQ(run.next(), Names{"a"});
  run.succeed("a", 7);
  EXPECT_EQ(run.offered("b").ctx["r"], Value(7));
  auto again = run.conductor().retry_held("a", 0);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), "CND-0007");
}

TEST(Hold, AnOperatorMakesItSucceedOrFail) {
  Rig succeeded(kHold);
  succeeded.fail("a");
  succeeded.report("a", Status::Succeeded, 8);
  EXPECT_EQ(succeeded.offered("b").ctx["r"], Value(8));
  Rig failed(kHold);
  failed.fail("a");
  failed.report("a", Status::Failed);
  EXPECT_EQ(failed.status(), Status::Failed);
}

TEST(Hold, IsNotNeededWhereATransitionTakesCareOfTheFailure) {
  Rig run("tasks: {a: {on_failure: hold, next: [{when: <% failed() %>, do: b}]}, b: {}}");
  run.fail("a");
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(Hold, ComesAfterTheRetries) {
  Rig run("tasks: {a: {on_failure: hold, retry: {count: 1}}}");
  run.fail("a");
  EXPECT_EQ(run.status_of("a"), Status::Retrying);
  run.fail("a");
  EXPECT_EQ(run.status_of("a"), Status::Pending);
}

TEST(Hold, IsReleasedByACancel) {
  Rig run(kHold);
  run.fail("a");
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_EQ(run.status(), Status::Canceled);
  EXPECT_TRUE(run.conductor().is_over());
}

constexpr std::string_view kSaga = R"(
tasks:
  book:
    action: hotel.book
    compensate: unbook
    next: [{publish: [{room: <% result() %>}], do: pay}]
  pay: {action: card.pay, compensate: refund, next: [{do: send}]}
  send: {action: mail.send}
  unbook: {action: hotel.cancel, input: {room: <% ctx().room %>}}
  refund: {action: card.refund, retry: {count: 1}}
)";

TEST(Compensate, DoesNotStartByItself) {
  Rig run(kSaga);
  EXPECT_EQ(run.next(), Names{"book"});
}

TEST(Compensate, UndoesInReverseOrderOfCompletion) {
  Rig run(kSaga);
  run.succeed("book", 12);
  run.succeed("pay");
  run.fail("send");
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_FALSE(run.conductor().is_over());
  NextTask refund = run.offered("refund");
  EXPECT_EQ(refund.compensates, "pay");
  EXPECT_EQ(run.next(), Names{"refund"});
  run.succeed("refund");
  NextTask unbook = run.offered("unbook");
  EXPECT_EQ(to_json(unbook.actions[0].input), R"({"room":12})");
  run.succeed("unbook");
  EXPECT_TRUE(run.next().empty());
  EXPECT_TRUE(run.conductor().is_over());
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(Compensate, UndoesOnCancelWhenTheRunningTasksHaveEnded) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.next();
  run.report("pay", Status::Running);
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_TRUE(run.next().empty());
  run.report("pay", Status::Succeeded);
  EXPECT_EQ(run.status(), Status::Canceled);
  EXPECT_EQ(run.next(), Names{"refund"});
}

TEST(Compensate, ThatFailsIsRetriedThenNeedsADecision) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.succeed("pay");
  run.fail("send");
  run.fail("refund");
  EXPECT_EQ(run.status_of("refund"), Status::Retrying);
  run.fail("refund");
  EXPECT_EQ(run.status_of("refund"), Status::Pending);
  EXPECT_TRUE(run.next().empty());
  EXPECT_FALSE(run.conductor().is_over());
  ASSERT_TRUE(run.conductor().retry_held("refund", 0).ok());
  run.succeed("refund");
  EXPECT_EQ(run.next(), Names{"unbook"});
}

TEST(Compensate, NothingIsUndoneAfterSuccess) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.succeed("pay");
  run.succeed("send");
  EXPECT_TRUE(run.next().empty());
  EXPECT_TRUE(run.conductor().is_over());
}

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

Names found(std::string_view yaml) {
  expr::Engine engine;
  auto document = parse_yaml(yaml, "w.yaml");
  EXPECT_TRUE(document.ok());
  Names out;
  for (const Finding& finding : inspect(*document, engine, {})) {
    out.push_back(std::to_string(finding.line) + " " + finding.path + ": " + finding.message);
  }
  return out;
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
