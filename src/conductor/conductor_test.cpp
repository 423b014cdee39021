// SPDX-License-Identifier: Apache-2.0
#include "conductor/conductor.h"

#include <fmt/format.h>

#include "base/yaml.h"
#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

constexpr auto kOrquesta = expr::Mode::Orquesta;

TEST(Conducting, ASequenceSucceedsWithItsLastTask) {
  Rig run(
      "{tasks: {a: {next: [{publish: [{x: <% result() %>}], do: b}]}, b: {}},"
      " output: [{x: <% ctx().x %>}]}",
      Value::map(), kOrquesta);
  EXPECT_EQ(run.next(), Names{"a"});
  run.succeed("a", 5);
  EXPECT_EQ(run.next(), Names{"b"});
  run.succeed("b");
  EXPECT_EQ(run.status(), Status::Succeeded);
  ASSERT_TRUE(run.conductor().render_output().ok());
  EXPECT_EQ(to_json(run.state().output), R"({"x":5})");
}

// Inspection refuses it too, but what was stored before may be compiled without.
TEST(Conducting, ATaskCalledLikeACommandIsRefused) {
  expr::Engine engine;
  for (const char* name : {"noop", "fail", "continue", "retry"}) {
    auto document = parse_yaml(
        fmt::format("{{tasks: {{a: {{next: [{{do: {0}}}]}}, {0}: {{next: [{{do: {0}}}]}}}}}}",
                    name),
        "w.yaml");
    ASSERT_TRUE(document.ok());
    auto compiled = Definition::compile(document->value, engine, kOrquesta);
    ASSERT_FALSE(compiled.ok()) << name;
    EXPECT_EQ(compiled.error().code(), "CND-0002");
  }
}

// What somebody sends may stand in every value of a workflow; in each of them it stays a text that
// reads no key.
class DataReadsNoKey : public testing::TestWithParam<std::string> {
 protected:
  void start(std::string_view yaml) {
    run_.emplace(yaml, Value::map({{"msg", GetParam()}}), kOrquesta);
    run_->reported.set_key("system.pw", "Kanarie-77");
  }
  void expect_nothing_read() {
    std::string all = to_json(run_->state().output);
    for (const Value& context : run_->state().contexts) all += to_json(context);
    for (const std::string& message : run_->messages()) all += message;
    EXPECT_EQ(all.find("Kanarie-77"), std::string::npos) << all;
  }
  std::optional<Rig> run_;
};

TEST_P(DataReadsNoKey, InValues) {
  start(R"(
input: [msg]
vars: [{v: <% ctx().msg %>}, {l: '<% list(ctx().v, ctx().msg) %>'}]
tasks:
  a:
    input: {message: <% ctx().v %>, <% ctx().v %>: 1}
    next: [{when: <% ctx().v != 'Kanarie-77' %>, publish: [{m: <% result() %>}], do: b}]
  b:
    with: {items: 'i in <% ctx().l %>'}
    input: {message: <% item(i) %>}
output: [{m: <% ctx().m %>}, {v: '{{ ctx().v }}'}]
)");
  NextTask a = run_->offered("a");
  Value entry = Value::map({{"message", GetParam()}});
  entry.set(GetParam(), 1);
  EXPECT_EQ(a.actions.at(0).input, entry);
  run_->succeed("a", GetParam());
  NextTask b = run_->offered("b");
  ASSERT_EQ(b.actions.size(), 2u) << testing::PrintToString(run_->messages());
  for (const ActionCall& call : b.actions) EXPECT_EQ(call.input["message"], GetParam());
  run_->report_item("b", 0, Status::Running);
  run_->report_item("b", 0, Status::Succeeded);
  run_->report_item("b", 1, Status::Running);
  run_->report_item("b", 1, Status::Succeeded);
  ASSERT_TRUE(run_->conductor().render_output().ok());
  EXPECT_EQ(run_->state().output, Value::map({{"m", GetParam()}, {"v", GetParam()}}));
  expect_nothing_read();
}

