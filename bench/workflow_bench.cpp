// SPDX-License-Identifier: Apache-2.0
// Workflows: the conductor and the expressions alone, runs over the API beside the same rows in
// bare SQLite, many items, many that wait.
#include <fmt/format.h>

#include <filesystem>

#include "bare_rows.h"
#include "base/json.h"
#include "expr/expr.h"
#include "figure.h"
#include "test_server.h"
#include "tests/conformance/recorded.h"

namespace millrace::bench {
namespace {

Line absolute(std::string figure, std::string unit, double ours, double aim,
              Line::Better better = Line::Better::Less) {
  return {.figure = std::move(figure),
          .unit = std::move(unit),
          .ours = ours,
          .aim = aim,
          .better = better,
          .aim_of = Line::AimOf::Ours};
}

std::vector<Line> recorded_runs() {
  namespace fs = std::filesystem;
  const char* named = getenv("MILLRACE_CONFORMANCE_DIR");
  fs::path folder =
      named ? fs::path(named) : fs::path(MILLRACE_SOURCE_DIR) / "../shared/conformance/orquesta";
  fs::path file = folder / "conducting-unit.jsonl";
  if (!fs::exists(file)) return {};
  Value medians = conformance::time_conducting(conformance::read_lines(file));
  return {absolute("conductor: event, median over conducting-unit", "us",
                   medians["event"].as_float(), 10),
          absolute("conductor: next_tasks, the same", "us", medians["next_tasks"].as_float(), 10)};
}

// Evaluations per second of one core, compiled.
double evaluations(std::string_view text, const Value& result, const Options& options) {
  expr::Engine engine;
  auto compiled = engine.compile(text, expr::Mode::Native);
  if (!compiled.ok()) give_up(compiled.error().describe());
  expr::Scope scope;
  scope.ctx = Value::map({{"a", Value::map({{"b", 41}})}, {"name", "main"}});
  auto sample = measure([&] {
    int64_t count = options.count(2'000'000, 1000);
    for (int64_t i = 0; i < count; ++i) {
      if (!engine.evaluate(**compiled, scope).ok()) give_up("an expression failed");
    }
    return count;
  });
  auto value = engine.evaluate(**compiled, scope);
  if (*value != result) give_up(fmt::format("{} gave {}", text, to_json(*value)));
  return sample.operations / sample.cpu_seconds;
}

// One of the workflows that wait is answered, and succeeds.
void answer_one(TestServer& server) {
  auto waiting = server.call("GET", "/api/v1/inquiries?status=pending&limit=1");
  if (waiting.size() != 1) give_up("no workflow waits any more");
  const Value& inquiry = waiting.as_list()[0];
  server.call("POST", fmt::format("/api/v1/inquiries/{}/answer", inquiry["id"].as_string()),
              R"({"response":{}})");
  auto step =
      server.call("GET", fmt::format("/api/v1/executions/{}", inquiry["execution"].as_string()));
  auto workflow =
      server.call("GET", fmt::format("/api/v1/executions/{}?wait=30s", step["parent"].as_string()));
  if (workflow["status"].as_string() != "succeeded") give_up("an answered workflow failed");
}

std::string start(const TestServer& server, std::string_view action, std::string_view parameters,
                  bool waits) {
  return http_request("POST", waits ? "/api/v1/executions?wait=60s" : "/api/v1/executions",
                      server.authorization() + "Content-Type: application/json\r\n",
                      fmt::format(R"({{"action":"{}","parameters":{}}})", action, parameters));
}

}  // namespace

std::vector<Line> conductor_figure(const Options& options) {
  auto lines = recorded_runs();
  lines.push_back(absolute("expressions: <% ctx().a.b + 1 %>", "/s",
                           evaluations("<% ctx().a.b + 1 %>", 42, options), 1e6,
                           Line::Better::More));
  lines.push_back(
      absolute("expressions: {{ ctx().name == 'main' and ctx().a.b > 1 }}", "/s",
               evaluations("{{ ctx().name == 'main' and ctx().a.b > 1 }}", true, options), 1e6,
               Line::Better::More));
  return lines;
}

std::vector<Line> workflows_figure(const Options& options) {
  TestServer server(options.server, options.folder + "/workflows", {},
                    make_bench_pack(options.folder));
  auto request = start(server, "bench.three", R"({"n":1})", true);
  std::vector<Line> lines;
  for (int64_t at_once : {1, 64, 256}) {
    auto name = fmt::format("workflow of 3 pure steps, {} at once", at_once);
    if (!options.wants(name)) continue;
    BareRows rows(fmt::format("{}/workflows-floor-{}", options.folder, at_once));
    HttpLoad load(server.port(), static_cast<int>(at_once));
    auto use = [&] { return server.use(); };
    int64_t count = options.count(3000, 20) * (at_once == 1 ? 1 : 4);
    load.run(std::vector<std::string>(300, request), kSucceeded, use);  // not counted
    std::vector<LoadSample> ours;
    Interleaved floor;
    for (int round = 0; round < options.rounds(5); ++round) {
      std::vector<std::string> requests(static_cast<size_t>(count), request);
      ours.push_back(load.run(requests, kSucceeded, use));
      rows.checkpoint();
      floor.round([&] { return rows.workflows(count, at_once); }, [] { return int64_t{1}; });
    }
    bool judged = at_once == 64;
    lines.push_back({.figure = name,
                     .unit = "/s",
                     .ours = median(ours, &LoadSample::rate),
                     .floor = floor.ours(&Sample::rate),
                     .aim = judged ? 0.5 : 0,
                     .better = Line::Better::More});
    if (judged) {
      lines.push_back(absolute(name + ": each second", "/s", median(ours, &LoadSample::rate), 4500,
                               Line::Better::More));
    }
    lines.push_back(
        {.figure = name + ": p50", .unit = "us", .ours = median(ours, &LoadSample::p50_us)});
    lines.push_back({.figure = name + ": server CPU",
                     .unit = "us",
                     .ours = median(ours, &LoadSample::cpu_us),
                     .floor = floor.ours(&Sample::cpu_us),
                     .aim = judged ? 250.0 : 0,
                     .aim_of = Line::AimOf::Ours});
    add_use(lines, name, ours);
  }
  return lines;
}

std::vector<Line> items_figure(const Options& options) {
  TestServer server(options.server, options.folder + "/items", {}, make_bench_pack(options.folder));
  HttpLoad load(server.port(), 1);
  auto cpu = [&] { return server.cpu_seconds(); };
  struct PerItem {
    double us = 0;
    double cpu_us = 0;
    double bytes = 0;
  };
  auto run = [&](const std::string& request, int64_t items, int64_t runs) {
    load.run({request}, kSucceeded, cpu);  // not counted
    auto before = footprint_of(server.pid());
    double cpu_before = server.cpu_seconds();
    double begin = wall_seconds();
    load.run(std::vector<std::string>(static_cast<size_t>(runs), request), kSucceeded, cpu);
    auto total = static_cast<double>(items * runs);
    auto after = footprint_of(server.pid());
    return PerItem{(wall_seconds() - begin) * 1e6 / total,
                   (server.cpu_seconds() - cpu_before) * 1e6 / total,
                   static_cast<double>(after.written_bytes - before.written_bytes) / total};
  };
  std::vector<Line> lines;
  PerItem hundred;
  for (int64_t items : {100, 1000, 10'000}) {
    if (options.smoke && items > 1000) break;
    std::string xs = "[";
    for (int64_t i = 0; i < items; ++i) xs += (i ? "," : "") + std::to_string(i);
    int64_t runs = options.count(50'000 / items, 1);
    auto each = run(start(server, "bench.items", R"({"xs":)" + xs + "]}", true), items, runs);
    if (items == 100) hundred = each;
    auto add = [&](std::string_view what, std::string unit, double PerItem::* figure) {
      lines.push_back({.figure = fmt::format("with-items {}: {} per item", items, what),
                       .unit = std::move(unit),
                       .ours = each.*figure,
                       .floor = items == 100 ? 0 : hundred.*figure,
                       .aim = items == 10'000 ? 1.3 : 0});
    };
    add("time", "us", &PerItem::us);
    add("CPU", "us", &PerItem::cpu_us);
    add("written", "bytes", &PerItem::bytes);
  }
  auto fan = run(start(server, "bench.fan", "{}", true), 102, options.count(200, 1));
  lines.push_back({.figure = "fan-out 100 and join: CPU per step",
                   .unit = "us",
                   .ours = fan.cpu_us,
                   .floor = hundred.cpu_us});
  return lines;
}

std::vector<Line> waiting_figure(const Options& options) {
  auto folder = options.folder + "/waiting";
  auto packs = make_bench_pack(options.folder);
  int64_t few = options.count(20'000, 50);
  int64_t count = options.count(100'000, 100);
  double fresh = 0;
  double full = 0;
  {
    TestServer server(options.server, folder, {}, packs);
    HttpLoad load(server.port(), 64);
    auto request = start(server, "bench.wait", "{}", false);
    auto cpu = [&] { return server.cpu_seconds(); };
    auto start_up_to = [&](int64_t begun, int64_t wanted) {
      load.run(std::vector<std::string>(static_cast<size_t>(wanted - begun), request), {201}, cpu);
      return static_cast<double>(footprint_of(server.pid()).resident_bytes) / 1e6;
    };
    fresh = start_up_to(0, few);
    full = start_up_to(few, count);
  }
  TestServer again(options.server, folder, {}, packs);
  answer_one(again);
  return {absolute(fmt::format("{} workflows wait: start to ready after kill -9", count), "ms",
                   again.start_seconds() * 1e3, 1000),
          {.figure = fmt::format("{} workflows wait: resident, beside {} that wait", count, few),
           .unit = "MB",
           .ours = full,
           .floor = fresh,
           .aim = 1.3},
          {.figure = "the same after the restart: resident",
           .unit = "MB",
           .ours = static_cast<double>(footprint_of(again.pid()).resident_bytes) / 1e6}};
}

}  // namespace millrace::bench
