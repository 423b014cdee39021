// SPDX-License-Identifier: Apache-2.0
// Events that the server makes of what it does itself, and how far rules may go round with them.
#include <fmt/format.h>

#include "base/yaml.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/told_events.h"
#include "harness.h"

namespace millrace::engine {
namespace {

const char* const kTriggers[] = {"core.st2.generic.actiontrigger",
                                 "core.st2.generic.notifytrigger",
                                 "core.st2.generic.inquiry",
                                 "core.st2.key_value_pair.create",
                                 "core.st2.key_value_pair.update",
                                 "core.st2.key_value_pair.value_change",
                                 "core.st2.key_value_pair.delete",
                                 "core.inquiry_answered",
                                 "core.pack_installed",
                                 "core.announcement",
                                 "core.intervaltimer"};

class ToldEventsTest : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto core = std::make_shared<Pack>(*core_pack());
    for (const char* ref : kTriggers) {
      Trigger trigger;
      trigger.ref = ref;
      core->triggers.push_back(trigger);
    }
    Action announce;
    announce.ref = "core.announcement";
    announce.runner = Runner::Builtin;
    announce.runner_type = "announcement";
    Action loud;
    loud.ref = "core.loud";
    loud.runner = Runner::Builtin;
    loud.runner_type = "noop";
    loud.notify = *parse_json(
        R"({"on-complete":{"routes":["#a","#b"],"message":"m"},"on-failure":{"routes":["#c"]}})");
    Parameter password;
    password.name = "password";
    password.schema = Value::map({{"type", "string"}});
    password.secret = true;
    loud.parameters.push_back(password);
    core->actions.push_back(announce);
    core->actions.push_back(loud);
    Action steps;
    steps.ref = "core.steps";
    steps.runner = Runner::Workflow;
    steps.entry_point = "workflows/steps.yaml";
    auto text = parse_yaml("tasks: {a: {action: core.noop}, b: {action: core.noop}}", "steps");
    steps.workflow = std::make_shared<const YamlNode>(std::move(*text));
    core->actions.push_back(steps);
    return {core, test_pack()};
  }

  void rule(std::string ref, std::string trigger, std::string action, const char* parameters = "{}",
            const char* criteria = "null") {
    RuleSpec spec;
    spec.ref = std::move(ref);
    spec.trigger = std::move(trigger);
    spec.action = std::move(action);
    spec.action_parameters = *parse_json(parameters);
    spec.criteria = *parse_json(criteria);
    auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
    });
    ASSERT_TRUE(made.ok()) << made.error().describe();
  }

  // Payloads of the events of a trigger, oldest first.
  std::vector<Value> told(const std::string& trigger) {
    auto reader = store_->open_reader();
    auto rows = store::list_events(**reader, kDefaultTenant, trigger,
                                   {.limit = 200, .order = store::Order::OldestFirst});
    std::vector<Value> all;
    for (const auto& row : *rows) {
      auto whole = store::find_event(**reader, kDefaultTenant, row.id);
      all.push_back(*parse_json((*whole)->payload_json));
    }
    return all;
  }

  Result<KeyRow> write(std::string name, const char* json, int64_t version, bool remove = false,
                       const Caller& caller = kTester) {
    KeyWrite write;
    write.key = {kDefaultTenant, "system", std::move(name)};
    write.value_json = json;
    write.version = version;
    write.remove = remove;
    return await<KeyRow>(
        [&](auto reply) { engine_->submit(command::write_key(caller, write, reply)); });
  }

  // A process of a rule's action, which asks with its own token: one rule has led to it.
  Caller run_of_rule() {
    rule("ci.on_main", "ci.push", "core.sleep", R"({"seconds":100})");
    EXPECT_TRUE(send("main", "first").ok());
    settle();
    auto reader = store_->open_reader();
    auto rows = store::list_executions(**reader, kDefaultTenant, {}, {.limit = 1});
    Caller caller = kTester;
    caller.run = rows->front().id;
    return caller;
  }
};

TEST_F(ToldEventsTest, NothingIsWrittenThatNoRuleWaitsFor) {
  ASSERT_TRUE(run("core.loud").ok());
  ASSERT_TRUE(write("a", "1", 1).ok());
  settle();
  EXPECT_EQ(count("event"), 0);
  EXPECT_EQ(count("message"), 0);
}

