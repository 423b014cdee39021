// SPDX-License-Identifier: Apache-2.0
// The engine over a real store, SQLite or PostgreSQL, with a worker that keeps what it is given.
#pragma once

#include "engine/engine.h"

#include "engine/machine/catalog.h"
#include "engine/machine/in_hand.h"
#include "engine/transitions/commands.h"
#include "engine/transitions/messages.h"
#include "engine/verdict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>

#include "adapters/blob_fs/blob_fs.h"
#include "adapters/store_postgres/test_support.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "base/json.h"
#include "rules/rule.h"
#include "store/doctor.h"
#include "store/row_reader.h"

namespace millrace::engine {

using namespace kernel;

// The suite is run once over each (CMakeLists.txt).
inline bool over_postgres() {
  const char* store = std::getenv("MILLRACE_TEST_STORE");
  return store && std::string_view(store) == "postgres";
}
inline Result<std::unique_ptr<sql::Store>> open_test_store(const std::string& folder) {
  if (over_postgres()) return store::testing::PostgresCluster::of_this_process().open(folder);
  return store_sqlite::open(folder);
}

inline std::shared_ptr<const Pack> test_pack() {
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
  Action shell;
  shell.ref = "ci.shell";
  shell.runner = Runner::Shell;
  shell.runner_type = "local-shell-cmd";
  pack->actions.push_back(shell);
  Trigger push;
  push.ref = "ci.push";
  pack->triggers.push_back(push);
  return pack;
}

inline std::shared_ptr<const Pack> core_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "core";
  pack->digest = "c1";
  for (const char* ref :
       {"core.noop", "core.echo", "core.fail", "core.sleep", "core.ask", "core.inject_trigger"}) {
    Action action;
    action.ref = ref;
    action.runner = Runner::Builtin;
    action.effect_class = EffectClass::Pure;
    for (const char* name : {"message", "seconds", "trigger", "payload", "prompt", "schema",
                             "users", "roles", "route", "ttl"}) {
      Parameter parameter;
      parameter.name = name;
      parameter.schema = Value::map();
      action.parameters.push_back(parameter);
    }
    pack->actions.push_back(action);
  }
  return pack;
}

inline const Caller kTester{.tenant = kDefaultTenant, .identity = "tester"};

