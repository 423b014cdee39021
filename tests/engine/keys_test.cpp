// SPDX-License-Identifier: Apache-2.0
// The key store: writes, and who reads what. Tests of readers run twice: as they are, and with the
// engine stopped and started again between all operations.
#include <fmt/format.h>

#include "base/yaml.h"
#include "harness.h"

namespace millrace::engine {
namespace {

// A seal that a test can read: it names the version that it is for.
std::string seal(int64_t version, const std::string& json) {
  return fmt::format("sealed {} {}", version, json);
}

Result<Secret> open_seal(const KeyRow& row) {
  std::string prefix = fmt::format("sealed {} ", row.version);
  if (row.value_json.starts_with(prefix)) return Secret(row.value_json.substr(prefix.size()));
  return Error(ErrorKind::Internal, "AUT-0006", "does not open");
}

constexpr const char* kDeploy = R"(
tasks:
  first: {action: core.echo, input: {message: <% st2kv('system.host') %>},
    next: [{publish: [{seen: <% result().output %>}], do: second}]}
  second: {action: ci.check, input: {branch: "{{ st2kv.user.branch }}"},
    next: [{publish: [{later: "<% st2kv('system.host', default => none) %>"}]}]}
output:
  - seen: <% ctx(seen) %>
  - later: <% ctx(later) %>
  - own: <% st2kv('pack.color') + st2kv('action.color') %>
  - hidden: <% st2kv('system.token') %>
  - open: "<% st2kv('system.token', decrypt => true) %>"
  - spare: "<% st2kv('system.nix', default => spare) %>"
)";
constexpr const char* kMissing = R"(
tasks: {a: {action: core.echo, input: {message: <% st2kv('system.nix') %>}}}
)";
constexpr const char* kNative = R"(
tasks: {a: {action: core.echo, input: {message: "{{ keystore.host }}"},
  next: [{publish: [{seen: <% result().output %>}]}]}}
output: [{seen: <% ctx(seen) %>}]
)";

std::shared_ptr<const Pack> keys_pack() {
  auto pack = std::make_shared<Pack>(*test_pack());
  auto add_workflow = [&](const char* ref, const char* text) {
    Action action;
    action.ref = ref;
    action.runner_type = "workflow";
    action.runner = Runner::Workflow;
    action.timeout_ms = 0;
    action.workflow = std::make_shared<const YamlNode>(*parse_yaml(text, ref));
    pack->actions.push_back(std::move(action));
  };
  add_workflow("ci.deploy", kDeploy);
  add_workflow("ci.missing", kMissing);
  add_workflow("ci.native", kNative);
  Action login = pack->actions.front();
  login.ref = "ci.login";
  for (const char* name : {"host", "token"}) {
    Parameter parameter;
    parameter.name = name;
    parameter.schema = Value::map({{"type", "string"}});
    login.parameters.push_back(parameter);
  }
  login.parameters[1].default_value = Value("{{ st2kv.system.host }}");
  login.parameters[2].default_value = Value("{{ st2kv.system.token | decrypt_kv }}");
  login.parameters[2].secret = true;
  pack->actions.push_back(std::move(login));
  return pack;
}

class Keys : public EngineTest, public ::testing::WithParamInterface<bool> {
 protected:
  Keys() { open_key_ = open_seal; }
  std::vector<std::shared_ptr<const Pack>> packs() override { return {core_pack(), keys_pack()}; }

  // Between two operations: in the second way of running the server dies here.
  void between() {
    settle();
    if (!GetParam()) return;
    engine_.reset();
    start();
    std::vector<RunKey> alive;
    for (const auto& order : held_) alive.push_back(order.key);
    open_worker(4, "s1", alive);
  }

