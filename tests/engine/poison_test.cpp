// SPDX-License-Identifier: Apache-2.0
// One message never ends all: decisions that throw, abort, are killed in the middle. The engine
// runs in a process of its own that dies of them; the next ones find out what it was.
#include <fmt/format.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "engine/surroundings.h"
#include "workflow_harness.h"

namespace millrace::engine {
namespace {

enum class Death : uint8_t { Throw, Abort, Kill };

struct Poison {
  const char* kind;  // of the message whose decision opens the key
  bool comes_again;  // false: somebody asked, and would have to ask again
};

constexpr Poison kPoisons[] = {{"enforce_event", true},    {"finish_run", true},
                               {"fire_timer", true},       {"answer_inquiry", false},
                               {"start_execution", false}, {"ingest_event", false}};

constexpr const char* kBoom = "{{ st2kv('system.boom', decrypt=true) }}";
// Their second step opens the key.
constexpr const char* kAfterRun = R"(
tasks:
  first: {action: ci.check, next: [{do: boom}]}
  boom: {action: core.echo, input: {message: "<% st2kv('system.boom', decrypt => true) %>"}}
)";
constexpr const char* kAfterTimer = R"(
tasks:
  first: {action: core.noop, delay: 1, next: [{do: boom}]}
  boom: {action: core.echo, input: {message: "<% st2kv('system.boom', decrypt => true) %>"}}
)";
constexpr const char* kAfterAnswer = R"(
tasks:
  first: {action: core.ask, next: [{do: boom}]}
  boom: {action: core.echo, input: {message: "<% st2kv('system.boom', decrypt => true) %>"}}
)";