TEST_P(DataReadsNoKey, InSettings) {
  for (std::string_view setting :
       {"delay: <% ctx().msg %>", "retry: {count: <% ctx().msg %>}",
        "retry: {count: 2, delay: <% ctx().msg %>}", "retry: {count: 2, when: <% ctx().msg %>}",
        "action: <% ctx().msg %>", "with: {items: <% ctx().msg %>}",
        "with: {items: '<% [1] %>', concurrency: <% ctx().msg %>}",
        "next: [{when: <% ctx().msg %>, do: fail}]"}) {
    SCOPED_TRACE(setting);
    start("{input: [msg], tasks: {a: {" + std::string(setting) + "}}}");
    auto offered = run_->conductor().next_tasks();
    ASSERT_TRUE(offered.ok()) << offered.error().message();
    for (auto status : {Status::Running, Status::Failed}) {
      (void)run_->conductor().event("a", 0, {.status = status});  // a wrong setting is refused
    }
    expect_nothing_read();
  }
}

INSTANTIATE_TEST_SUITE_P(Spellings, DataReadsNoKey,
                         testing::Values("<% st2kv('system.pw', decrypt => true) %>",
                                         "<% st2kv('system.pw') %>",
                                         "{{ st2kv('system.pw', decrypt=true) }}",
                                         "{% if true %}{{ st2kv('system.pw') }}{% endif %}"));

// Found by workflow_fuzz: asking for the try that a canceled task cannot have went on without end,
// until the stack was used up.
TEST(Retry, ACanceledTaskIsNotTriedAgain) {
  for (auto mode : {expr::Mode::Orquesta, expr::Mode::Native}) {
    for (std::string_view when : {"<% completed() %>", "<% not succeeded() %>", "<% true %>"}) {
      Rig run("tasks: {a: {action: core.noop, retry: {count: 2, when: " + std::string(when) + "}}}",
              Value::map(), mode);
      run.end("a", Status::Canceled);
      EXPECT_EQ(run.status_of("a"), Status::Canceled) << when;
      EXPECT_EQ(run.status(), Status::Canceled) << when;
    }
  }
}

constexpr std::string_view kJoin = R"(
vars: [{x: {from: root, root: 1}}]
tasks:
  a: {next: [{publish: [{x: {from: a, a: 1}}], do: c}]}
  b: {next: [{publish: [{x: {from: b, b: 1}}], do: c}]}
  c: {join: all}
)";

TEST(Join, TheLastArrivalWinsAndMapsAreMerged) {
  Rig run(kJoin, Value::map(), kOrquesta);
  run.succeed("b");
  EXPECT_EQ(run.next(), Names{"a"});
  run.succeed("a");
  EXPECT_EQ(run.offered("c").ctx["x"],
            Value::map({{"from", "a"}, {"root", 1}, {"b", 1}, {"a", 1}}));
}

TEST(Join, ThatCannotBeReachedAnyMoreFailsTheWorkflow) {
  Rig run(
      "tasks: {a: {next: [{do: c}]}, b: {next: [{when: <% failed() %>, do: c}]}, c: {join: all}}",
      Value::map(), kOrquesta);
  run.succeed("a");
  run.succeed("b");
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_EQ(run.messages(), Names{"UnreachableJoinError: The join task|route \"c|0\" is partially "
                                  "satisfied but unreachable."});
}

TEST(Contexts, AreOnlyAppendedByAMerge) {
  Rig run(kJoin, Value::map(), kOrquesta);
  run.succeed("a");
  run.succeed("b");
  run.next();
  EXPECT_EQ(to_json(run.state().contexts[0]), R"({"x":{"from":"root","root":1}})");
}

TEST(Contexts, OfALoopDoNotPileUp) {
  Rig run(R"(
tasks:
  start: {next: [{do: a}]}
  a: {next: [{publish: [{i: <% result() %>}, {m: {k: <% result() %>}}], do: b}]}
  b: {next: [{do: a}]}
)",
          Value::map(), kOrquesta);
  run.succeed("start");
  for (int i = 0; i < 30; ++i) {
    run.succeed("a", i);
    run.succeed("b");
  }
  EXPECT_EQ(to_json(run.offered("a").ctx), R"({"i":29,"m":{"k":29}})");
  EXPECT_LE(run.state().sequence().back().in.size(), 2u);
}

// Each turn the task hears of itself twice, with all that it knew each time.
TEST(Contexts, DoNotDoubleWhereBranchesOfALoopMeet) {
  Rig run(R"(
tasks:
  start: {next: [{do: a}]}
  a:
    next:
      - {when: <% completed() %>, publish: [{x: {a: <% result() %>}}], do: a}
      - {when: <% succeeded() %>, publish: [{x: {b: <% result() %>}}], do: a}
)",
          Value::map(), kOrquesta);
  run.succeed("start");
  for (int i = 0; i < 30; ++i) run.succeed("a", i);
  EXPECT_LE(run.state().staged[0].in.size(), 10u);
}