  std::optional<KeyRow> stored_key(const std::string& scope, const std::string& name) {
    auto reader = store_->open_reader();
    return *store::find_key(**reader, {kDefaultTenant, scope, name});
  }
  Result<KeyRow> write(KeyWrite write, Caller caller = kTester) {
    auto row = await<KeyRow>(
        [&](auto reply) { engine_->submit(command::write_key(caller, write, reply)); });
    between();
    return row;
  }
  // As the API does it.
  KeyWrite next(const std::string& name, const std::string& json,
                const std::string& scope = "system") {
    auto old = stored_key(scope, name);
    return {.key = {{}, scope, name}, .value_json = json, .version = old ? old->version + 1 : 1};
  }
  void put(const std::string& name, const std::string& json, const std::string& scope = "system") {
    auto row = write(next(name, json, scope));
    ASSERT_TRUE(row.ok()) << row.error().describe();
  }
  void put_sealed(const std::string& name, const std::string& json) {
    KeyWrite sealed = next(name, "");
    sealed.encrypted = true;
    sealed.value_json = seal(sealed.version, json);
    ASSERT_TRUE(write(sealed).ok());
  }
  Result<RuleRow> rule(Value criteria, Value parameters, std::string action = "core.echo") {
    RuleSpec spec{.ref = "ci.on_main", .trigger = "ci.push", .criteria = std::move(criteria)};
    spec.action = std::move(action);
    spec.action_parameters = std::move(parameters);
    auto row = await<RuleRow>([&](auto reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, reply));
    });
    between();
    return row;
  }
  std::vector<EnforcementRow> enforcements(EventId event) {
    auto reader = store_->open_reader();
    return *store::enforcements_of(**reader, kDefaultTenant, event);
  }
  Value result(ExecutionId id) { return *parse_json(stored(id).result_json); }

  std::vector<WorkOrder> held_;
};

// One decision loads so many keys; the rule that wants more fails, and the others go on.
TEST_P(Keys, ARuleThatAsksForTooManyFailsAlone) {
  put("host", R"("h")");
  auto add = [&](std::string ref, std::string message) {
    RuleSpec spec{.ref = std::move(ref), .trigger = "ci.push", .action = "core.echo"};
    spec.action_parameters = Value::map({{"message", message}});
    auto made = await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
    });
    ASSERT_TRUE(made.ok()) << made.error().describe();
  };
  add("ci.many", "{% for i in range(3000) %}{{ st2kv('system.k' ~ i, default='') }}{% endfor %}");
  add("ci.chained",
      "{% set ns = namespace(k='system.a') %}{% for i in range(100) %}"
      "{% set ns.k = ns.k ~ st2kv(ns.k, default='a') %}{% endfor %}");
  add("ci.one", "{{ st2kv('system.host') }}");
  between();
  auto sent = send("main", "e1");
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  auto made = enforcements(sent->event);
  ASSERT_EQ(made.size(), 3U);
  for (const auto& one : made) {
    bool is_good = one.rule_ref == "ci.one";
    EXPECT_EQ(one.status, is_good ? EnforcementStatus::Created : EnforcementStatus::Failed)
        << one.rule_ref << " " << one.error;
    if (is_good) {
      EXPECT_EQ(result(one.execution)["output"], Value("h"));
    } else {
      EXPECT_NE(one.error.find("one decision loads 1000 keys at most, in 100 rounds"),
                std::string::npos)
          << one.error;
    }
  }
}

TEST(KeyLookup, ReadsAValueOnce) {
  Value large = Value::list();
  for (int i = 0; i < 10'000; ++i) large.push_back(i);
  KeyRows rows;
  int opened = 0;
  OpenKey open = [&](const KeyRow&) -> Result<Secret> {
    ++opened;
    return Secret("1");
  };
  KeyRow row{.key = {kDefaultTenant, "system", "large"}, .value_json = to_json(large)};
  KeyRow sealed{.key = {kDefaultTenant, "system", "sealed"}, .value_json = "s", .encrypted = true};
  rows.emplace(row.key, row);
  rows.emplace(sealed.key, sealed);
  KeyLookup lookup(rows, open, 0, {.tenant = kDefaultTenant});
  EXPECT_GT(lookup.kv("system.large", false).steps(), 5000U);
  EXPECT_EQ(lookup.kv("system.large", false).steps(), 0U);
  EXPECT_EQ(lookup.kv("system.large", false).value(), large);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(lookup.kv("system.sealed", true).value(), Value(1));
  EXPECT_EQ(lookup.kv("system.sealed", false).value(), Value(kHiddenKey));
  EXPECT_EQ(opened, 1);
}

TEST_P(Keys, RisesInVersionAndKeepsItsBeginning) {
  put("host", R"("a")");
  tick(5);
  put("host", R"("b")");
  auto row = stored_key("system", "host");
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->version, 2);
  EXPECT_EQ(row->value_json, R"("b")");
  EXPECT_EQ(row->updated, row->created + 5);
}

