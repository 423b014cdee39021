// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "engine/engine.h"
#include "services/api/options.h"
#include "services/grpc/server.h"
#include "telemetry/metrics.h"

namespace millrace::app {

class SensorHost;

// What a server tells on /metrics. Updates are thread-safe and take tens of nanoseconds.
class Metrics {
 public:
  Metrics();

  // Reads the engine's own counters whenever somebody asks.
  void watch(const engine::Engine& engine);
  void watch(const async::Loop& loop);
  void watch(const SensorHost& sensors);
  // Called by the executor for each first decision.
  std::function<void(std::string_view kind, int64_t waited_ns)> decided();
  // Called by the executor when the wall clock was set.
  void clock_stepped() { clock_steps_.add(); }
  // Called by the API for each answer.
  std::function<void(const api::Observation&)> observer();
  // Called by the gRPC server for each call that is over.
  std::function<void(const rpc::CallObservation&)> grpc_observer();
  std::string text() const { return registry_.expose(); }

 private:
  telemetry::Registry registry_;
  telemetry::Histogram& queue_time_;
  telemetry::Histogram& request_time_;
  telemetry::Counter& clock_steps_;
  // By status class: 2xx, 4xx, 5xx and the rest.
  telemetry::Counter& requests_2xx_;
  telemetry::Counter& requests_3xx_;
  telemetry::Counter& requests_4xx_;
  telemetry::Counter& requests_5xx_;
};

}  // namespace millrace::app