TEST(Routes, ATaskReachedTwiceRunsOncePerWay) {
  Rig run("tasks: {a: {next: [{do: 'b, c'}]}, b: {next: [{do: d}]}, c: {next: [{do: d}]}, d: {}}",
          Value::map(), kOrquesta);
  run.succeed("a");
  run.succeed("b");
  run.succeed("c");
  EXPECT_EQ(run.next(), (Names{"d/1", "d/2"}));
  run.succeed("d", Value(), 1);
  EXPECT_EQ(run.status(), Status::Running);
  run.succeed("d", Value(), 2);
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Fail, TasksBesideItStillRun) {
  Rig run("tasks: {a: {next: [{when: <% failed() %>, do: 'clean, fail'}]}, clean: {}}",
          Value::map(), kOrquesta);
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_FALSE(run.conductor().is_over());
  EXPECT_EQ(run.next(), Names{"clean"});
  run.succeed("clean");
  EXPECT_TRUE(run.conductor().is_over());
}

TEST(Continue, DoesNotTakeCareOfAFailure) {
  Rig run("tasks: {a: {next: [{when: <% failed() %>, publish: [{x: 1}]}]}}", Value::map(),
          kOrquesta);
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(WithItems, ConcurrencyBelowOneCountsAsOne) {
  Rig run("tasks: {a: {with: {items: '<% list(1,2,3) %>', concurrency: 0}, action: core.noop}}",
          Value::map(), kOrquesta);
  NextTask task = run.offered("a");
  EXPECT_EQ(task.actions.size(), 1u);
  EXPECT_EQ(task.items_count, 3u);
}

TEST(WithItems, AnEmptyListIsOfferedWithoutActions) {
  Rig run("tasks: {a: {with: <% list() %>, action: core.noop, next: [{do: b}]}, b: {}}",
          Value::map(), kOrquesta);
  NextTask task = run.offered("a");
  EXPECT_EQ(task.items_count, 0u);
  EXPECT_TRUE(task.actions.empty());
  run.report("a", Status::Running);
  run.report("a", Status::Succeeded);
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(WithItems, WhatIsNoListFailsTheWorkflow) {
  Rig run("{input: [xs], tasks: {a: {with: <% ctx(xs) %>, action: core.noop}}}",
          Value::map({{"xs", "text"}}), kOrquesta);
  EXPECT_TRUE(run.next().empty());
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_EQ(run.messages(),
            Names{"TypeError: The value of \"<% ctx(xs) %>\" is not type of list."});
}

TEST(WithItems, RerunStartsTheFailedItemsOnly) {
  Rig run("tasks: {a: {with: '<% list(x, y, z) %>', action: core.echo, input: {m: <% item() %>}}}",
          Value::map(), kOrquesta);
  run.next();
  for (size_t i = 0; i < 3; ++i) run.report_item("a", i, Status::Running);
  run.report_item("a", 0, Status::Succeeded);
  run.report_item("a", 1, Status::Failed);
  EXPECT_EQ(run.status(), Status::Running);
  run.report_item("a", 2, Status::Succeeded);
  EXPECT_EQ(run.status(), Status::Failed);
  ASSERT_TRUE(run.conductor().rerun({}).ok());
  NextTask task = run.offered("a");
  ASSERT_EQ(task.actions.size(), 1u);
  EXPECT_EQ(to_json(task.actions[0].input), R"({"m":"y"})");
}

TEST(WithItems, OnlyTheEventThatEndsTheTaskNeedsTheResults) {
  Rig run("tasks: {a: {with: '<% list(x, y) %>', action: core.echo}}", Value::map(), kOrquesta);
  run.next();
  run.report_item("a", 0, Status::Running);
  run.report_item("a", 1, Status::Running);
  TaskEvent first{.status = Status::Succeeded, .item = 0};
  EXPECT_FALSE(run.conductor().needs_results("a", 0, first));
  run.report_item("a", 0, Status::Succeeded);
  TaskEvent last{.status = Status::Succeeded, .item = 1};
  EXPECT_TRUE(run.conductor().needs_results("a", 0, last));
}

TEST(Errors, SayWhatTheCallerDidWrong) {
  Rig run("tasks: {build: {next: [{do: b}]}, b: {}}", Value::map(), kOrquesta);
  auto code = [&](std::string_view task, TaskEvent event) {
    auto done = run.conductor().event(task, 0, event);
    return done.ok() ? std::string("none") : done.error().code();
  };
  EXPECT_EQ(code("biuld", {.status = Status::Running}), "CND-0006");
  EXPECT_EQ(code("b", {.status = Status::Running}), "CND-0007");
  EXPECT_EQ(code("build", {.status = Status::Running, .item = 3}), "CND-0007");
  EXPECT_EQ(code("build", {.status = Status::Retrying}), "CND-0003");
  auto resumed = run.conductor().request_status(Status::Resuming);
  EXPECT_EQ(resumed.error().code(), "CND-0004");
  EXPECT_EQ(run.conductor().rerun({}).error().code(), "CND-0009");
  auto unknown = run.conductor().event("biuld", 0, {.status = Status::Running});
  EXPECT_EQ(unknown.error().message(), "unknown task 'biuld' (did you mean 'build'?)");
}

TEST(Errors, ATaskThatTimedOutBeforeItRanTakesNoFurtherEvent) {
  Rig run("tasks: {a: {next: [{do: b}]}, b: {}}", Value::map(), kOrquesta);
  run.next();
  run.report("a", Status::Requested);
  run.report("a", Status::Timeout);
  EXPECT_EQ(run.status_of("a"), Status::Timeout);
  auto late = run.conductor().event("a", 0, {.status = Status::Succeeded});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), "CND-0005");
}