TEST_F(ToldEventsTest, AnEndIsToldWithItsCommitAndWithoutSecrets) {
  rule("ci.on_end", "core.st2.generic.actiontrigger", "core.noop", "{}",
       R"({"trigger.action_ref":{"type":"equals","pattern":"core.loud"}})");
  ASSERT_TRUE(run("core.loud", Value::map({{"password", "Kanarie-88"}})).ok());
  settle();
  auto events = told("core.st2.generic.actiontrigger");
  ASSERT_EQ(events.size(), 2u) << "its own end, and that of the rule's action";
  EXPECT_EQ(events[0]["status"], Value("succeeded"));
  EXPECT_EQ(events[0]["action_name"], Value("core.loud"));
  EXPECT_EQ(events[0]["runner_ref"], Value("noop"));
  EXPECT_EQ(events[0]["parameters"]["password"], Value("********")) << to_json(events[0]);
  EXPECT_NE(events[0].string_or("execution_id", ""), "");
  EXPECT_EQ(count("execution"), 2);
}

TEST_F(ToldEventsTest, EachRouteOfItsNotifyIsTold) {
  rule("ci.on_note", "core.st2.generic.notifytrigger", "core.noop");
  ASSERT_TRUE(run("core.loud").ok());
  settle();
  auto events = told("core.st2.generic.notifytrigger");
  ASSERT_EQ(events.size(), 2u) << "it has not failed";
  EXPECT_EQ(events[1]["route"], Value("#b"));
  EXPECT_EQ(events[1]["message"], Value("m"));
}

TEST_F(ToldEventsTest, AQuestionAndItsAnswerAreTold) {
  rule("ci.asked", "core.st2.generic.inquiry", "core.noop");
  rule("ci.answered", "core.inquiry_answered", "core.noop");
  auto asked = run("core.ask", Value::map({{"prompt", "go?"}, {"route", "dev"}}));
  ASSERT_TRUE(asked.ok());
  settle();
  ASSERT_EQ(told("core.st2.generic.inquiry").size(), 1u);
  EXPECT_EQ(told("core.st2.generic.inquiry")[0]["route"], Value("dev"));
  auto done = await<InquiryRow>([&](Reply<InquiryRow> reply) {
    engine_->submit(command::answer(kTester, InquiryId{asked->id.value},
                                    {.response = Value("yes"), .is_admin = true, .roles = {}},
                                    std::move(reply)));
  });
  ASSERT_TRUE(done.ok()) << done.error().describe();
  settle();
  ASSERT_EQ(told("core.inquiry_answered").size(), 1u);
  EXPECT_EQ(told("core.inquiry_answered")[0]["response"], Value("yes"));
}

TEST_F(ToldEventsTest, WhatBecomesOfAKeyIsTold) {
  for (const char* what : {"create", "update", "value_change", "delete"}) {
    rule(fmt::format("ci.{}", what), fmt::format("core.st2.key_value_pair.{}", what), "core.noop");
  }
  ASSERT_TRUE(write("a", "1", 1).ok());
  ASSERT_TRUE(write("a", "1", 2).ok());
  ASSERT_TRUE(write("a", "2", 3).ok());
  ASSERT_TRUE(write("a", "", 4, true).ok());
  settle();
  ASSERT_EQ(told("core.st2.key_value_pair.create").size(), 1u);
  auto made = told("core.st2.key_value_pair.create")[0]["object"];
  EXPECT_EQ(made["name"], Value("a"));
  EXPECT_EQ(made["scope"], Value("st2kv.system"));
  EXPECT_EQ(made["value"], Value(1));
  EXPECT_EQ(told("core.st2.key_value_pair.update").size(), 2u);
  ASSERT_EQ(told("core.st2.key_value_pair.value_change").size(), 1u);
  auto changed = told("core.st2.key_value_pair.value_change")[0];
  EXPECT_EQ(changed["old_object"]["value"], Value(1));
  EXPECT_EQ(changed["new_object"]["value"], Value(2));
  EXPECT_EQ(told("core.st2.key_value_pair.delete").size(), 1u);
}

// How many rules led to each event, and what the last enforcement says.
void ends_after_a_hundred(int64_t events, int64_t executions, const std::string& error,
                          int64_t deepest) {
  EXPECT_EQ(events, kLongestChain + 1);
  EXPECT_EQ(deepest, kLongestChain);
  EXPECT_GE(executions, kLongestChain);
  EXPECT_NE(error.find("RUL-0013"), std::string::npos) << error;
}

