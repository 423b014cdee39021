// SPDX-License-Identifier: Apache-2.0
#include "app/metrics.h"

#include "app/sensors.h"

namespace millrace::app {
namespace {

constexpr char kRequests[] = "millrace_http_requests_total";
constexpr char kRequestsHelp[] = "Answered HTTP requests by class of status.";

}  // namespace

Metrics::Metrics()
    : queue_time_(registry_.histogram("millrace_intake_wait_seconds",
                                      "How long a message waited for its decision.",
                                      telemetry::kDurationBounds)),
      request_time_(registry_.histogram("millrace_http_request_duration_seconds",
                                        "From a request's arrival to its answer.",
                                        telemetry::kDurationBounds)),
      clock_steps_(registry_.counter(
          "millrace_clock_steps_total",
          "How often the wall clock was set by a second or more, or the machine has slept.")),
      requests_2xx_(registry_.counter(kRequests, kRequestsHelp, {{"status", "2xx"}})),
      requests_3xx_(registry_.counter(kRequests, kRequestsHelp, {{"status", "3xx"}})),
      requests_4xx_(registry_.counter(kRequests, kRequestsHelp, {{"status", "4xx"}})),
      requests_5xx_(registry_.counter(kRequests, kRequestsHelp, {{"status", "5xx"}})) {
  telemetry::add_process_metrics(registry_);
}

void Metrics::watch(const engine::Engine& engine) {
  registry_.counter_from("millrace_commits_total", "Durable commits.",
                         [&engine] { return static_cast<double>(engine.stats().commits); });
  registry_.counter_from("millrace_commit_steps_total", "Steps in durable commits.",
                         [&engine] { return static_cast<double>(engine.stats().steps); });
  registry_.counter_from("millrace_commit_failures_total", "Batches that were rolled back.",
                         [&engine] { return static_cast<double>(engine.stats().batch_failures); });
  registry_.counter_from("millrace_commit_seconds_total", "Time inside commits.",
                         [&engine] { return static_cast<double>(engine.stats().commit_ns) / 1e9; });
  registry_.counter_from("millrace_slow_decisions_total",
                         "Decisions that took longer than 200 ms: the log names them.",
                         [&engine] { return static_cast<double>(engine.stats().slow_decisions); });
  registry_.counter_from("millrace_set_aside_total",
                         "Messages that could not be decided, or ended the server.",
                         [&engine] { return static_cast<double>(engine.stats().set_aside); });
  registry_.gauge_from("millrace_intake_waiting", "Messages that are not yet written.",
                       [&engine] { return static_cast<double>(engine.waiting()); });
  registry_.gauge_from("millrace_store_read_only", "1 while the disk is full.",
                       [&engine] { return engine.read_only() ? 1.0 : 0.0; });
}

void Metrics::watch(const async::Loop& loop) {
  registry_.counter_from("millrace_loop_held_total",
                         "Turns that held the loop for longer than 50 ms: the log names them.",
                         [&loop] { return static_cast<double>(loop.held()); });
}

void Metrics::watch(const SensorHost& sensors) {
  registry_.gauge_from("millrace_sensors_running", "Sensors that run here.",
                       [&sensors] { return static_cast<double>(sensors.counts().running); });
  registry_.gauge_from("millrace_sensors_down", "Sensors that do not stay up here.",
                       [&sensors] { return static_cast<double>(sensors.counts().down); });
  registry_.counter_from("millrace_sensor_starts_total", "Processes started for sensors.",
                         [&sensors] { return static_cast<double>(sensors.counts().starts); });
  registry_.counter_from("millrace_sensor_events_total", "Events of sensors that were stored.",
                         [&sensors] { return static_cast<double>(sensors.counts().events); });
}

std::function<void(std::string_view, int64_t)> Metrics::decided() {
  return [this](std::string_view, int64_t waited_ns) {
    queue_time_.observe(static_cast<double>(waited_ns) / 1e9);
  };
}

std::function<void(const rpc::CallObservation&)> Metrics::grpc_observer() {
  return [this](const rpc::CallObservation& seen) {
    registry_
        .counter("millrace_grpc_server_handled_total", "gRPC calls that are over.",
                 {{"service", seen.service}, {"method", seen.method}, {"code", seen.code}})
        .add();
    if (seen.is_stream) return;
    registry_
        .histogram("millrace_grpc_server_handling_seconds", "From a unary call to its answer.",
                   telemetry::kDurationBounds, {{"service", seen.service}, {"method", seen.method}})
        .observe(static_cast<double>(seen.duration_ns) / 1e9);
  };
}

std::function<void(const api::Observation&)> Metrics::observer() {
  return [this](const api::Observation& seen) {
    request_time_.observe(static_cast<double>(seen.duration_ns) / 1e9);
    auto& counter = seen.status < 300   ? requests_2xx_
                    : seen.status < 400 ? requests_3xx_
                    : seen.status < 500 ? requests_4xx_
                                        : requests_5xx_;
    counter.add();
  };
}

}  // namespace millrace::app