class PendingKeys final : public expr::Lookup {
 public:
  expr::Answer kv(std::string_view key, bool) const override {
    return expr::Answer::need(std::string(key));
  }
};

TEST(Lookups, AValueThatMustBeLoadedIsNotAnErrorOfTheRun) {
  expr::Engine engine;
  PendingKeys keys;
  auto document = parse_yaml("tasks: {a: {action: <% st2kv('system.name') %>}}", "w.yaml");
  auto definition = Definition::compile(document->value, engine, kOrquesta);
  Conductor conductor(*definition, State(), {.engine = engine, .outside = &keys});
  ASSERT_TRUE(conductor.begin(Value(), Value()).ok());
  ASSERT_TRUE(conductor.request_status(Status::Running).ok());
  auto tasks = conductor.next_tasks();
  ASSERT_FALSE(tasks.ok());
  EXPECT_EQ(expr::needed_key(tasks.error()), "system.name");
  EXPECT_TRUE(conductor.state().errors.empty());
  EXPECT_EQ(conductor.state().status, Status::Running);
}

class ChangesOfARun : public testing::Test {
 protected:
  void start(std::string_view yaml) {
    auto document = parse_yaml(yaml, "w.yaml");
    definition_ = *Definition::compile(document->value, engine_, kOrquesta);
    conductor_.emplace(definition_, State(), Environment{.engine = engine_});
    ASSERT_TRUE(conductor_->begin(Value(), Value()).ok());
    ASSERT_TRUE(conductor_->request_status(Status::Running).ok());
    ASSERT_TRUE(conductor_->next_tasks().ok());
    conductor_->take_changes();
  }
  expr::Engine engine_;
  DefinitionPtr definition_;
  std::optional<Conductor> conductor_;
};

TEST_F(ChangesOfARun, NameTheTouchedPiecesOnly) {
  start("tasks: {a: {next: [{publish: [{x: 1}], do: b}]}, b: {}, c: {}}");
  ASSERT_TRUE(conductor_->event("a", 0, {.status = Status::Running}).ok());
  ASSERT_TRUE(conductor_->event("c", 0, {.status = Status::Running}).ok());
  conductor_->take_changes();
  ASSERT_TRUE(conductor_->event("a", 0, {.status = Status::Succeeded}).ok());
  Changes changes = conductor_->take_changes();
  EXPECT_EQ(changes.entries, std::vector<EntryIndex>{0});
  EXPECT_EQ(changes.contexts_from, 1u);
  EXPECT_EQ(conductor_->state().contexts.size(), 2u);
  EXPECT_TRUE(changes.head);
  Changes none = conductor_->take_changes();
  EXPECT_FALSE(none.head);
  EXPECT_TRUE(none.entries.empty());
}

