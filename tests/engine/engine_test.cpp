// SPDX-License-Identifier: Apache-2.0
// The engine over a real SQLite store, with a worker that keeps what it is given.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "adapters/store_sqlite/store_sqlite.h"
#include "base/json.h"
#include "rules/rule.h"

namespace millrace::engine {
namespace {

using namespace kernel;

std::shared_ptr<const Pack> test_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "ci";
  pack->digest = "d1";
  pack->folder = "/nowhere";
  Runtime native;
  native.ref = "core.native";
  pack->runtimes.push_back(native);
  auto script = [&](const char* ref, EffectClass effect) {
    Action action;
    action.ref = ref;
    action.runner = Runner::Script;
    action.runtime = "native";
    action.effect_class = effect;
    action.output_format = OutputFormat::Json;
    Parameter branch;
    branch.name = "branch";
    branch.schema = Value::map({{"type", "string"}});
    action.parameters.push_back(branch);
    pack->actions.push_back(action);
  };
  script("ci.build", EffectClass::AtMostOnce);
  script("ci.check", EffectClass::Idempotent);
  Trigger push;
  push.ref = "ci.push";
  pack->triggers.push_back(push);
  return pack;
}

std::shared_ptr<const Pack> core_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "core";
  pack->digest = "c1";
  for (const char* ref : {"core.noop", "core.echo", "core.sleep", "core.inject_trigger"}) {
    Action action;
    action.ref = ref;
    action.runner = Runner::Builtin;
    action.effect_class = EffectClass::Pure;
    for (const char* name : {"message", "seconds", "trigger", "payload"}) {
      Parameter parameter;
      parameter.name = name;
      parameter.schema = Value::map();
      action.parameters.push_back(parameter);
    }
    pack->actions.push_back(action);
  }
  return pack;
}