class PoisonTest : public EngineTest,
                   public ::testing::WithParamInterface<std::tuple<Poison, Death>> {
 protected:
  void SetUp() override {
    if (over_postgres()) store::testing::PostgresCluster::of_this_process();  // not the children's
    char name[] = "/tmp/millrace-poison-XXXXXX";
    folder_ = mkdtemp(name);
    open_key_ = [this](const KeyRow&) -> Result<Secret> {
      if (!deadly_) return Secret("\"well\"");
      switch (death()) {
        case Death::Throw: throw std::runtime_error("boom");
        case Death::Abort: std::abort();
        case Death::Kill: ::raise(SIGKILL);
      }
      return Secret("");
    };
  }
  void TearDown() override {
    engine_.reset();
    if (store_) keeps_the_promises();
    std::filesystem::remove_all(folder_);
  }

  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto pack = std::make_shared<Pack>(*test_pack());
    pack->actions.push_back(workflow("ci.after_run", kAfterRun));
    pack->actions.push_back(workflow("ci.after_timer", kAfterTimer));
    pack->actions.push_back(workflow("ci.after_answer", kAfterAnswer));
    Action login;
    login.ref = "ci.login";
    login.runner = Runner::Builtin;
    login.effect_class = EffectClass::Pure;
    Parameter parameter;
    parameter.name = "message";
    parameter.schema = Value::map({{"type", "string"}});
    parameter.default_value = Value("{{ st2kv.system.boom | decrypt_kv }}");
    parameter.secret = true;
    login.parameters.push_back(parameter);
    pack->actions.push_back(std::move(login));
    return {core_pack(), pack};
  }

  Poison poison() const { return std::get<0>(GetParam()); }
  Death death() const { return std::get<1>(GetParam()); }

  void open_all() {
    store_ = std::move(*open_test_store(folder_));
    blobs_ = std::move(*blob_fs::open(folder_));
    in_hand_ = std::move(*InHand::open(folder_ + "/in_hand", "test"));
    start();
  }
  void close_all() {
    engine_.reset();
    in_hand_.reset();
    blobs_.reset();
    store_.reset();
  }

  // The engine in a process of its own. Says whether a signal has ended that.
  bool dies(const std::function<void()>& doing) {
    pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      open_all();
      doing();
      engine_->settle(std::chrono::seconds(10));
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM;
  }

  void prepare() {
    KeyWrite key{.key = {{}, "system", "boom"}, .value_json = "sealed", .encrypted = true};
    key.version = 1;
    ASSERT_TRUE(await<KeyRow>([&](auto reply) {
                  engine_->submit(command::write_key(kTester, key, reply));
                }).ok());
    RuleSpec rule{.ref = "ci.boom", .trigger = "ci.push"};
    rule.action = "core.echo";
    rule.action_parameters = Value::map({{"message", kBoom}});
    ASSERT_TRUE(await<RuleRow>([&](auto reply) {
                  engine_->submit(command::write_rule(kTester, {rule, std::nullopt, true}, reply));
                }).ok());
  }
  Result<ExecutionRow> inject() {
    return run("core.inject_trigger",
               Value::map({{"trigger", "ci.push"}, {"payload", Value::map({{"branch", "b"}})}}));
  }
  // Brings the message about. Not its answer: the process may die of it.
  void bring_about() {
    std::string_view kind = poison().kind;
    auto nobody = [](auto) {};
    if (kind == "enforce_event") {
      engine_->submit(command::run(
          kTester,
          {.action = "core.inject_trigger",
           .parameters =
               Value::map({{"trigger", "ci.push"}, {"payload", Value::map({{"branch", "b"}})}})},
          nobody));
    } else if (kind == "ingest_event") {
      NewEvent event{.trigger = "ci.push", .source = "test", .source_id = "1"};
      event.payload = Value::map();
      event.payload_json = "{}";
      engine_->submit(command::ingest(kTester, std::move(event), nobody));
    } else if (kind == "finish_run") {
      open_worker(2);
      ASSERT_TRUE(run("ci.after_run").ok());
      order_ = worker_.next().key;
      report();
    } else if (kind == "fire_timer") {
      ASSERT_TRUE(run("ci.after_timer").ok());
      tick(1500);
      engine_->submit(command::run(kTester, {.action = "core.noop"}, nobody));
    } else if (kind == "answer_inquiry") {
      auto asked = run("ci.after_answer");
      ASSERT_TRUE(asked.ok());
      settle();
      auto reader = store_->open_reader();
      int64_t id = *store::query_int(**reader, "SELECT id FROM inquiry");
      engine_->submit(command::answer(kTester, InquiryId{id}, {Value::map()}, nobody));
    } else {
      engine_->submit(command::run(kTester, {.action = "ci.login"}, nobody));
    }
  }
  void report() {
    Completion completion;
    completion.tenant = kDefaultTenant;
    completion.key = order_;
    completion.out.bytes = "{}";
    completion.out.size = 2;
    engine_->finished(session_, std::move(completion), [] {});
  }
  // What comes by itself after a start: of a run the spawner tells again.
  void come_again() {
    tick(2000);
    if (std::string_view(poison().kind) != "finish_run") return;
    auto reader = store_->open_reader();
    int64_t id = *store::query_int(**reader, "SELECT id FROM execution WHERE action = 'ci.check'");
    int64_t epoch = *store::query_int(**reader, "SELECT epoch FROM execution WHERE id = $1", id);
    order_ = {ExecutionId{id}, 1, epoch};
    open_worker(2, "s1", {order_});
    report();
  }

  bool deadly_ = true;
  RunKey order_;
};

TEST_P(PoisonTest, CostsThatMessage) {
  if (death() == Death::Throw) {
    open_all();
    prepare();
    bring_about();
    settle();
  } else {
    EXPECT_TRUE(dies([&] {
      prepare();
      bring_about();
    })) << "the first process";
    bool again = dies([&] { come_again(); });
    EXPECT_EQ(again, poison().comes_again) << "the second process";
    open_all();
    come_again();
    settle();
  }
  // It serves, and others go their way.
  auto other = run("core.noop");
  ASSERT_TRUE(other.ok()) << other.error().describe();
  EXPECT_EQ(other->status, ExecutionStatus::Succeeded);
  bool buried = death() == Death::Throw || poison().comes_again;
  EXPECT_EQ(count(fmt::format("quarantine WHERE kind = '{}'", poison().kind)), buried ? 1 : 0);
  EXPECT_EQ(count("message"), 0);
  if (buried) {
    auto reader = store_->open_reader();
    const char* reason =
        death() == Death::Throw ? "reason LIKE '%boom%'" : "reason LIKE 'the server has ended 2 %'";
    EXPECT_EQ(count(std::string("quarantine WHERE ") + reason), 1);
    EXPECT_EQ(engine_->stats().set_aside, 1);
  }
  // And it is over.
  close_all();
  open_all();
  settle();
  EXPECT_TRUE(in_hand_->found().empty());
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Poison, Death>>& named) {
  constexpr const char* kDeaths[] = {"Throws", "Aborts", "IsKilled"};
  return fmt::format("{}_{}", std::get<0>(named.param).kind,
                     kDeaths[static_cast<int>(std::get<1>(named.param))]);
}

