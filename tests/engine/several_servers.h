// SPDX-License-Identifier: Apache-2.0
// Several engines over one PostgreSQL in one process, with clocks that a test sets.
#pragma once

#include "engine/elsewhere.h"
#include "fault_store.h"
#include "harness.h"
#include "store/servers.h"

namespace millrace::engine {

class SeveralServers : public ::testing::Test {
 protected:
  struct Worker : KeepingWorker {
    std::atomic<int> over_count{0};
    void over(SessionId) override { ++over_count; }
  };
  // One server with its own connections and a worker.
  struct Server {
    std::string name;
    std::unique_ptr<sql::Store> store;
    std::unique_ptr<sql::FaultStore> faults;
    Worker worker;
    SessionId session;
    std::atomic<bool> ended{false};  // it was told that its place is another's
    std::unique_ptr<Engine> engine;
    int node() const {
      for (const auto& view : engine->servers()) {
        if (view.is_self) return view.row.node;
      }
      return kNobody;
    }
  };

  void SetUp() override {
    if (!over_postgres()) GTEST_SKIP() << "servers share PostgreSQL only";
    char name[] = "/tmp/millrace-servers-XXXXXX";
    folder_ = mkdtemp(name);
    store_ = open();
    reader_ = std::move(*store_->open_reader());
    blobs_ = std::move(*blob_fs::open(folder_));
  }
  void TearDown() override {
    if (!store_) return;
    servers_.clear();
    auto findings = store::examine(*reader_, {.now_ms = now_ms_, .check_bytes = false});
    ASSERT_TRUE(findings.ok()) << findings.error().describe();
    for (const auto& finding : *findings) {
      EXPECT_NE(finding.severity, store::Severity::Broken)
          << finding.promise << " " << finding.entity << ": " << finding.message;
    }
    std::filesystem::remove_all(folder_);
  }
  std::unique_ptr<sql::Store> open() {
    auto store = open_test_store(folder_);
    if (!store.ok()) throw std::runtime_error(store.error().describe());
    return std::move(*store);
  }

  Result<Server*> try_start(const std::string& name, std::string home = "",
                            std::string roles = "api,executor,worker") {
    auto server = std::make_unique<Server>();
    auto* raw = server.get();
    server->name = name;
    server->store = open();
    server->faults = std::make_unique<sql::FaultStore>(*server->store);
    Engine::Options options;
    options.session_ttl_ms = 30'000;
    options.server = {.name = name, .home = home.empty() ? name : home, .roles = std::move(roles)};
    options.cluster = times_;
    Engine::Outside outside{
        .now_ms = [this] { return now_ms_.load(); },
        .mono_ns = [this] { return mono_ms_.load() * 1'000'000; },
        .fatal = [raw](const Error&) { raw->ended = true; },
        .equip = [](WorkOrder&) {},
        .decided = [](std::string_view, int64_t) {},
        .open_key = {},
        .blobs = blobs_.get(),
    };
    auto core = std::make_shared<Pack>(*core_pack());
    Trigger& timer = core->triggers.emplace_back();
    timer.ref = "core.intervaltimer";
    for (const char* part : {"unit", "interval"}) {
      Parameter& parameter = timer.parameters.emplace_back();
      parameter.name = part;
      parameter.schema = Value::map();
    }
    PackSet packs{.system = {core}, .own = {test_pack()}};
    TRY(server->engine, Engine::start(*server->faults, packs, {}, options, outside));
    servers_.push_back(std::move(server));
    return raw;
  }
  Server& start(const std::string& name) {
    auto started = try_start(name);
    if (!started.ok()) throw std::runtime_error(started.error().describe());
    return **started;
  }
  // As a kill does: nothing is given back, nobody is told.
  void kill(Server& server) {
    std::erase_if(servers_, [&](const auto& each) { return each.get() == &server; });
  }
  void open_worker(Server& server, int slots, std::vector<RunKey> adopted = {},
                   const std::string& instance = "first") {
    WorkerHello hello{.name = server.name, .slots = slots, .instance = instance};
    hello.adopted = std::move(adopted);
    auto session = await<Session>([&](Reply<Session> opened) {
      server.engine->open(std::move(hello), server.worker, std::move(opened));
    });
    ASSERT_TRUE(session.ok()) << session.error().describe();
    server.session = session->id;
  }

