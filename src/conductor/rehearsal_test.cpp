// SPDX-License-Identifier: Apache-2.0
#include "conductor/rehearsal.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::conductor {
namespace {

using Names = std::vector<std::string>;

// A workflow and one case of a rehearsal of it.
class Play {
 public:
  Play(std::string_view workflow, std::string_view rehearsed,
       expr::Mode mode = expr::Mode::Native) {
    auto document = parse_yaml(workflow, "w.yaml");
    EXPECT_TRUE(document.ok()) << document.error().describe();
    auto definition = Definition::compile(document->value, engine_, mode);
    EXPECT_TRUE(definition.ok()) << definition.error().describe();
    auto file = parse_yaml("workflow: w.yaml\n" + std::string(rehearsed), "r.yaml");
    EXPECT_TRUE(file.ok()) << file.error().describe();
    auto rehearsal = read_rehearsal(*file, "r.yaml");
    EXPECT_TRUE(rehearsal.ok()) << rehearsal.error().describe();
    case_ = rehearsal->cases.at(0);
    auto played = rehearse(*definition, case_, engine_);
    if (played.ok()) {
      outcome = std::move(*played);
    } else {
      error = played.error().message();
    }
  }

  Names sequence() const {
    Names out;
    for (const auto& step : outcome.sequence) {
      out.push_back(step.status == "succeeded" ? step.task : step.task + " " + step.status);
    }
    return out;
  }
  Names told() const {
    Names out;
    for (const auto& d : differences(case_.expect, outcome)) {
      out.push_back(d.what + ": " + d.expected + " | " + d.found);
    }
    return out;
  }

  Outcome outcome;
  std::string error;

 private:
  expr::Engine engine_;
  RehearsalCase case_;
};

constexpr std::string_view kDeploy = R"(
input: [commit]
tasks:
  test:
    action: ci.test
    input: {commit: <% ctx().commit %>}
    retry: {count: 1, delay: 10}
    next:
      - {when: <% succeeded() %>, publish: [{passed: <% result().passed %>}], do: approve}
  approve:
    wait_for: inquiry
    next: [{when: <% result().response.approved %>, do: deploy}]
  deploy:
    with: host in <% list(a, b) %>
    action: ci.deploy
    input: {host: <% item(host) %>}
    compensate: roll_back
  roll_back: {action: ci.roll_back}
output: [{passed: <% ctx().passed %>}]
)";

TEST(Rehearsal, PlaysWhatTheTasksAnswerInTurn) {
  Play play(kDeploy, R"(
inputs: {commit: abc}
results:
  test: [{status: failed}, {result: {passed: 12}}]
  approve: {answer: {approved: true}}
expect:
  status: succeeded
  sequence: [test: failed, test, approve, deploy]
  calls: {test: {commit: abc}, deploy: [{host: a}, {host: b}]}
  output: {passed: 12}
  errors: ["Execution failed"]
)");
  EXPECT_EQ(play.told(), Names{}) << play.error;
  EXPECT_EQ(play.sequence(), (Names{"test failed", "test", "approve", "deploy"}));
}

TEST(Rehearsal, TellsEachDifference) {
  Play play(kDeploy, R"(
results: {test: {status: failed}}
inputs: {commit: abc}
expect:
  status: succeeded
  sequence: [test, approve]
  calls: {deploy: [], test: {commit: abc}}
  output: {passed: 1}
  errors: []
  waiting: [approve]
)");
  EXPECT_EQ(play.told()[0], "status: succeeded | failed");
  EXPECT_EQ(play.told()[1], "sequence: test, approve | test failed, test failed");
  EXPECT_EQ(play.told()[2], "calls.deploy: [] | (not called)");
  EXPECT_EQ(play.told()[3], R"(output: {"passed":1} | null)");
  EXPECT_TRUE(play.told()[4].starts_with("errors: (none) | test: Execution failed"));
  EXPECT_EQ(play.told()[5], "waiting: approve | (none)");
  EXPECT_EQ(play.told().size(), 6u);
}

TEST(Rehearsal, ATaskWithoutAnAnswerWaits) {
  Play play(kDeploy, "results: {test: {result: {passed: 1}}}\nexpect: {waiting: [approve]}");
  EXPECT_EQ(play.told(), Names{});
  EXPECT_EQ(play.outcome.status, "running");
  EXPECT_EQ(play.sequence(), (Names{"test", "approve pending"}));
}

