// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL makes of our rows, beside the same rows in libpq calls that somebody wrote by
// hand: everything of a commit in one pipeline. CPU is that of client and database together.
#include <fmt/format.h>

#include <algorithm>

#include "bare_postgres.h"
#include "bare_rows.h"
#include "figure.h"
#include "kernel_steps.h"
#include "postgres_cluster.h"
#include "test_server.h"
#include "webhook_step.h"

namespace millrace::bench {
namespace {

constexpr double kRateAim = 0.5;
const std::string kWebhookBody = "{\"pad\":\"" + std::string(1000, 'x') + "\"}";

class PostgresBench {
 public:
  explicit PostgresBench(const Options& options)
      : options_(options), cluster_(options.folder + "/postgres") {}

  void kernel(int64_t in_flight) {
    auto figure = fmt::format("postgres, kernel steps, {} in flight", in_flight);
    if (!options_.wants(figure)) return;
    auto name = fmt::format("kernel_{}", in_flight);
    KernelSteps ours(std::make_unique<Flight>(cluster_.url(), name + "_ours"));
    BareKernelSteps<BarePostgres> floor(bare(name + "_floor"));
    auto prepare = [&](int64_t steps) {
      ours.prepare(steps);
      floor.prepare(steps);
    };
    compare(
        figure, in_flight, prepare, [&](int64_t steps) { return ours.run(steps, in_flight); },
        [&](int64_t steps) { return floor.run(steps, in_flight); });
  }

  void webhooks(int64_t in_flight) {
    auto figure = fmt::format("postgres, rows of a webhook, {} in flight", in_flight);
    if (!options_.wants(figure)) return;
    auto name = fmt::format("webhooks_{}", in_flight);
    Flight ours(cluster_.url(), name + "_ours");
    BareRowsIn<BarePostgres> floor(bare(name + "_floor"));
    int64_t n = 0;
    compare(
        figure, in_flight, [](int64_t) {},
        [&](int64_t steps) {
          return ours.run(steps, in_flight, [&] { return webhook_step(++n, kWebhookBody); });
        },
        [&](int64_t steps) { return floor.webhooks(steps, in_flight, kWebhookBody, true); });
  }

  // What row level security costs: the floor is ours without.
  void row_security(int64_t in_flight) {
    auto figure = [&](std::string_view what) {
      return fmt::format("postgres, row security, {}, {} in flight", what, in_flight);
    };
    auto steps_figure = figure("kernel steps");
    auto rows_figure = figure("rows of a webhook");
    auto flight = [&](std::string_view what, bool on) {
      auto schema = fmt::format("{}_{}_{}", what, in_flight, on ? "secured" : "open");
      return std::make_unique<Flight>(cluster_.application_url(), schema, on);
    };
    if (options_.wants(steps_figure)) {
      KernelSteps on(flight("steps", true));
      KernelSteps off(flight("steps", false));
      auto prepare = [&](int64_t steps) {
        on.prepare(steps);
        off.prepare(steps);
      };
      compare(
          steps_figure, in_flight, prepare, [&](int64_t steps) { return on.run(steps, in_flight); },
          [&](int64_t steps) { return off.run(steps, in_flight); });
    }
    if (options_.wants(rows_figure)) {
      auto on = flight("rows", true);
      auto off = flight("rows", false);
      int64_t n = 0;
      auto run = [&](Flight& of, int64_t steps) {
        return of.run(steps, in_flight, [&] { return webhook_step(++n, kWebhookBody); });
      };
      compare(
          rows_figure, in_flight, [](int64_t) {}, [&](int64_t steps) { return run(*on, steps); },
          [&](int64_t steps) { return run(*off, steps); });
    }
  }

  void workflows(int64_t at_once) {
    auto figure = fmt::format("postgres, workflow of 3 pure steps, {} at once", at_once);
    if (!options_.wants(figure)) return;
    TestServer server(
        options_.server, fmt::format("{}/postgres-server-{}", options_.folder, at_once),
        {"store.url=" + cluster_.url(), fmt::format("store.schema=workflows_{}", at_once)},
        make_bench_pack(options_.folder));
    BareRowsIn<BarePostgres> floor(bare(fmt::format("workflows_{}_floor", at_once)));
    HttpLoad load(server.port(), static_cast<int>(at_once));
    auto request = http_request("POST", "/api/v1/executions?wait=60s",
                                server.authorization() + "Content-Type: application/json\r\n",
                                R"({"action":"bench.three","parameters":{"n":1}})");
    auto run = [&](int64_t count) {
      std::vector<std::string> requests(static_cast<size_t>(count), request);
      load.run(requests, kSucceeded, [] { return 0.0; });
      return count;
    };
    server_ = &server;
    compare(
        figure, at_once, [](int64_t) {}, run,
        [&](int64_t count) { return floor.workflows(count, at_once); });
    server_ = nullptr;
  }

  std::vector<Line> lines;

 private:
  using Run = std::function<int64_t(int64_t)>;

  std::unique_ptr<BarePostgres> bare(const std::string& schema) const {
    return std::make_unique<BarePostgres>(cluster_.url(), schema);
  }
  double other_cpu() const {
    return cluster_.cpu_seconds() + (server_ ? server_->cpu_seconds() : 0);
  }

  void compare(const std::string& name, int64_t in_flight,
               const std::function<void(int64_t)>& prepare, const Run& ours, const Run& floor) {
    // The first ones, not counted, tell how fast the disk is now.
    int64_t count = std::max<int64_t>(in_flight * 10, 100);
    prepare(count);
    ours(count);
    auto first = measure([&] { return floor(count); });
    count = options_.count(operations_per_round(first), count);
    Interleaved samples([this] { return other_cpu(); });
    for (int round = 0; round < options_.rounds(5); ++round) {
      prepare(count);
      samples.round([&] { return ours(count); }, [&] { return floor(count); });
    }
    lines.push_back({.figure = name,
                     .unit = "/s",
                     .ours = samples.ours(&Sample::rate),
                     .floor = samples.floor(&Sample::rate),
                     .aim = kRateAim,
                     .better = Line::Better::More});
    lines.push_back({.figure = name + ": CPU",
                     .unit = "us",
                     .ours = samples.ours(&Sample::cpu_us),
                     .floor = samples.floor(&Sample::cpu_us)});
  }

  const Options& options_;
  PostgresCluster cluster_;
  const TestServer* server_ = nullptr;
};

}  // namespace

std::vector<Line> postgres_figure(const Options& options) {
  PostgresBench bench(options);
  for (int64_t in_flight : {1, 8, 64, 512}) bench.kernel(in_flight);
  for (int64_t in_flight : {1, 64}) bench.webhooks(in_flight);
  for (int64_t at_once : {1, 64}) bench.workflows(at_once);
  for (int64_t in_flight : {1, 64}) bench.row_security(in_flight);
  return std::move(bench.lines);
}

}  // namespace millrace::bench