TEST_F(ChangesOfARun, AnItemIsOnePiece) {
  start("tasks: {a: {with: '<% range(0, 1000) %>', action: core.noop}}");
  for (size_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(conductor_->event("a", 0, {.status = Status::Running, .item = i}).ok());
  }
  conductor_->take_changes();
  ASSERT_TRUE(conductor_->event("a", 0, {.status = Status::Succeeded, .item = 7}).ok());
  Changes changes = conductor_->take_changes();
  ASSERT_EQ(changes.items.size(), 1u);
  EXPECT_EQ(changes.items[0].items, std::vector<size_t>{7});
  EXPECT_FALSE(changes.items[0].cleared);
  EXPECT_TRUE(changes.entries.empty());
  EXPECT_FALSE(changes.head);
}

TEST(WrittenState, DamageIsAnErrorNotACrash) {
  Rig run(kJoin, Value::map(), kOrquesta);
  run.succeed("a");
  const Graph& graph = run.conductor().definition().graph();
  Value good = to_value(run.state(), graph);
  EXPECT_TRUE(state_from_value(good, graph).ok());
  auto damaged = [&](std::string_view key, Value value) {
    Value bad = good;
    bad.set(key, std::move(value));
    auto read = state_from_value(bad, graph);
    return read.ok() ? std::string() : read.error().code();
  };
  EXPECT_EQ(damaged("version", 99), "CND-0011");
  EXPECT_EQ(damaged("status", "sleeping"), "CND-0011");
  EXPECT_EQ(damaged("contexts", Value::list()), "CND-0011");
  EXPECT_EQ(damaged("routes", Value::list()), "CND-0011");
  EXPECT_EQ(damaged("sequence", Value::list().push_back(Value::map({{"id", "zz"}}))), "CND-0011");
  EXPECT_EQ(damaged("staged", Value::list().push_back(Value::map({{"id", "a"}, {"route", -1}}))),
            "CND-0011");
  EXPECT_FALSE(state_from_value(Value(), graph).ok());
}

// Every cut of a written state is read or refused.
TEST(WrittenState, AnyMissingPartIsReadOrRefused) {
  Rig run(kJoin, Value::map(), kOrquesta);
  run.succeed("a");
  const Graph& graph = run.conductor().definition().graph();
  Value good = to_value(run.state(), graph);
  for (const auto& entry : good.as_map()) {
    Value cut = good;
    cut.mutable_map().erase(entry.name());
    auto read = state_from_value(cut, graph);
    if (!read.ok()) continue;
    expr::Engine engine;
    Conductor conductor(run.conductor().definition_ptr(), std::move(*read), {.engine = engine});
    auto tasks = conductor.next_tasks();
    (void)tasks;
    auto event = conductor.event("b", 0, {.status = Status::Running});
    (void)event;
  }
}

// The precondition is that of a rerun of the items that failed; who resets them lifts it.
TEST(Rerun, OfItemsThatAllSucceededNeedsThemToBeReset) {
  Rig run(
      "{tasks: {a: {with: {items: '<% list(1, 2) %>'}, action: core.echo, "
      "next: [{publish: [{r: <% result() %>}], do: b}]}, b: {action: core.noop}}}",
      Value::map(), kOrquesta);
  run.next();
  for (size_t item : {0, 1}) run.report_item("a", item, Status::Running);
  for (size_t item : {0, 1}) run.report_item("a", item, Status::Succeeded);
  run.succeed("b");
  ASSERT_EQ(run.status(), Status::Succeeded);
  auto refused = run.conductor().rerun({{"a", 0, false}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "CND-0008");
  EXPECT_NE(refused.error().message().find("--reset-items"), std::string::npos);

  ASSERT_TRUE(run.conductor().rerun({{"a", 0, true}}).ok());
  ASSERT_TRUE(run.conductor().request_status(Status::Running).ok());
  NextTask again = run.offered("a");
  ASSERT_EQ(again.actions.size(), 2u);
  for (size_t item : {0, 1}) run.report_item("a", item, Status::Running);
  for (size_t item : {0, 1}) run.report_item("a", item, Status::Succeeded);
  EXPECT_EQ(run.next(), Names{"b"});
}

}  // namespace
}  // namespace millrace::conductor
