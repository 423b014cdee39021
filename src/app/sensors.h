// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/sensor_specs.h"
#include "auth/token.h"
#include "engine/engine.h"
#include "engine/machine/keys.h"
#include "expr/expr.h"
#include "kernel/servers.h"
#include "services/api/sensor_desk.h"
#include "services/sensor/sensors.h"
#include "services/worker/worker.h"

namespace millrace::app {

// Which sensors run on this server, and with what: the catalogue, configuration, environments,
// leases and tokens on one side, services/sensor on the other. Of several servers one runs each:
// all see alike whose it is (runner_of), and a lease in the store keeps two from running it while
// it moves.
class SensorHost {
 public:
  struct Given {
    engine::Engine& engine;
    sql::Store& store;
    auth::TokenCache& tokens;
    auth::Random random;
    engine::OpenKey open_key;
    // Where releases, environments and SDKs are found; as a worker has it.
    worker::WorkerConfig worker;
    std::string data;
    std::function<std::string()> api_url;
    bool has_others = false;  // several servers may share the store
    bool runs = true;         // it has the role; else it only shows them
    int64_t events_per_second = 200;
    int64_t stop_grace_ms = 10'000;
  };
  // What it is given outlives it.
  explicit SensorHost(Given given);
  ~SensorHost();
  SensorHost(const SensorHost&) = delete;
  SensorHost& operator=(const SensorHost&) = delete;

  Result<void> start();
  // All are asked to stop; `stop` waits for it.
  void begin_stop(int64_t grace_ms);
  void stop();

  api::SensorDesk desk();
  sensor::Counts counts() const { return sensors_->counts(); }
  // For /health.
  std::vector<std::string> troubles() const;

 private:
  // What a sensor is started with, as last asked for.
  struct Known {
    SensorSpec spec;
    Value config = {};
    std::string fault = {};  // why there is no configuration; empty: there is
  };
  using KnownPtr = std::shared_ptr<const Known>;
  // What people say of `enabled`.
  struct Switches {
    std::map<sensor::SensorKey, bool> by_key;
    void apply(SensorSpec& spec) const;
  };
  std::optional<std::vector<sensor::Wanted>> wanted();
  void look_at_catalogue();
  Result<Switches> look_at_switches();
  Result<KnownPtr> look_at(SensorSpec spec);
  Result<Value> config_of(const SensorSpec& spec);
  void prepare(const sensor::SensorKey& key,
               const std::function<void(Result<sensor::Prepared>)>& ready);
  Result<void> take_lease(const sensor::SensorKey& key);
  void ended(const sensor::SensorKey& key);
  kernel::WorkOrder order_of(const SensorSpec& spec) const;
  Result<sensor::Prepared> plan(const sensor::SensorKey& key);
  Result<std::string> own_folder(const sensor::SensorKey& key) const;
  Secret make_token(const SensorSpec& spec);
  void forget_token(const sensor::SensorKey& key);
  void dispatch(const sensor::SensorKey& key, int64_t start, const sensor::Dispatch& event,
                const std::function<void(Result<void>)>& done);
  Switches switches() const;
  KnownPtr known(const sensor::SensorKey& key) const;
  api::SensorInfo info_of(const SensorSpec& spec,
                          const std::vector<engine::ServerView>& servers) const;

  const Given given_;
  const std::string session_;  // with a start and a number it names an event
  int64_t subscription_ = 0;
  std::mutex staged_mutex_;  // of what `worker` looks for releases with
  mutable std::mutex mutex_;
  std::map<sensor::SensorKey, KnownPtr> known_;
  Switches switches_;
  std::map<sensor::SensorKey, TokenId> live_tokens_;
  int64_t last_token_ = 0;
  std::atomic<size_t> without_runtime_ = 0;
  // Of the sensors' thread.
  std::shared_ptr<const engine::Catalog> catalogs_;  // that specs_ are of
  std::vector<SensorSpec> specs_;
  std::unique_ptr<sql::Connection> reader_;
  std::unique_ptr<sql::Connection> writer_;
  expr::Engine expressions_;
  std::unique_ptr<sensor::Sensors> sensors_;
};

}  // namespace millrace::app