TEST_P(Keys, IsWrittenOnlyOnTheVersionThatWasRead) {
  put("host", "1");
  KeyWrite stale = next("host", "2");
  stale.if_version = 7;
  EXPECT_EQ(write(stale).error().code(), "KEY-0002");
  KeyWrite overtaken = next("host", "2");
  overtaken.version = 1;
  EXPECT_EQ(write(overtaken).error().code(), kKeyMoved);
  KeyWrite fresh = next("host", "2");
  fresh.if_version = 1;
  EXPECT_TRUE(write(fresh).ok());
  KeyWrite must_be_new = next("host", "3");
  must_be_new.if_version = 0;
  EXPECT_EQ(write(must_be_new).error().code(), "KEY-0002");
}

TEST_P(Keys, ARepeatedRequestIsAnsweredWithoutASecondWrite) {
  Caller caller{
      .tenant = kDefaultTenant, .identity = "tester", .idempotency_key = "k1", .request_hash = "h"};
  KeyWrite first = next("host", "1");
  first.if_version = 0;
  ASSERT_TRUE(write(first, caller).ok());
  // The client repeats what it has sent, the API has read the version that there is now.
  KeyWrite repeated = next("host", "1");
  repeated.if_version = 0;
  auto again = write(repeated, caller);
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(again->version, 1);
  EXPECT_EQ(stored_key("system", "host")->version, 1);
  caller.request_hash = "other";
  EXPECT_EQ(write(repeated, caller).error().code(), "ENG-0003");
}

TEST_P(Keys, IsDeletedOnceAndThenNotThere) {
  put("host", "1");
  EXPECT_TRUE(write({.key = {{}, "system", "host"}, .remove = true}).ok());
  EXPECT_FALSE(stored_key("system", "host").has_value());
  EXPECT_EQ(write({.key = {{}, "system", "host"}, .remove = true}).error().code(), "KEY-0001");
}

TEST_P(Keys, NeedsAScopeThatThereIs) {
  for (const char* scope : {"", "sytem", "user:", "rule:x", "user:a\nb", "user:a/b"}) {
    EXPECT_EQ(write({.key = {{}, scope, "x"}, .value_json = "1"}).error().code(), "KEY-0004")
        << scope;
  }
  EXPECT_EQ(write({.key = {{}, "system", ""}, .value_json = "1"}).error().code(), "KEY-0004");
}

TEST_P(Keys, ARuleReadsThemInItsCriteriaAndParameters) {
  put("branch", R"("main")");
  put("greeting", R"({"text": "hi"})");
  put("who", R"("rules")", "user:rule");
  ASSERT_TRUE(
      rule(Value::map({{"trigger.branch", Value::map({{"type", "equals"},
                                                      {"pattern", "{{ st2kv.system.branch }}"}})}}),
           Value::map({{"message", "{{ st2kv('system.greeting').text }} {{ st2kv.user.who }}"}}))
          .ok());
  auto missed = send("dev", "d1");
  ASSERT_TRUE(missed.ok());
  EXPECT_TRUE(enforcements(missed->event).empty());
  auto hit = send("main", "d2");
  ASSERT_TRUE(hit.ok());
  auto made = enforcements(hit->event);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].error, "");
  EXPECT_EQ(result(made[0].execution)["output"], Value("hi rules"));
}

TEST_P(Keys, ARuleThatMissesOneFailsByName) {
  ASSERT_TRUE(rule(Value(), Value::map({{"message", "{{ st2kv('system.nix') }}"}})).ok());
  auto sent = send("main", "d1");
  ASSERT_TRUE(sent.ok());
  auto made = enforcements(sent->event);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].status, EnforcementStatus::Failed);
  EXPECT_NE(made[0].error.find("system.nix"), std::string::npos) << made[0].error;
}