TEST(Rehearsal, AnItemFailsAloneAndTheWorkIsUndone) {
  Play play(kDeploy, R"(
results:
  test: {result: {passed: 1}}
  approve: {answer: {approved: true}}
  deploy: {items: [{result: 1}, {status: failed, result: no}]}
expect: {sequence: [test, approve, deploy: failed], status: failed}
)");
  EXPECT_EQ(play.told(), Names{});
}

TEST(Rehearsal, ACancelEndsWhatRunsAndUndoesWhatIsDone) {
  Play play(
      "tasks: {a: {action: x.a, compensate: undo, next: [{do: 'b, ask'}]}, "
      "b: {action: x.b}, ask: {wait_for: inquiry}, undo: {action: x.u}}",
      "cancel_after: a\nexpect: {status: canceled, sequence: [a, undo]}");
  EXPECT_EQ(play.told(), Names{}) << play.error;
  Play later(
      "tasks: {a: {action: x.a, compensate: undo, next: [{do: 'b, ask, c'}]}, "
      "b: {action: x.b}, c: {action: x.c}, ask: {wait_for: inquiry}, undo: {action: x.u}}",
      "cancel_after: b\nexpect: {status: canceled, "
      "sequence: [a, ask: canceled, b, c: canceled, undo]}");
  EXPECT_EQ(later.told(), Names{}) << later.error;
}

TEST(Rehearsal, TimeIsCountedSoThatTimeoutsAndOrderShow) {
  constexpr std::string_view kText =
      "tasks: {a: {action: x.a, timeout: 5, next: [{when: <% timed_out() %>, do: late}]}, "
      "b: {action: x.b, next: [{do: c}]}, c: {action: x.c}, late: {action: x.l}}";
  Play play(kText,
            "results: {a: {takes: 6}, b: {takes: 1}}\n"
            "expect: {status: succeeded, sequence: [a: timeout, b, c, late]}");
  EXPECT_EQ(play.told(), Names{});
}

TEST(Rehearsal, AnOperatorDecidesWhatIsHeld) {
  constexpr std::string_view kText =
      "tasks: {a: {action: x.a, on_failure: hold, next: "
      "[{when: <% succeeded() %>, do: b}]}, b: {action: x.b}}";
  Play again(kText,
             "results: {a: [{status: failed, resolve: retry}, {result: 1}]}\n"
             "expect: {status: succeeded, sequence: [a: failed, a, b]}");
  EXPECT_EQ(again.told(), Names{}) << again.error;
  Play forced(kText,
              "results: {a: {status: failed, resolve: succeed}}\n"
              "expect: {sequence: [a, b]}");
  EXPECT_EQ(forced.told(), Names{}) << forced.error;
  Play held(kText, "results: {a: {status: failed}}\nexpect: {waiting: [a], status: running}");
  EXPECT_EQ(held.told(), Names{}) << held.error;
}

TEST(Rehearsal, KnowsKeysConfigurationAndResultsOfTasks) {
  Play play(
      "tasks: {a: {action: x.a, next: [{do: b}]}, b: {action: x.b, input: "
      "{r: '{{ task.a.result }}', k: <% st2kv('system.k') %>, c: '{{ config.c }}'}}}",
      "keys: {system.k: s}\nconfig: {c: 3}\nresults: {a: {result: 7}}\n"
      "expect: {calls: {b: {r: 7, k: s, c: 3}}}");
  EXPECT_EQ(play.told(), Names{}) << play.error;
}

TEST(Rehearsal, AnEmptyListOfItemsEndsAtOnce) {
  Play play("tasks: {a: {with: <% list() %>, action: x.a, next: [{do: b}]}, b: {}}",
            "expect: {sequence: [a, b], status: succeeded, calls: {a: []}}");
  EXPECT_EQ(play.told(), Names{}) << play.error;
}

TEST(Rehearsal, ThePausesOfTheReferencesInquiriesAreResumedByTheAnswer) {
  Play play(
      "tasks: {ask: {action: core.ask, next: [{when: <% succeeded() %>, "
      "publish: [{r: <% result().response.ok %>}], do: b}]}, b: {action: x.b}}",
      "results: {ask: {answer: {ok: true}}}\n"
      "expect: {status: succeeded, sequence: [ask, b]}",
      expr::Mode::Orquesta);
  EXPECT_EQ(play.told(), Names{}) << play.error;
}

TEST(Rehearsal, PlaysChains) {
  Play play(
      "chain: [{name: a, ref: x.a, on-failure: b, on-success: c}, {name: b, ref: x.b, "
      "parameters: {why: '{{ a }}'}}, {name: c, ref: x.c}]",
      "results: {a: {status: failed, result: no}}\n"
      "expect: {status: succeeded, sequence: [a: failed, b], calls: {b: {why: no}}}");
  EXPECT_EQ(play.told(), Names{}) << play.error;
}