// Keeps grants and cancels for the test to look at.
class KeepingWorker : public WorkReceiver {
 public:
  void grant(std::vector<WorkOrder> orders) override {
    std::lock_guard lock(mutex_);
    for (auto& order : orders) orders_.push_back(std::move(order));
    changed_.notify_all();
  }
  void cancel(const RunKey& key) override {
    std::lock_guard lock(mutex_);
    cancels_.push_back(key);
    changed_.notify_all();
  }
  WorkOrder next() {
    std::unique_lock lock(mutex_);
    bool there =
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return !orders_.empty(); });
    if (!there) throw std::runtime_error("no order came");
    WorkOrder order = std::move(orders_.front());
    orders_.erase(orders_.begin());
    return order;
  }
  RunKey next_cancel() {
    std::unique_lock lock(mutex_);
    bool there =
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return !cancels_.empty(); });
    if (!there) throw std::runtime_error("no cancel came");
    RunKey key = cancels_.front();
    cancels_.erase(cancels_.begin());
    return key;
  }
  size_t waiting_orders() {
    std::lock_guard lock(mutex_);
    return orders_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<WorkOrder> orders_;
  std::vector<RunKey> cancels_;
};

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/millrace-engine-XXXXXX";
    folder_ = mkdtemp(name);
    auto store = store_sqlite::open(folder_);
    ASSERT_TRUE(store.ok()) << store.error().describe();
    store_ = std::move(*store);
    start();
  }
  void TearDown() override {
    engine_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start() {
    Engine::Outside outside{
        .now_ms = [this] { return now_ms_.load(); },
        .fatal = [](const Error& error) { FAIL() << error.describe(); },
        .equip = [](WorkOrder&) {},
        .decided = [](std::string_view, int64_t) {},
        .owner = "test",
        .output_folder = folder_,
    };
    auto engine = Engine::start(*store_, {core_pack(), test_pack()}, {}, {}, outside);
    ASSERT_TRUE(engine.ok()) << engine.error().describe();
    engine_ = std::move(*engine);
  }

  void open_worker(int slots, std::string instance = "s1", std::vector<RunKey> adopted = {}) {
    WorkerHello hello;
    hello.name = "local";
    hello.slots = slots;
    hello.instance = std::move(instance);
    hello.adopted = std::move(adopted);
    engine_->open(hello, worker_);
    engine_->drain();
  }

  template <typename T, typename Call>
  Result<T> await(Call call) {
    std::promise<Result<T>> promise;
    auto future = promise.get_future();
    call([&](Result<T> result) { promise.set_value(std::move(result)); });
    if (future.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      throw std::runtime_error("no reply within 10 s");
    }
    return future.get();
  }

  Result<ExecutionRow> run(std::string action, Value parameters = Value::map(),
                           std::string idempotency_key = {}, std::string hash = "h") {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      NewExecution request;
      request.action = std::move(action);
      request.parameters = std::move(parameters);
      Caller caller{.identity = "tester"};
      caller.idempotency_key = std::move(idempotency_key);
      caller.request_hash = std::move(hash);
      engine_->run(caller, std::move(request), std::move(reply));
    });
  }

  Result<Ingested> send(std::string branch, std::string id) {
    return await<Ingested>([&](Reply<Ingested> reply) {
      NewEvent event;
      event.trigger = "ci.push";
      event.source = "test";
      event.source_id = std::move(id);
      event.payload = Value::map({{"branch", branch}});
      event.payload_json = to_json(event.payload);
      engine_->ingest({.identity = "tester"}, std::move(event), std::move(reply));
    });
  }

  Result<RuleRow> make_rule(std::string action = "ci.build") {
    RuleSpec spec;
    spec.ref = "ci.on_main";
    spec.trigger = "ci.push";
    spec.criteria =
        Value::map({{"trigger.branch", Value::map({{"type", "equals"}, {"pattern", "main"}})}});
    spec.action = std::move(action);
    spec.action_parameters = Value::map({{"branch", "{{ event.payload.branch }}"}});
    return await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->write_rule({.identity = "tester"}, {spec, std::nullopt, true}, std::move(reply));
    });
  }

  void finish(const WorkOrder& order, int exit_code, std::string out = "{\"n\": 1}") {
    Completion completion;
    completion.tenant = order.tenant;
    completion.key = order.key;
    completion.exit_code = exit_code;
    completion.out.size = static_cast<int64_t>(out.size());
    completion.out.bytes = std::move(out);
    std::promise<void> done;
    engine_->finished(std::move(completion), [&] { done.set_value(); });
    ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    engine_->drain();
  }

  ExecutionRow stored(ExecutionId id) {
    auto reader = store_->open_reader();
    auto row = store::find_execution(**reader, kDefaultTenant, id);
    return row.ok() && *row ? **row : ExecutionRow{};
  }

  std::string folder_;
  std::atomic<int64_t> now_ms_{1'800'000'000'000};
  std::unique_ptr<sql::Store> store_;
  KeepingWorker worker_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, AMatchedEventIsLeasedAndStartedInOneCommit) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  int64_t before = engine_->executor().commit_stats().commits;
  auto event = send("main", "e1");
  ASSERT_TRUE(event.ok()) << event.error().describe();
  WorkOrder order = worker_.next();
  EXPECT_EQ(engine_->executor().commit_stats().commits, before + 1);
  EXPECT_EQ(order.parameters["branch"], Value("main"));
  EXPECT_EQ(stored(order.key.execution).status, ExecutionStatus::Running);
  finish(order, 0);
  auto row = stored(order.key.execution);
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_EQ(parse_json(row.result_json)->find("output")->int_or("n", 0), 1);
  EXPECT_EQ(engine_->executor().commit_stats().commits, before + 2);
}

TEST_F(EngineTest, AnEventThatDoesNotMatchStartsNothing) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  ASSERT_TRUE(send("other", "e1").ok());
  engine_->drain();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

TEST_F(EngineTest, TheSameDeliveryTwiceGivesTheSameEventAndOneEffect) {
  open_worker(2);
  ASSERT_TRUE(make_rule().ok());
  auto first = send("main", "e1");
  auto again = send("main", "e1");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(again->duplicate);
  EXPECT_EQ(first->event, again->event);
  worker_.next();
  EXPECT_EQ(worker_.waiting_orders(), 0U);
}

TEST_F(EngineTest, WorkBeyondTheSlotsWaitsAndStartsWithTheCompletionThatFreesOne) {
  open_worker(1);
  auto first = run("ci.check");
  auto second = run("ci.check");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->status, ExecutionStatus::Running);
  EXPECT_EQ(second->status, ExecutionStatus::Requested);
  WorkOrder order = worker_.next();
  int64_t before = engine_->executor().commit_stats().commits;
  finish(order, 1);
  EXPECT_EQ(stored(first->id).status, ExecutionStatus::Failed);
  EXPECT_EQ(worker_.next().key.execution, second->id);
  EXPECT_EQ(engine_->executor().commit_stats().commits, before + 1);
}

TEST_F(EngineTest, UnknownActionIsRefusedWithTheNearestName) {
  auto refused = run("ci.biuld");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "unknown action 'ci.biuld' (did you mean 'ci.build'?)");
}