TEST_F(ToldEventsTest, ARuleThatStartsItselfEndsAfterAHundred) {
  rule("ci.again", "ci.push", "core.inject_trigger",
       R"({"trigger":"ci.push","payload":{"n":"{{ trigger.branch }}","branch":"x"}})");
  ASSERT_TRUE(send("x", "e1").ok());
  // Others are served meanwhile, and when it is over.
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  auto reader = store_->open_reader();
  auto failed = store::list_enforcements(**reader, kDefaultTenant, {}, {.limit = 1});
  ASSERT_TRUE(failed.ok());
  ends_after_a_hundred(count("event"), count("execution") - 1, failed->front().error,
                       *store::query_int(**reader, "SELECT max(chain) FROM event"));
  EXPECT_EQ(count("enforcement WHERE status = 1"), 1);
  EXPECT_EQ(count("message"), 0);
}

TEST_F(ToldEventsTest, ARuleOnEveryEndEndsAfterAHundred) {
  rule("ci.ends", "core.st2.generic.actiontrigger", "core.noop");
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  auto reader = store_->open_reader();
  auto failed = store::list_enforcements(**reader, kDefaultTenant, {}, {.limit = 1});
  ends_after_a_hundred(count("event"), count("execution"), failed->front().error,
                       *store::query_int(**reader, "SELECT max(chain) FROM event"));
}

TEST_F(ToldEventsTest, ARuleOnAnnouncementsThatAnnouncesEndsAfterAHundred) {
  rule("ci.echo", "core.announcement", "core.announcement");
  ASSERT_TRUE(run("core.announcement").ok());
  settle();
  EXPECT_EQ(count("event"), kLongestChain + 1);
  EXPECT_EQ(count("enforcement WHERE status = 1"), 1);
}

TEST_F(ToldEventsTest, WhatARunAsksForWithItsTokenIsOfItsChain) {
  rule("ci.end", "core.st2.generic.actiontrigger", "core.noop", "{}",
       R"({"trigger.action_ref":{"type":"equals","pattern":"core.echo"}})");
  Caller caller = run_of_rule();
  auto sent = await<Ingested>([&](Reply<Ingested> reply) {
    NewEvent event;
    event.trigger = "ci.push";
    event.source = "test";
    event.payload = Value::map();
    event.payload_json = "{}";
    engine_->submit(command::ingest(caller, std::move(event), std::move(reply)));
  });
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  auto started = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    NewExecution request;
    request.action = "core.echo";
    engine_->submit(command::run(caller, std::move(request), std::move(reply)));
  });
  ASSERT_TRUE(started.ok()) << started.error().describe();
  settle();
  EXPECT_EQ(count("event WHERE chain = 1"), 2) << "its event, and its execution's end";
}

TEST_F(ToldEventsTest, AKeyThatARunWritesIsOfItsChain) {
  rule("ci.key", "core.st2.key_value_pair.create", "core.noop");
  ASSERT_TRUE(write("a", "1", 1, false, run_of_rule()).ok());
  settle();
  EXPECT_EQ(count("event WHERE event_trigger = 'core.st2.key_value_pair.create' AND chain = 1"), 1);
}

TEST_F(ToldEventsTest, ARerunIsAsDeepAsTheDeeperOfItsOriginalAndWhoAsks) {
  auto outside = run("core.noop");
  ASSERT_TRUE(outside.ok());
  settle();
  Caller caller = run_of_rule();
  auto rerun = [&](const Caller& who, ExecutionId id) {
    auto row = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      engine_->submit(command::rerun(who, id, {}, std::move(reply)));
    });
    EXPECT_TRUE(row.ok()) << row.error().describe();
    return row.ok() ? *row : ExecutionRow{};
  };
  auto by_run = rerun(caller, outside->id);
  EXPECT_EQ(chain_of(by_run), 1);
  settle();
  EXPECT_EQ(chain_of(rerun(kTester, by_run.id)), 1);
}

TEST_F(ToldEventsTest, ATimerThatARunFiresIsOfItsChain) {
  RuleSpec spec;
  spec.ref = "ci.timer";
  spec.trigger = "core.intervaltimer";
  spec.trigger_parameters = Value::map({{"unit", "days"}, {"interval", 5}});
  spec.action = "core.noop";
  auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
    engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
  });
  ASSERT_TRUE(made.ok()) << made.error().describe();
  auto fired = await<EventId>([&](Reply<EventId> reply) {
    engine_->submit(command::operate_timer(run_of_rule(), {schedule_name(spec), TimerWish::Fire},
                                           std::move(reply)));
  });
  ASSERT_TRUE(fired.ok()) << fired.error().describe();
  settle();
  EXPECT_EQ(count("event WHERE event_trigger = 'core.intervaltimer' AND chain = 1"), 1);
}