TEST_P(Keys, ARuleReadsHundredsOfThem) {
  Value parameters = Value::map();
  std::string message;
  for (int i = 0; i < 150; ++i) {
    put(fmt::format("k{}", i), std::to_string(i));
    message += fmt::format("{{{{ st2kv.system.k{} }}}} ", i);
  }
  // In one text, in a loop, and one after the other.
  message += "{% for i in range(150) %}{{ st2kv('k' ~ i) }}{% endfor %}";
  ASSERT_TRUE(rule(Value(), Value::map({{"message", message}})).ok());
  auto sent = send("main", "d1");
  ASSERT_TRUE(sent.ok());
  auto made = enforcements(sent->event);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].status, EnforcementStatus::Created) << made[0].error;
}

// Each key names the next one: as many decisions as keys.
TEST_P(Keys, ARuleFollowsAChainOfThem) {
  for (int i = 0; i < 60; ++i) put(fmt::format("c{}", i), fmt::format(R"("c{}")", i + 1));
  std::string message =
      "{% set ns = namespace(k='c0') %}{% for i in range(60) %}"
      "{% set ns.k = st2kv(ns.k) %}{% endfor %}{{ ns.k }}";
  ASSERT_TRUE(rule(Value(), Value::map({{"message", message}})).ok());
  auto sent = send("main", "d1");
  ASSERT_TRUE(sent.ok());
  auto made = enforcements(sent->event);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].status, EnforcementStatus::Created) << made[0].error;
}

TEST_P(Keys, ATestOfARuleReadsThemButOpensNone) {
  put("branch", R"("main")");
  put_sealed("token", R"("s3cret")");
  RuleSpec spec{.ref = "ci.t", .trigger = "ci.push"};
  spec.criteria = Value("{{ event.payload.branch == st2kv.system.branch }}");
  spec.action = "core.echo";
  spec.action_parameters = Value::map({{"message", "{{ st2kv.system.token | decrypt_kv }}"}});
  EventRow event{.tenant = kDefaultTenant, .trigger = "ci.push"};
  event.payload_json = R"({"branch": "main"})";
  auto reader = store_->open_reader();
  ASSERT_TRUE(reader.ok());
  auto verdict = test_rule(*engine_, **reader, spec, event);
  ASSERT_TRUE(verdict.ok()) << verdict.error().describe();
  EXPECT_TRUE(verdict->matched);
  EXPECT_EQ(verdict->parameters, Value::map({{"message", "********"}})) << verdict->error;
}

TEST_P(Keys, ADefaultOfAnActionReadsThem) {
  put("host", R"("db.local")");
  put_sealed("token", R"("s3cret-token")");
  open_worker(1);
  auto row = run("ci.login", Value::map({{"branch", "main"}}));
  ASSERT_TRUE(row.ok()) << row.error().describe();
  auto order = worker_.next();
  EXPECT_EQ(order.parameters["host"], Value("db.local"));
  EXPECT_EQ(order.parameters["token"], Value("s3cret-token"));
  ASSERT_FALSE(order.secrets.empty());
  EXPECT_EQ(order.secrets.front(), "s3cret-token");
  finish(order, 0);
}

TEST_P(Keys, AnActionWhoseDefaultMissesOneIsRefused) {
  put("host", R"("db.local")");
  auto row = run("ci.login", Value::map({{"branch", "main"}}));
  ASSERT_FALSE(row.ok());
  EXPECT_EQ(row.error().code(), "PCK-0003");
  ASSERT_EQ(row.error().problems().size(), 1U);
  EXPECT_EQ(row.error().problems()[0].path, "/token");
}