INSTANTIATE_TEST_SUITE_P(Each, PoisonTest,
                         ::testing::Combine(::testing::ValuesIn(kPoisons),
                                            ::testing::Values(Death::Throw, Death::Abort,
                                                              Death::Kill)),
                         name_of);

// The next event would end it again: the rule itself is set aside, until it is another revision.
class PoisonedRule : public PoisonTest {};
TEST_P(PoisonedRule, IsSetAsideUntilItIsChanged) {
  EXPECT_TRUE(dies([&] {
    prepare();
    bring_about();
  }));
  EXPECT_TRUE(dies([] {}));
  open_all();
  settle();
  ASSERT_TRUE(inject().ok());
  settle();
  EXPECT_EQ(count("enforcement WHERE error LIKE '%ended 2 times%revision 1%'"), 1);
  deadly_ = false;
  RuleSpec rule{.ref = "ci.boom", .trigger = "ci.push"};
  rule.action = "core.echo";
  rule.action_parameters = Value::map({{"message", kBoom}});
  rule.description = "mended";
  ASSERT_TRUE(await<RuleRow>([&](auto reply) {
                engine_->submit(command::write_rule(kTester, {rule, std::nullopt, false}, reply));
              }).ok());
  ASSERT_TRUE(inject().ok());
  settle();
  EXPECT_EQ(count("enforcement WHERE execution <> 0"), 1);
}
INSTANTIATE_TEST_SUITE_P(One, PoisonedRule,
                         ::testing::Values(std::tuple(kPoisons[0], Death::Abort)));

// In its criteria: which rule it was is known from the second time on.
TEST_P(PoisonedRule, IsSetAsideForItsCriteriaToo) {
  RuleSpec rule{.ref = "ci.judge", .trigger = "ci.push"};
  rule.action = "core.noop";
  rule.criteria = Value(R"({{ st2kv('system.boom', decrypt=true) == 'x' }})");
  RuleSpec other{.ref = "ci.other", .trigger = "ci.push"};
  other.action = "core.noop";
  EXPECT_TRUE(dies([&] {
    prepare();
    for (const RuleSpec& one : {rule, other}) {
      ASSERT_TRUE(await<RuleRow>([&](auto reply) {
                    engine_->submit(command::write_rule(kTester, {one, std::nullopt, true}, reply));
                  }).ok());
    }
    ASSERT_TRUE(await<RuleRow>([&](auto reply) {
                  engine_->submit(command::delete_rule(kTester, "ci.boom", {}, reply));
                }).ok());
    bring_about();
  }));
  EXPECT_TRUE(dies([] {})) << "alone, with the rule beside it";
  EXPECT_TRUE(dies([&] { bring_about(); })) << "the next event: the rule's second time";
  open_all();
  settle();
  EXPECT_EQ(count("enforcement WHERE rule_ref = 'ci.judge' AND error LIKE '%to judge this rule%'"),
            1);
  EXPECT_EQ(count("enforcement WHERE rule_ref = 'ci.other' AND execution <> 0"), 1);
}