TEST_F(ToldEventsTest, AReplayThatARunAsksForIsOfItsChain) {
  auto sent = send("x", "e1");
  ASSERT_TRUE(sent.ok());
  Caller caller = run_of_rule();
  auto again = await<Ingested>([&](Reply<Ingested> reply) {
    engine_->submit(command::replay(caller, {.event = sent->event}, std::move(reply)));
  });
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(count("event WHERE replay_of > 0 AND chain = 1"), 1);
}

TEST_F(ToldEventsTest, APackThatARunInstallsIsOfItsChain) {
  rule("ci.pack", "core.pack_installed", "core.noop");
  Caller caller = run_of_rule();
  auto all = packs();
  auto extra = std::make_shared<Pack>();
  extra->ref = "extra";
  extra->digest = "x1";
  all.push_back(extra);
  auto loaded = await<int>([&](Reply<int> reply) {
    engine_->submit(command::load_packs(caller, pack_set(all), std::move(reply)));
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  settle();
  EXPECT_EQ(told("core.pack_installed").size(), 1u);
  EXPECT_EQ(count("event WHERE event_trigger = 'core.pack_installed' AND chain = 1"), 1);
}

// A value of any length: masking by value leaves out what is too short to be told apart.
TEST_F(ToldEventsTest, AnEndHasNoSecretHoweverShort) {
  rule("ci.on_end", "core.st2.generic.actiontrigger", "core.noop", "{}",
       R"({"trigger.action_ref":{"type":"equals","pattern":"core.loud"}})");
  ASSERT_TRUE(run("core.loud", Value::map({{"password", "k9"}})).ok());
  settle();
  auto events = told("core.st2.generic.actiontrigger");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(to_json(events[0]["parameters"]), R"({"password":"********"})");
}

// Its rules trust what it tells.
TEST_F(ToldEventsTest, WhatTheServerToldIsNotReplayedWithAnotherPayload) {
  rule("ci.key", "core.st2.key_value_pair.create", "core.noop");
  ASSERT_TRUE(write("a", "1", 1).ok());
  settle();
  auto reader = store_->open_reader();
  auto rows =
      store::list_events(**reader, kDefaultTenant, "core.st2.key_value_pair.create", {.limit = 1});
  ASSERT_EQ(rows->size(), 1u);
  auto replay = [&](Replay how) {
    how.event = rows->front().id;
    return await<Ingested>([&](Reply<Ingested> reply) {
      engine_->submit(command::replay(kTester, how, std::move(reply)));
    });
  };
  auto edited = replay({.payload = Value::map(), .edited_json = "{}"});
  ASSERT_FALSE(edited.ok());
  EXPECT_EQ(edited.error().code(), "EVT-0003");
  EXPECT_TRUE(replay({}).ok());
}

// Two rules on one event double what there is to do: one that is one of k counts as more.
TEST_F(ToldEventsTest, RulesThatMatchTogetherAreDeeperThanOneAlone) {
  for (const char* ref : {"ci.a", "ci.b"}) rule(ref, "ci.push", "core.fail");
  rule("ci.ends", "core.st2.generic.actiontrigger", "core.noop", "{}",
       R"({"trigger.action_ref":{"type":"equals","pattern":"core.none"}})");
  ASSERT_TRUE(send("x", "e1").ok());
  settle();
  EXPECT_EQ(count("event WHERE chain = 9"), 2);
}

TEST_F(ToldEventsTest, RulesThatMultiplyEndBelowTenThousand) {
  for (int i = 0; i < 8; ++i) {
    rule(fmt::format("ci.r{}", i), "core.st2.generic.actiontrigger", "core.noop");
  }
  ASSERT_TRUE(run("core.noop").ok());
  settle();
  EXPECT_EQ(count("execution"), 1 + 8 + 64 + 512 + 4096);
  auto reader = store_->open_reader();
  auto failed = store::list_enforcements(**reader, kDefaultTenant, {}, {.limit = 1});
  EXPECT_NE(failed->front().error.find("8 rules match"), std::string::npos);
}

// A rule on every end that starts a workflow hears each of its steps.
TEST_F(ToldEventsTest, AStepsEndIsDeeperThanThatOfAWhole) {
  rule("ci.ends", "core.st2.generic.actiontrigger", "core.noop", "{}",
       R"({"trigger.action_ref":{"type":"equals","pattern":"core.none"}})");
  ASSERT_TRUE(run("core.steps").ok());
  settle();
  EXPECT_EQ(count("event WHERE chain = 25"), 2);
  EXPECT_EQ(count("event WHERE chain = 0"), 1);
}

}  // namespace
}  // namespace millrace::engine