TEST_P(Keys, AWorkflowReadsThemAsTheyAreAtEachStep) {
  put("host", R"("one")");
  put("branch", R"("main")", "user:tester");
  put("branch", R"("not mine")", "user:other");
  put("color", R"("red ")", "pack:ci");
  put("color", R"("blue")", "action:ci.deploy");
  put_sealed("token", R"("s3cret")");
  open_worker(1);
  auto row = run("ci.deploy");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  ASSERT_EQ(row->status, ExecutionStatus::Running) << row->result_json;
  held_.push_back(worker_.next());
  EXPECT_EQ(held_[0].parameters["branch"], Value("main"));
  between();
  put("host", R"("two")");
  WorkOrder order = held_[0];
  held_.clear();
  finish(order, 0);
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Succeeded) << stored(row->id).result_json;
  EXPECT_EQ(result(row->id)["output"], Value::map({{"seen", "one"},
                                                   {"later", "two"},
                                                   {"own", "red blue"},
                                                   {"hidden", "********"},
                                                   {"open", "s3cret"},
                                                   {"spare", "spare"}}));
}

TEST_P(Keys, AWorkflowThatMissesOneFailsByName) {
  auto row = run("ci.missing");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(row->status, ExecutionStatus::Failed);
  EXPECT_NE(row->result_json.find("system.nix"), std::string::npos) << row->result_json;
}

TEST_P(Keys, ANameWithoutAScopeIsOfTheSystem) {
  put("host", R"("here")");
  auto row = run("ci.native");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(result(row->id)["output"], Value::map({{"seen", "here"}}));
}

TEST_P(Keys, AreGoneWhenTheirTimeIsOver) {
  KeyWrite brief = next("host", R"("here")");
  brief.ttl_ms = 1000;
  ASSERT_TRUE(write(brief).ok());
  tick(999);
  EXPECT_EQ(run("ci.native")->status, ExecutionStatus::Succeeded);
  tick(1);
  EXPECT_EQ(run("ci.native")->status, ExecutionStatus::Failed);
  KeyWrite anew = next("host", R"("again")");
  anew.if_version = 0;
  auto row = write(anew);
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ(row->version, 2);
  EXPECT_EQ(row->created, now_ms_);
  EXPECT_EQ(run("ci.native")->status, ExecutionStatus::Succeeded);
}

TEST_P(Keys, AValueThatDoesNotOpenIsNotThere) {
  put("host", R"("db.local")");
  KeyWrite sealed = next("token", seal(9, R"("of another version")"));
  sealed.encrypted = true;
  ASSERT_TRUE(write(sealed).ok());
  auto row = run("ci.login", Value::map({{"branch", "main"}}));
  ASSERT_FALSE(row.ok());
  EXPECT_EQ(row.error().code(), "PCK-0003");
}

TEST(KeyLookups, AskForWhatIsNotLoadedByTenantScopeAndName) {
  KeyRows rows;
  OpenKey closed;
  KeyLookup lookup(rows, closed, 0, {.tenant = TenantId{7}, .user = "alice"});
  auto answer = lookup.kv("user.a.b", false);
  ASSERT_TRUE(answer.needs_load());
  EXPECT_EQ(key_of_need(answer.key()), (KeyName{TenantId{7}, "user:alice", "a.b"}));
  EXPECT_FALSE(key_of_need("task:0:user/a").has_value());
}

TEST(KeyLookups, NeverSeeTheKeysOfAnotherTenant) {
  KeyName name{TenantId{1}, "system", "x"};
  KeyRows rows{{name, KeyRow{.key = name, .value_json = "1"}}};
  OpenKey closed;
  EXPECT_TRUE(KeyLookup(rows, closed, 0, {.tenant = TenantId{1}}).kv("system.x", false).found());
  EXPECT_FALSE(KeyLookup(rows, closed, 0, {.tenant = TenantId{2}}).kv("system.x", false).found());
}

// A need that cannot be met would be asked for again and again.
TEST(KeyLookups, AskForNoKeyThatCannotBe) {
  KeyRows rows;
  OpenKey closed;
  KeyLookup lookup(rows, closed, 0, {.tenant = TenantId{1}, .user = "sso/alice"});
  for (const char* name : {"user.x", "pack.x", "action.x", "system.", "system.a/b", ""}) {
    EXPECT_FALSE(lookup.kv(name, false).needs_load()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Restarts, Keys, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "WithRestarts" : "AtOnce"; });

}  // namespace
}  // namespace millrace::engine