// Keeps grants and cancels for the test to look at.
class KeepingWorker : public WorkReceiver {
 public:
  void grant(SessionId, std::vector<WorkOrder> orders) override {
    std::lock_guard lock(mutex_);
    for (auto& order : orders) orders_.push_back(std::move(order));
    changed_.notify_all();
  }
  void cancel(SessionId, const Of<RunKey>& run, std::string) override {
    std::lock_guard lock(mutex_);
    cancels_.push_back(run.id);
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
  // What was granted and never taken is lost with the server.
  void forget() {
    std::lock_guard lock(mutex_);
    orders_.clear();
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
    auto store = open_test_store(folder_);
    ASSERT_TRUE(store.ok()) << store.error().describe();
    store_ = std::move(*store);
    blobs_ = std::move(*blob_fs::open(folder_));
    start();
  }
  void TearDown() override {
    engine_.reset();
    keeps_the_promises();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Whatever a test does, the store is sound after it (K1-K9).
  void keeps_the_promises() {
    auto reader = store_->open_reader();
    ASSERT_TRUE(reader.ok());
    auto findings = store::examine(**reader, {.now_ms = now_ms_, .check_bytes = false});
    ASSERT_TRUE(findings.ok()) << findings.error().describe();
    for (const auto& finding : *findings) {
      EXPECT_NE(finding.severity, store::Severity::Broken)
          << finding.promise << " " << finding.entity << ": " << finding.message;
    }
  }

  // What the engine gets as its store: a test may put faults in between.
  virtual sql::Store& engine_store() { return *store_; }
  // Releases that are not current: there for executions that are pinned to them, or missed.
  PackSet pack_set(std::vector<std::shared_ptr<const Pack>> packs) {
    PackSet set{.system = {}, .own = std::move(packs), .retired = retired_, .missing = missing_};
    auto is_core = [](const auto& pack) { return pack->ref == "core"; };
    std::ranges::copy_if(set.own, std::back_inserter(set.system), is_core);
    std::erase_if(set.own, is_core);
    return set;
  }
  virtual std::vector<std::shared_ptr<const Pack>> packs() { return {core_pack(), test_pack()}; }

  void start() {
    Engine::Outside outside{
        .now_ms = [this] { return now_ms_.load(); },
        .mono_ns = [this] { return mono_ms_.load() * 1'000'000; },
        .fatal = [](const Error& error) { FAIL() << error.describe(); },
        .equip = [](WorkOrder&) {},
        .decided = [](std::string_view, int64_t) {},
        .open_key = open_key_,
        .blobs = blobs_.get(),
        .in_hand = in_hand_.get(),
    };
    auto engine = Engine::start(engine_store(), pack_set(packs()), {}, options_, outside);
    ASSERT_TRUE(engine.ok()) << engine.error().describe();
    engine_ = std::move(*engine);
  }

  void open_worker(int slots, std::string instance = "s1", std::vector<RunKey> adopted = {}) {
    WorkerHello hello;
    hello.name = "local";
    hello.slots = slots;
    hello.instance = std::move(instance);
    hello.adopted = std::move(adopted);
    hello.elsewhere = elsewhere_;
    open_session(std::move(hello), worker_);
    settle();
  }

  // Returns when the session is open; `session_` is the newest.
  void open_session(WorkerHello hello, WorkReceiver& receiver) {
    std::promise<Result<Session>> opened;
    auto future = opened.get_future();
    engine_->open(std::move(hello), receiver,
                  [&](Result<Session> session) { opened.set_value(std::move(session)); });
    auto session = future.get();
    ASSERT_TRUE(session.ok()) << session.error().describe();
    session_ = session->id;
    adopted_ = session->adopted;
  }

  // Both clocks go on.
  void tick(int64_t ms) {
    now_ms_ += ms;
    mono_ms_ += ms;
  }
  void settle() { ASSERT_TRUE(engine_->settle()) << "it does not come to rest"; }

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
      Caller caller = kTester;
      caller.idempotency_key = std::move(idempotency_key);
      caller.request_hash = std::move(hash);
      engine_->submit(command::run(caller, std::move(request), std::move(reply)));
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
      engine_->submit(command::ingest(kTester, std::move(event), std::move(reply)));
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
      engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, std::move(reply)));
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
    engine_->finished(session_, std::move(completion), [&] { done.set_value(); });
    ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    settle();
  }

  ExecutionRow stored(ExecutionId id) {
    auto reader = store_->open_reader();
    auto row = store::find_execution(**reader, kDefaultTenant, id);
    return row.ok() && *row ? **row : ExecutionRow{};
  }

  // Changes rows behind the engine's back. Bytes are written as SQLite has them.
  void plant(std::string script) {
    if (over_postgres()) {
      for (size_t at = 0; (at = script.find("x'", at)) != script.npos;) {
        script.replace(at, 2, "'\\x");
        at = script.find('\'', at + 3);
        script.insert(at + 1, "::bytea");
      }
      for (size_t at; (at = script.find(" AS BLOB")) != script.npos;) {
        script.replace(at, 8, " AS BYTEA");
      }
    }
    auto writer = store_->open_writer();
    ASSERT_TRUE(writer.ok());
    auto done = (*writer)->run(script);
    ASSERT_TRUE(done.ok()) << done.error().describe();
  }
  // From here on each insert into this table fails by the fault of its row.
  void refuse_inserts(const std::string& table) {
    if (!over_postgres()) {
      return plant("CREATE TRIGGER planted BEFORE INSERT ON " + table +
                   " BEGIN SELECT RAISE(ABORT, 'planted refusal'); END");
    }
    plant(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'planted refusal' USING ERRCODE = 'check_violation'; END $$; CREATE TRIGGER planted "
        "BEFORE INSERT ON " +
        table + " FOR EACH ROW EXECUTE FUNCTION planted()");
  }
  void allow_inserts(const std::string& table) {
    plant(over_postgres() ? "DROP TRIGGER planted ON " + table + "; DROP FUNCTION planted()"
                          : "DROP TRIGGER planted");
  }
  int64_t count(const std::string& from) {
    auto reader = store_->open_reader();
    return *store::query_int(**reader, "SELECT count(*) FROM " + from);
  }

  std::string folder_;
  std::vector<std::shared_ptr<const Pack>> retired_;
  std::vector<PackReleaseRow> missing_;
  OpenKey open_key_;
  // Few: they move in every test that sends some.
  Engine::Options options_{.recent_keys = over_postgres() ? size_t{0} : size_t{4}};
  std::atomic<int64_t> now_ms_{1'800'000'000'000};  // the wall clock
  std::atomic<int64_t> mono_ms_{1'000};             // the monotonic one
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<Blobs> blobs_;
  std::unique_ptr<InHand> in_hand_;  // none but where a test is about it
  KeepingWorker worker_;
  SessionId session_;
  std::vector<AdoptedRun> adopted_;  // by the newest session
  bool elsewhere_ = false;           // the worker is in another process: it has to renew
  std::unique_ptr<Engine> engine_;
};

}  // namespace millrace::engine
