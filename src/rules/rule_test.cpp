// SPDX-License-Identifier: Apache-2.0
#include "rules/rule.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/test_support.h"
#include "base/yaml.h"
#include "rules/check.h"
#include "rules/index.h"

namespace millrace::rules {
namespace {

Value read(std::string_view text) { return parse_yaml(text, "test").value().value; }

RuleSpec spec(std::string_view criteria, std::string_view parameters = "{}") {
  return {.ref = "ci.on_push",
          .trigger = "core.webhook",
          .criteria = read(criteria),
          .action = "ci.build",
          .action_parameters = read(parameters)};
}

RulePtr compiled(RuleSpec rule) {
  expr::Engine engine;
  auto made = compile(std::move(rule), RuleId(7), 1, engine);
  EXPECT_TRUE(made) << made.error().describe();
  return made ? *made : nullptr;
}

EventScope push() {
  Value payload = read(R"(
body:
  ref: refs/heads/main
  forced: false
  commits: [{id: a1, files: 3}, {id: b2, files: 40}]
  repository: {name: mill, full_name: stone/mill}
headers: {X-GitHub-Event: push}
)");
  return {.event = event_value(EventId(42), "core.webhook", 1'700'000'000'000, payload,
                               Value::map({{"name", "ci"}})),
          .now_ms = 1'767'225'600'000};
}

bool matches(std::string_view criteria) {
  expr::Engine engine;
  auto out = explain(*compiled(spec(criteria)), push(), engine);
  EXPECT_TRUE(out);
  return out && out->matches;
}

TEST(Criteria, HoldForTheSpellingsOfTheSpecification) {
  EXPECT_TRUE(matches("{}"));
  EXPECT_TRUE(matches("~"));
  EXPECT_TRUE(matches("trigger.body.ref: {type: equals, pattern: refs/heads/main}"));
  EXPECT_TRUE(matches("event.payload.body.ref: {type: EQ, pattern: refs/heads/main}"));
  EXPECT_TRUE(matches("trigger.body.commits[1].id: {type: eq, pattern: b2}"));
  EXPECT_TRUE(matches("'trigger.body.commits[*].files': {type: eq, pattern: 3}"));
  EXPECT_TRUE(matches(R"("trigger.headers['X-GitHub-Event']": {type: eq, pattern: push})"));
  EXPECT_TRUE(matches("trigger.headers.X-GitHub-Event: {type: eq, pattern: push}"));
  EXPECT_TRUE(matches("event.id: {type: eq, pattern: '42'}"));
  EXPECT_TRUE(matches("event.created: {type: startswith, pattern: '2023-11-14T'}"));
  EXPECT_TRUE(matches("event.parameters.name: {type: in, pattern: [cd, ci]}"));
  EXPECT_FALSE(matches("trigger.body.absent: {type: eq, pattern: x}"));
  EXPECT_TRUE(matches("trigger.body.absent: {type: nexists}"));
}

TEST(Criteria, AreAllOfAMapAndTreesOfAllAnyNot) {
  EXPECT_FALSE(matches(R"(
trigger.body.ref: {type: equals, pattern: refs/heads/main}
trigger.body.forced: {type: equals, pattern: true}
)"));
  EXPECT_TRUE(matches(R"(
trigger.body.commits[1].files#low: {type: gt, pattern: 30}
trigger.body.commits[1].files#high: {type: lt, pattern: 50}
)"));
  EXPECT_TRUE(matches(R"(
any:
  - trigger.body.ref: {type: equals, pattern: refs/heads/dev}
  - all:
      - trigger.body.forced: {type: equals, pattern: false}
      - not: {trigger.body.repository.name: {type: equals, pattern: other}}
)"));
  EXPECT_FALSE(matches("any: []"));
  EXPECT_TRUE(matches(R"(
trigger.body.commits:
  type: search
  condition: any
  pattern:
    item.id: {type: equals, pattern: b2}
    any: {item.files#a: {type: gt, pattern: 100}, item.files#b: {type: gt, pattern: 30}}
)"));
}

TEST(Criteria, MayBeOneExpressionOrHaveTemplatesAsPatterns) {
  EXPECT_TRUE(matches("'{{ trigger.body.ref == \"refs/heads/main\" }}'"));
  EXPECT_FALSE(matches("'{{ trigger.body.forced }}'"));
  EXPECT_FALSE(matches("'{{ trigger.body.no.such.thing }}'"));
  EXPECT_TRUE(matches("any: ['{{ trigger.body.forced }}', '{{ event.id == \"42\" }}']"));
  EXPECT_TRUE(
      matches("trigger.body.repository.full_name: {type: equals, pattern: 'stone/{{ "
              "trigger.body.repository.name }}'}"));
  EXPECT_TRUE(matches("trigger.body.commits[0].files: {type: equals, pattern: '{{ 1 + 2 }}'}"));
}

std::string problems(const RuleSpec& rule) {
  expr::Engine engine;
  auto made = compile(rule, RuleId(), 1, engine);
  std::string out;
  if (made) return out;
  for (const Problem& p : made.error().problems()) out += p.path + ": " + p.message + "\n";
  return out;
}

TEST(Compile, ReportsEveryMistake) {
  std::string found = problems(spec(R"(
triger.body: {type: equals, pattern: 1}
event.pyload.x: {type: equals, pattern: 1}
trigger.a: {type: equels, pattern: 1}
trigger.b: {pattern: 1}
trigger.c: main
trigger.d: {type: regex, pattern: '(', colour: red}
trigger.e: {type: search, condition: some, pattern: {item.x: {type: eq, pattern: 1}, y: {type: eq}}}
any: main
)",
                                    "{cmd: '{{ trigger.x | '}"));
  EXPECT_TRUE(found.starts_with(
      "/criteria/triger.body: 'triger.body': expected a path that begins with 'trigger.' or "
      "'event.' (did you mean 'trigger'?)\n"
      "/criteria/event.pyload.x: 'event.pyload.x': an event has no 'pyload' (did you mean "
      "'payload'?)\n"
      "/criteria/trigger.a/type: unknown operator 'equels' (did you mean 'equals'?)\n"
      "/criteria/trigger.b: expected 'type', the name of an operator\n"
      "/criteria/trigger.c: expected {type: OPERATOR, pattern: VALUE}, found string\n"
      "/criteria/trigger.d/colour: unknown key 'colour'\n"
      "/criteria/trigger.d/pattern: bad regular expression '(': missing ): ( (regexes run in "
      "linear time: look-around and back-references are not supported)\n"
      "/criteria/trigger.e/condition: expected one of any, all, all2any, any2any, found "
      "\"some\"\n"
      "/criteria/trigger.e/pattern/y: 'y': expected a path that begins with 'item.', as all "
      "paths inside a search\n"
      "/criteria/any: expected a list of criteria, found string\n"
      "/action/parameters/cmd: "))
      << found;
}

TEST(Compile, RefusesBadPathsAndBottomlessTrees) {
  for (const char* path : {"trigger..a", "trigger.a[", "trigger.a[x]", "trigger.'a", "trigger[0",
                           "", "trigger.", "event", "trigger.a]"}) {
    EXPECT_FALSE(Path::parse(path, PathRoot::Event)) << path;
  }
  Value deep = Value::map();
  for (int i = 0; i < 40; ++i) deep = Value::map({{"not", deep}});
  RuleSpec rule = spec("{}");
  rule.criteria = deep;
  EXPECT_NE(problems(rule).find("nested deeper than 32 levels"), std::string::npos);
}

TEST(RenderParameters, KeepsTypesAndSeesTheWholeScope) {
  auto rule = compiled(spec("{}", R"(
cmd: "echo {{ trigger.body.ref }}"
commits: "{{ trigger.body.commits }}"
count: "{{ event.payload.body.commits[1].files + 2 }}"
nested: [{where: "{{ system.rule.ref }}", plain: true}]
token: "{{ pack.config.token }}"
id: "{{ event.id }}"
upper: "{{ trigger.body.repository.name | upper }}"
)"));
  std::map<std::string, Value, std::less<>> configs = {{"ci", Value::map({{"token", "t0"}})}};
  EventScope scope = push();
  scope.pack_configs = &configs;
  expr::Engine engine;
  auto out = render_parameters(*rule, scope, engine);
  ASSERT_TRUE(out) << out.error().describe();
  EXPECT_EQ(
      to_json(*out),
      R"({"cmd":"echo refs/heads/main","commits":[{"id":"a1","files":3},{"id":"b2",)"
      R"("files":40}],"count":42,"nested":[{"where":"ci.on_push","plain":true}],"token":"t0",)"
      R"("id":"42","upper":"MILL"})");
}

TEST(RenderParameters, SeesTheRuleItselfAndTheTimeOfTheDecision) {
  auto rule = compiled(spec("{}", R"(
at: "{{ system.timestamp }}"
rule: "{{ system.rule }}"
enforcement: "{{ system.enforcement.id }}"
)"));
  expr::Engine engine;
  auto out = render_parameters(*rule, push(), engine, EnforcementId(9));
  ASSERT_TRUE(out) << out.error().describe();
  EXPECT_EQ(to_json(*out), R"({"at":"2026-01-01T00:00:00.000Z",)"
                           R"("rule":{"id":"7","ref":"ci.on_push","revision":1},)"
                           R"("enforcement":"9"})");
}

TEST(Criteria, SeeTheRuleItselfAndTheTimeOfTheDecision) {
  EXPECT_TRUE(matches("trigger.body.ref: {type: neq, pattern: '{{ system.rule.ref }}'}"));
  EXPECT_TRUE(matches("'{{ system.rule.id == \"7\" and system.rule.revision == 1 }}'"));
  EXPECT_TRUE(matches("'{{ system.timestamp == \"2026-01-01T00:00:00.000Z\" }}'"));
}

TEST(RenderParameters, NamesEveryTemplateThatFails) {
  auto rule = compiled(spec("{}", "{a: '{{ trigger.nope }}', b: 1, c: ['{{ 1 / 0 }}']}"));
  expr::Engine engine;
  auto out = render_parameters(*rule, push(), engine);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code(), "RUL-0011");
  ASSERT_EQ(out.error().problems().size(), 2u);
  EXPECT_EQ(out.error().problems()[0].path, "/a");
  EXPECT_EQ(out.error().problems()[1].path, "/c/0");
}

TEST(RenderParameters, DoesNotEvaluateWhatTheEventHolds) {
  EventScope scope{.event =
                       event_value(EventId(1), "t", 0, Value::map({{"evil", "{{ 6 * 7 }}"}}), {})};
  auto rule = compiled(spec("{}", "{a: '{{ trigger.evil }}', b: 'x {{ trigger.evil }}'}"));
  expr::Engine engine;
  auto out = render_parameters(*rule, scope, engine);
  ASSERT_TRUE(out);
  EXPECT_EQ(to_json(*out), R"({"a":"{{ 6 * 7 }}","b":"x {{ 6 * 7 }}"})");
}

// A store that has nothing loaded yet.
class EmptyLookup : public expr::Lookup {
 public:
  expr::Answer kv(std::string_view key, bool) const override {
    return expr::Answer::need(std::string(key));
  }
};

TEST(RenderParameters, AsksForWhatMustBeLoadedFirst) {
  auto rule = compiled(spec("'{{ st2kv.system.flag }}'", "{a: '{{ st2kv.system.key }}'}"));
  EmptyLookup lookup;
  EventScope scope = push();
  scope.lookup = &lookup;
  expr::Engine engine;
  auto out = render_parameters(*rule, scope, engine);
  ASSERT_FALSE(out);
  EXPECT_EQ(expr::needed_key(out.error()), "system.key");
  auto matched = RuleIndex({rule}).match(scope, engine);
  ASSERT_FALSE(matched);
  EXPECT_EQ(expr::needed_key(matched.error()), "system.flag");
}

// A store that knows one secret.
class SecretLookup : public expr::Lookup {
 public:
  expr::Answer kv(std::string_view, bool) const override {
    return expr::Answer::of(Value("hunter2"));
  }
};

TEST(Explain, KeepsWhatComesFromTheKeyStoreToItself) {
  SecretLookup lookup;
  EventScope scope{
      .event = event_value(EventId(1), "core.webhook", 0, Value::map({{"token", "hunter3"}}), {}),
      .lookup = &lookup};
  auto rule = compiled(spec(R"(
trigger.token: {type: equals, pattern: '{{ st2kv.system.token }}'}
any: ['{{ st2kv.system.token }}']
)"));
  expr::Engine engine;
  auto out = explain(*rule, scope, engine);
  ASSERT_TRUE(out);
  std::string text;
  for (const Verdict& v : out->verdicts) text += to_json(to_value(v));
  EXPECT_NE(text.find("hunter3"), std::string::npos);
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
}

TEST(TraceTag, IsRendered) {
  RuleSpec rule = spec("{}");
  rule.trace_tag = "push-{{ trigger.body.repository.name }}";
  expr::Engine engine;
  EXPECT_EQ(render_trace_tag(*compiled(rule), push(), engine).value(), "push-mill");
  EXPECT_EQ(render_trace_tag(*compiled(spec("{}")), push(), engine).value(), "");
}

TEST(Explain, TellsExpectedFoundAndWhyForEachCriterion) {
  RuleSpec rule = spec(R"(
trigger.body.ref: {type: equals, pattern: refs/heads/dev}
trigger.body.commits: {type: greaterthan, pattern: 1}
trigger.body.gone: {type: contains, pattern: x}
any:
  - trigger.body.forced: {type: exists}
)");
  rule.trigger_parameters = Value::map({{"name", "cd"}});
  expr::Engine engine;
  auto out = explain(*compiled(rule), push(), engine);
  ASSERT_TRUE(out);
  EXPECT_FALSE(out->matches);
  std::string text;
  for (const Verdict& v : out->verdicts) {
    text += v.criterion + " " + v.op + (v.holds ? " holds " : " fails ") + to_json(v.expected) +
            " " + to_json(v.found) + (v.note.empty() ? "" : " (" + v.note + ")") + "\n";
  }
  EXPECT_EQ(text,
            "enabled equals holds true true\n"
            "event.trigger equals holds \"core.webhook\" \"core.webhook\"\n"
            "event.parameters.name equals fails \"cd\" \"ci\"\n"
            "trigger.body.ref equals fails \"refs/heads/dev\" \"refs/heads/main\"\n"
            "trigger.body.commits greaterthan fails 1 "
            "[{\"id\":\"a1\",\"files\":3},{\"id\":\"b2\",\"files\":40}] "
            "(cannot compare array with integer)\n"
            "trigger.body.gone contains fails \"x\" null (the event has nothing there)\n"
            "any any holds null null\n");
  EXPECT_EQ(to_json(to_value(out->verdicts.back())),
            R"({"criterion":"any","operator":"any","holds":true,"parts":[{"criterion":"all",)"
            R"("operator":"all","holds":true,"parts":[{"criterion":"trigger.body.forced",)"
            R"("operator":"exists","holds":true,"expected":null,"found":false}]}]})");
}

TEST(CheckRule, NamesWhatIsUnknownAndWhatIsNear) {
  Pack pack{.ref = "ci"};
  pack.actions.push_back(
      {.ref = "ci.build",
       .parameters = {{.name = "branch", .schema = read("{type: string}"), .required = true},
                      {.name = "depth", .schema = read("{type: integer, minimum: 1}")},
                      {.name = "fixed", .schema = read("{}"), .immutable = true}}});
  pack.triggers.push_back(
      {.ref = "core.webhook", .parameters = {{.name = "name", .schema = read("{type: string}")}}});
  pack.triggers.push_back({.ref = "core.crontimer"});
  Catalog catalog;
  catalog.add(pack);
  expr::Engine engine;
  auto check = [&](const RuleSpec& rule) {
    std::string out;
    for (const Problem& p : check_rule(rule, catalog, engine)) {
      out += p.path + ": " + p.message + "\n";
    }
    return out;
  };
  EXPECT_EQ(check(spec("{}", "{branch: '{{ trigger.body.ref }}', depth: '{{ 1 }}'}")), "");
  RuleSpec rule = spec("{}", "{brnch: x, depth: 0, fixed: 1}");
  rule.trigger_parameters = Value::map({{"nmae", "ci"}});
  EXPECT_EQ(check(rule),
            "/trigger/parameters/nmae: core.webhook has no parameter 'nmae' (did you mean "
            "'name'?)\n"
            "/action/parameters/brnch: ci.build has no parameter 'brnch' (did you mean "
            "'branch'?)\n"
            "/action/parameters/depth: expected at least 1, found 0\n"
            "/action/parameters: ci.build requires the parameter 'branch'\n"
            "/action/parameters/fixed: is immutable: the action sets it itself\n");
  rule = spec("{}", "{branch: x}");
  rule.trigger_parameters = Value::map({{"name", "{{ trigger.name }}"}});
  EXPECT_EQ(check(rule),
            "/trigger/parameters/name: expected a value, found a template: a trigger's parameters "
            "are compared as they stand\n");
  rule = spec("{}");
  rule.action = "ci.biuld";
  rule.trigger = "core.crontimer";
  rule.trigger_parameters = Value::map({{"expression", "x * * * *"}});
  EXPECT_EQ(check(rule),
            "/trigger/parameters/expression: minute 'x': expected 0 to 59\n"
            "/action/ref: unknown action 'ci.biuld' (did you mean 'ci.build'?)\n");
}

TEST(CheckRule, AsksForTheTriggersRequiredParameters) {
  Pack pack{.ref = "core"};
  pack.actions.push_back({.ref = "ci.build"});
  pack.triggers.push_back(
      {.ref = "core.webhook",
       .parameters = {
           {.name = "url", .schema = read("{type: string}"), .required = true},
           {.name = "way", .schema = read("{}"), .default_value = Value(1), .required = true}}});
  Catalog catalog;
  catalog.add(pack);
  expr::Engine engine;
  RuleSpec rule = spec("{}");
  auto problems = check_rule(rule, catalog, engine);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].path, "/trigger/parameters");
  EXPECT_EQ(problems[0].message, "core.webhook requires the parameter 'url'");
  rule.trigger_parameters = Value::map({{"url", "x"}});
  EXPECT_TRUE(check_rule(rule, catalog, engine).empty());
}

std::string faults_of(Value criteria) {
  RuleSpec rule = spec("{}");
  rule.criteria = std::move(criteria);
  expr::Engine engine;
  auto made = compile(std::move(rule), RuleId(7), 1, engine);
  return made ? "" : made.error().describe();
}

TEST(Criteria, RefusePatternsThatHoldForNothing) {
  auto told = [](std::string_view op, Value pattern) {
    Value test = Value::map({{"type", op}, {"pattern", std::move(pattern)}});
    return faults_of(Value::map({{"trigger.a", test}}));
  };
  EXPECT_NE(told("regex", 5).find("regex: expected a text, found integer"), std::string::npos);
  EXPECT_NE(told("startswith", Value::list()), "");
  EXPECT_NE(told("ieq", true), "");
  EXPECT_NE(told("td_lt", "20").find("timediff_lt: expected a number of seconds, found string"),
            std::string::npos);
  EXPECT_EQ(told("td_lt", 0.5), "");
  EXPECT_EQ(told("regex", Value()), "") << "as StackStorm takes it";
  EXPECT_EQ(told("greaterthan", "a"), "");
  EXPECT_EQ(told("regex", "{{ 5 }}"), "") << "known when it is rendered";
}

TEST(Criteria, RefusePatternsThatAreDearToCompile) {
  auto told = [](std::string_view op, std::string pattern) {
    Value test = Value::map({{"type", op}, {"pattern", std::move(pattern)}});
    return faults_of(Value::map({{"trigger.a", test}}));
  };
  for (const char* op : {"regex", "iregex", "matchregex", "matchwildcard"}) {
    EXPECT_NE(told(op, std::string(100'000, 'x'))
                  .find("expected at most 10000 bytes in a pattern, found 100000"),
              std::string::npos)
        << op;
    EXPECT_EQ(told(op, std::string(9'000, 'x')), "") << op;
  }
  for (const char* op : {"regex", "iregex", "matchregex"}) {
    EXPECT_NE(told(op, repeated("\\pL", 3000)).find("at most 64 classes of Unicode"),
              std::string::npos)
        << op;
  }
  // What is looked for as it stands is no pattern.
  EXPECT_EQ(told("icontains", repeated("\\pL{1}", 1000)), "");
  for (const char* op : {"equals", "iequals", "icontains", "startswith"}) {
    EXPECT_EQ(told(op, std::string(1 << 20, 'x')), "") << op;
  }
}

TEST(Criteria, RefuseMoreThanTheirPatternsMayCostTogether) {
  Value criteria = Value::map();
  for (int i = 0; i < 100; ++i) {
    Value test = Value::map({{"type", "iregex"}, {"pattern", repeated("\\pL", 60)}});
    criteria.set("trigger.a" + std::to_string(i), test);
  }
  EXPECT_NE(faults_of(criteria).find("more than 4000000 steps to compile together"),
            std::string::npos);
}

// The event chooses the pattern: its steps are paid before it is compiled, and once.
TEST(Criteria, PatternsOfEventsArePaidForBeforeAndOnce) {
  auto spent = [](std::string pattern, size_t items) {
    Value list = Value::list();
    for (size_t i = 0; i < items; ++i) list.push_back(Value::map({{"v", "-"}}));
    expr::Allowance allowance;
    EventScope scope{.event = event_value(EventId(42), "core.webhook", 0,
                                          Value::map({{"list", list}, {"p", std::move(pattern)}}),
                                          Value::map())};
    scope.allowance = &allowance;
    auto rule = compiled(spec(R"(
trigger.list:
  type: search
  condition: any
  pattern: {item.v: {type: iregex, pattern: '{{ trigger.p }}'}}
)"));
    expr::Engine engine;
    auto matched = RuleIndex({rule}).match(scope, engine);
    EXPECT_TRUE(matched && matched->empty());
    return allowance.of - allowance.left;
  };
  EXPECT_GE(spent(repeated("\\pL", 60), 1), 60U * 8000);
  EXPECT_LT(spent(repeated("\\pL", 60), 100), 60U * 8000 * 2);
  EXPECT_LT(spent("abc", 500), 50'000U);
  EXPECT_LT(spent(repeated("\\pL", 3000), 500), 50'000U);
}

}  // namespace
}  // namespace millrace::rules