TEST_F(EngineTest, AnIdempotencyKeyGivesTheFirstExecutionAndRefusesAnotherRequest) {
  auto first = run("core.noop", Value::map(), "k1", "hash-a");
  auto again = run("core.noop", Value::map(), "k1", "hash-a");
  auto other = run("core.noop", Value::map(), "k1", "hash-b");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->id, again->id);
  EXPECT_EQ(again->action, "core.noop");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().kind(), ErrorKind::Mismatch);
}

TEST_F(EngineTest, CancelOfARunIsOwedUntilItsEndAndWins) {
  open_worker(1);
  auto started = run("ci.build");
  WorkOrder order = worker_.next();
  auto canceled = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    engine_->cancel({.identity = "tester"}, started->id, std::move(reply));
  });
  ASSERT_TRUE(canceled.ok());
  EXPECT_EQ(canceled->status, ExecutionStatus::Canceling);
  EXPECT_EQ(worker_.next_cancel(), order.key);
  auto reader = store_->open_reader();
  EXPECT_EQ(store::outbox(**reader, 10)->size(), 1U);
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Canceled);
  EXPECT_EQ(store::outbox(**reader, 10)->size(), 0U);
}

TEST_F(EngineTest, SleepHoldsNoSlotAndEndsByItsTimer) {
  open_worker(1);
  auto sleeping = run("core.sleep", Value::map({{"seconds", 30}}));
  ASSERT_TRUE(sleeping.ok());
  EXPECT_EQ(sleeping->status, ExecutionStatus::Running);
  std::promise<void> ended;
  engine_->watch(engine_->new_watch(), sleeping->id, [&](auto) { ended.set_value(); });
  now_ms_ += 31'000;
  ASSERT_TRUE(run("core.noop").ok());  // wakes the executor, whose clock does not run by itself
  ASSERT_EQ(ended.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(stored(sleeping->id).status, ExecutionStatus::Succeeded);
}

TEST_F(EngineTest, ALostRunIsRerunOnlyWhenItsEffectClassAllows) {
  open_worker(2);
  auto once = run("ci.build");
  auto idempotent = run("ci.check");
  worker_.next();
  worker_.next();
  engine_.reset();
  start();
  open_worker(2, "another spawner");
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::NeedsDecision);
  WorkOrder again = worker_.next();
  EXPECT_EQ(again.key.execution, idempotent->id);
  EXPECT_EQ(again.key.attempt, 2);
}

TEST_F(EngineTest, ARunTheLivingSpawnerNeverSawStartsAgainAsTheSameAttempt) {
  open_worker(1);
  auto once = run("ci.build");
  WorkOrder lost = worker_.next();
  engine_.reset();
  start();
  open_worker(1);  // the same instance, nothing adopted
  WorkOrder again = worker_.next();
  EXPECT_EQ(again.key.execution, once->id);
  EXPECT_EQ(again.key.attempt, 1);
  EXPECT_GT(again.key.epoch, lost.key.epoch);
  finish(lost, 0);  // the old epoch cannot commit anything
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Running);
}

TEST_F(EngineTest, AnAdoptedRunGoesOnAsTheSameAttempt) {
  open_worker(1);
  auto once = run("ci.build");
  WorkOrder order = worker_.next();
  engine_.reset();
  start();
  open_worker(1, "s1", {order.key});
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Running);
  finish(order, 0);
  EXPECT_EQ(stored(once->id).status, ExecutionStatus::Succeeded);
}

TEST_F(EngineTest, AnInjectedTriggerIsEnforcedInATransitionOfItsOwn) {
  open_worker(1);
  ASSERT_TRUE(make_rule().ok());
  auto sent =
      run("core.inject_trigger",
          Value::map({{"trigger", "ci.push"}, {"payload", Value::map({{"branch", "main"}})}}));
  ASSERT_TRUE(sent.ok()) << sent.error().describe();
  EXPECT_EQ(worker_.next().action->ref, "ci.build");
  engine_->drain();
  auto reader = store_->open_reader();
  EXPECT_EQ(store::messages(**reader, 10)->size(), 0U);
}

TEST_F(EngineTest, WhyTellsTheRevisionOfThatTime) {
  ASSERT_TRUE(make_rule().ok());
  now_ms_ += 1000;
  auto event = send("other", "e1");
  ASSERT_TRUE(event.ok());
  auto reader = store_->open_reader();
  auto verdict = engine_->why(**reader, kDefaultTenant, "ci.on_main", event->event);
  ASSERT_TRUE(verdict.ok()) << verdict.error().describe();
  EXPECT_FALSE(verdict->matched);
  EXPECT_EQ(verdict->revision, 1);
  EXPECT_NE(to_json(verdict->criteria).find("other"), std::string::npos)
      << to_json(verdict->criteria);
}

}  // namespace
}  // namespace millrace::engine