  Cluster cluster() {
    auto seen = store::look(*reader_);
    if (!seen.ok()) throw std::runtime_error(seen.error().describe());
    return std::move(*seen);
  }
  int owned(Server& server) { return cluster().shards_of(server.node()).size(); }

  // Waits in real time: what is waited for needs no clock.
  bool soon(const std::function<bool()>& is_so) {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  // The clocks go on by so much, and every server whose beat is not held up raises it.
  void tick(int64_t ms) {
    std::map<int64_t, int64_t> before;
    for (const auto& row : cluster().servers) before[row.epoch] = row.beat;
    now_ms_ += ms;
    mono_ms_ += ms;
    for (const auto& server : servers_) server->engine->look_at_clock();
    EXPECT_TRUE(soon([&] {
      auto rows = cluster().servers;
      return std::ranges::all_of(servers_, [&](const auto& server) {
        if (silent_.contains(server.get()) || server->ended) return true;
        auto row = std::ranges::find(rows, server->name, &ServerRow::name);
        return row != rows.end() && row->beat > before[row->epoch];
      });
    })) << "a server does not beat";
  }
  // Ticks of a second until it is so; false: not within a minute of theirs.
  bool in_time(const std::function<bool()>& is_so, int64_t within_ms = 60'000) {
    for (int64_t gone = 0; !is_so(); gone += 1000) {
      if (gone >= within_ms) return false;
      tick(1000);
    }
    return true;
  }
  bool spread_over(std::vector<Server*> servers) {
    return in_time([&] {
      auto now = cluster();
      int total = 0;
      for (auto* server : servers) {
        int has = now.shards_of(server->node()).size();
        if (std::abs(has * static_cast<int>(servers.size()) - kShards) >= kShards / 2) return false;
        total += has;
      }
      return total == kShards;
    });
  }
  // Its beat cannot be raised any more, or can again.
  void silence(Server& server) {
    silent_.insert(&server);
    server.faults->add({.on = sql::Fault::On::Writer, .text = "UPDATE server SET beat"});
  }
  void unsilence(Server& server) {
    silent_.erase(&server);
    server.faults->clear();
  }

  template <typename T, typename Call>
  Result<T> await(Call call) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    call([promise](Result<T> result) { promise->set_value(std::move(result)); });
    if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      throw std::runtime_error("no reply within 20 s");
    }
    return future.get();
  }
  Result<ExecutionRow> run(Server& server, const std::string& action,
                           Value parameters = Value::map()) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      server.engine->submit(command::run(
          kTester, {.action = action, .parameters = std::move(parameters)}, std::move(reply)));
    });
  }
  Result<ExecutionRow> cancel(Server& server, ExecutionId id) {
    return await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
      server.engine->submit(command::cancel(kTester, id, std::move(reply)));
    });
  }
  void finish(Server& server, const WorkOrder& order, std::string out = "{\"n\": 1}") {
    Completion completion{.tenant = order.tenant, .key = order.key};
    completion.out.size = static_cast<int64_t>(out.size());
    completion.out.bytes = std::move(out);
    auto done = std::make_shared<std::promise<void>>();
    server.engine->finished(server.session, std::move(completion), [done] { done->set_value(); });
    ASSERT_EQ(done->get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }
  ExecutionRow stored(ExecutionId id) {
    auto row = store::find_execution(*reader_, kDefaultTenant, id);
    return row.ok() && *row ? **row : ExecutionRow{};
  }
  bool ends(ExecutionId id, ExecutionStatus status = ExecutionStatus::Succeeded) {
    return soon([&] { return stored(id).status == status; });
  }
  int shard(ExecutionId id) { return shard_of(kDefaultTenant, stored(id).root.value); }

  std::string folder_;
  ClusterTimes times_;
  std::atomic<int64_t> now_ms_{1'800'000'000'000};
  std::atomic<int64_t> mono_ms_{1'000'000};
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<sql::Connection> reader_;
  std::unique_ptr<Blobs> blobs_;
  std::set<Server*> silent_;
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace millrace::engine