TEST(Rehearsal, AKeyThatAChainDoesNotFindIsAnEmptyText) {
  Play play(
      "{vars: {v: '{{ system.nix }}'}, chain: [{name: a, ref: x.y, parameters: "
      "{v: '<{{ v }}{{ st2kv.system.nix }}>', ran: '{{ a is defined }}'}}]}",
      "expect: {calls: {a: {v: '<>', ran: false}}}");
  EXPECT_EQ(play.told(), Names{}) << play.error;
}

TEST(Rehearsal, AnUnknownTaskIsToldWithTheRightOne) {
  Play play("tasks: {build: {}}", "results: {biuld: {}}\nexpect: {status: succeeded}");
  EXPECT_EQ(play.error,
            "case 'case 1': results names the unknown task 'biuld' (did you mean 'build'?)");
}

TEST(Rehearsal, ARunWithoutEndIsAnError) {
  Play play("tasks: {s: {next: [{do: a}]}, a: {next: [{do: a}]}}", "expect: {status: succeeded}");
  EXPECT_EQ(play.error, "case 'case 1': still running after 10000 starts of tasks");
}

Names mistakes(std::string_view text) {
  auto read = read_rehearsal(*parse_yaml(text, "r.yaml"), "r.yaml");
  Names out;
  if (read.ok()) return out;
  for (const Problem& problem : read.error().problems()) {
    out.push_back(problem.path + " " + problem.message);
  }
  return out;
}

TEST(RehearsalFile, TellsAllItsMistakesWithTheirLines) {
  EXPECT_EQ(
      mistakes(R"(
cases:
  - name: a
    expect: {}
  - input: {}
    results:
      build: [{state: failed}]
    expect: {status: succeeded}
)"),
      (Names{"r.yaml:2 the key 'workflow' is missing",
             "r.yaml:4 cases[0].expect: expected at least one key, found none",
             "r.yaml:5 cases[1]: unknown key 'input' (did you mean 'inputs'?); known are name, "
             "inputs, context, keys, config, results, cancel_after, expect",
             "r.yaml:7 cases[1].results.build[0]: unknown key 'state' (did you mean "
             "'status'?); known are status, result, takes, answer, resolve, items"}));
}

TEST(RehearsalFile, OneCaseMayStandBesideTheWorkflow) {
  EXPECT_EQ(mistakes("workflow: w.yaml\nexpect: {status: succeeded}"), Names{});
  EXPECT_EQ(mistakes("workflow: w.yaml"), Names{"r.yaml:1 the key 'expect' is missing"});
  EXPECT_EQ(mistakes("workflow: w.yaml\ncases: []"),
            Names{"r.yaml:2 cases: expected at least one entry, found none"});
}

// As on the server, where each decision has a limit, and the next one its own.
TEST(Rehearsal, WhatOneDecisionCannotDoFailsInItToo) {
  constexpr std::string_view kCase = "cases: [{name: x, expect: {status: failed}}]";
  Play play(R"(
tasks:
  a:
    action: x.a
    next:
      - publish:
          - a: "{{ range(450000) | sum }}"
          - b: "{{ range(450000) | sum }}"
          - c: "{{ range(450000) | sum }}"
)",
            kCase);
  EXPECT_EQ(play.error, "");
  EXPECT_EQ(play.outcome.status, "failed");
  ASSERT_FALSE(play.outcome.errors.empty());
  EXPECT_TRUE(play.outcome.errors[0].ends_with(
      "the evaluations of one decision took more than 2000000 steps together"))
      << play.outcome.errors[0];
  std::string chain = "tasks:\n";
  for (int i = 0; i < 30; ++i) {
    chain += "  t" + std::to_string(i) +
             ": {action: x.a, input: {n: \"{{ range(100000) | sum }}\"}, next: [{do: t" +
             std::to_string(i + 1) + "}]}\n";
  }
  Play longer(chain + "  t30: {action: x.a}\n", kCase);
  EXPECT_EQ(longer.outcome.status, "succeeded") << longer.error;
  Play wide(R"(
tasks:
  each:
    with: {items: "{{ range(50) | list }}", concurrency: 10}
    action: x.a
    input: {n: "{{ range(50000) | sum }}"}
)",
            kCase);
  EXPECT_EQ(wide.outcome.status, "succeeded") << wide.error;
}

}  // namespace
}  // namespace millrace::conductor