// Who is first in the queue of a limit and cannot be let in does not stand before the others for
// ever.
class PoisonedHead : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    auto pack = std::make_shared<Pack>(*test_pack());
    pack->actions.push_back(workflow("ci.opens", R"(
vars: [{x: "<% st2kv('system.boom', decrypt => true) %>"}]
tasks: {only: {action: ci.check}}
)"));
    PolicySpec one{.ref = "ci.one", .action = "ci.opens", .concurrency = ConcurrencyLimit{}};
    pack->policies.push_back(one);
    return {core_pack(), pack};
  }
  std::atomic<bool> deadly_ = false;
};
TEST_F(PoisonedHead, IsHandedOver) {
  open_key_ = [this](const KeyRow&) -> Result<Secret> {
    if (deadly_) throw std::runtime_error("boom");
    return Secret("\"well\"");
  };
  engine_.reset();
  start();
  open_worker(4);
  KeyWrite key{.key = {{}, "system", "boom"}, .value_json = "sealed", .encrypted = true};
  key.version = 1;
  ASSERT_TRUE(await<KeyRow>([&](auto reply) {
                engine_->submit(command::write_key(kTester, key, reply));
              }).ok());
  ASSERT_TRUE(run("ci.opens").ok());
  auto head = run("ci.opens");
  ASSERT_TRUE(head.ok());
  settle();
  EXPECT_EQ(stored(head->id).status, ExecutionStatus::Delayed);
  deadly_ = true;
  finish(worker_.next(), 0);
  settle();
  EXPECT_EQ(count("quarantine WHERE kind = 'look_at_limit'"), 1);
  EXPECT_EQ(stored(head->id).status, ExecutionStatus::NeedsDecision) << stored(head->id).held;
  EXPECT_EQ(count("place"), 0);
}

class SlowDecisions : public EngineTest {};
TEST_F(SlowDecisions, AreCounted) {
  open_key_ = [](const KeyRow&) -> Result<Secret> {
    std::this_thread::sleep_for(std::chrono::milliseconds(kSlowDecisionMs + 20));
    return Secret("1");
  };
  engine_.reset();
  start();
  KeyWrite key{.key = {{}, "system", "late"}, .value_json = "sealed", .encrypted = true};
  key.version = 1;
  ASSERT_TRUE(await<KeyRow>([&](auto reply) {
                engine_->submit(command::write_key(kTester, key, reply));
              }).ok());
  EXPECT_EQ(engine_->stats().slow_decisions, 0);
  RuleSpec rule{.ref = "ci.late", .trigger = "ci.push"};
  rule.action = "core.echo";
  rule.action_parameters = Value::map({{"message", "{{ st2kv('system.late', decrypt=true) }}"}});
  ASSERT_TRUE(await<RuleRow>([&](auto reply) {
                engine_->submit(command::write_rule(kTester, {rule, std::nullopt, true}, reply));
              }).ok());
  ASSERT_TRUE(send("main", "1").ok());
  EXPECT_GE(engine_->stats().slow_decisions, 1);
}

TEST(InHandFile, CountsOnlyWhatWasLeftInIt) {
  char name[] = "/tmp/millrace-in-hand-XXXXXX";
  std::string folder = mkdtemp(name);
  std::string path = folder + "/in_hand";
  auto reopen = [&](const char* version = "1") { return std::move(*InHand::open(path, version)); };
  InHand::Item one{"a_kind", 1};
  InHand::Item two{"a_kind", 2};
  InHand::Item asked{"asked", 0, false};
  auto file = reopen();
  EXPECT_TRUE(file->found().empty());
  file->take(std::vector{one, two, asked});
  file->let_go();
  file = reopen();
  EXPECT_TRUE(file->found().empty());
  file->take(std::vector{one, two, asked});
  file = reopen();
  EXPECT_EQ(file->found().size(), 3U);
  EXPECT_EQ(file->ends(one), 1);
  EXPECT_EQ(file->ends(asked), 0);
  file->handled(two);
  EXPECT_EQ(file->ends(two), 0);
  file->take(two);
  file->also(one);
  file->also(asked);  // instead of the one before
  file = reopen();
  EXPECT_EQ(file->ends(two), 1);
  EXPECT_EQ(file->ends(one), 1);
  file->take(one);
  file = reopen();
  EXPECT_TRUE(file->is_dead(one));
  EXPECT_EQ(InHand::dead_in(path).size(), 1U);
  // Another version may know better.
  file = reopen("2");
  EXPECT_FALSE(file->is_dead(one));
  // After a power cut nobody has died of what was in hand.
  file->take(one);
  file = std::move(*InHand::open(path, "2", "another start of the machine"));
  EXPECT_TRUE(file->found().empty());
  EXPECT_EQ(file->ends(one), 0);
  // A file that is none is begun anew; one cut short, too.
  std::filesystem::resize_file(path, 100);
  file = reopen("2");
  EXPECT_TRUE(file->found().empty());
  EXPECT_TRUE(InHand::dead_in(folder + "/nowhere").empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace millrace::engine
