// SPDX-License-Identifier: Apache-2.0
// Runs of /bin/true: from an event to the end of the run that it starts, and as executions over
// the API. The floors spawn the same program.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "bare_rows.h"
#include "figure.h"
#include "test_server.h"

extern char** environ;

namespace millrace::bench {
namespace {

pid_t spawn_true() {
  char name[] = "/bin/true";
  char* argv[] = {name, nullptr};
  pid_t pid = -1;
  if (posix_spawn(&pid, name, nullptr, nullptr, argv, environ) != 0) give_up("cannot spawn");
  return pid;
}

// A small program that spawns /bin/true so often, so many at once. Returns runs per second.
double spawn_rate(int64_t total, int64_t at_once) {
  double begin = wall_seconds();
  pid_t program = fork();
  if (program == 0) {
    int64_t started = 0;
    for (int64_t ended = 0; ended < total; ++ended) {
      while (started < total && started - ended < at_once) {
        spawn_true();
        ++started;
      }
      if (waitpid(-1, nullptr, 0) < 0) _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(program, &status, 0);
  if (status != 0) give_up("the spawning program failed");
  return static_cast<double>(total) / (wall_seconds() - begin);
}

// CPU of a run by itself: the two commits of an event's rows and its run's, and the spawn between
// them; as the server's, without what the program itself uses.
double run_cpu_us(BareRows& rows, int64_t count) {
  double cpu = own_cpu_seconds();
  for (int64_t i = 0; i < count; ++i) {
    rows.run("{}", [] { waitpid(spawn_true(), nullptr, 0); });
  }
  return (own_cpu_seconds() - cpu) * 1e6 / static_cast<double>(count);
}

LoadSample sample_of(std::vector<double> latencies_us, double cpu_seconds) {
  std::ranges::sort(latencies_us);
  return {.p50_us = quantile(latencies_us, 0.5),
          .p99_us = quantile(latencies_us, 0.99),
          .cpu_us = cpu_seconds * 1e6 / static_cast<double>(latencies_us.size())};
}

// Sends one event and returns when its execution is known to be final: the enforcement names the
// execution, and `wait` on that one is answered by its end.
void send_and_wait(TestServer& server, int64_t number) {
  auto event = fmt::format(
      R"({{"specversion":"1.0","id":"{}","source":"bench","type":"bench.go","data":{{"n":{}}}}})",
      number, number);
  auto accepted = server.call("POST", "/api/v1/events", event, "application/cloudevents+json");
  auto rows = server.call(
      "GET", fmt::format("/api/v1/enforcements?event={}", accepted["event"].as_string()));
  if (rows.size() != 1) give_up("the event did not match its rule");
  auto end = server.call("GET", fmt::format("/api/v1/executions/{}?wait=30s",
                                            rows.as_list()[0]["execution"].as_string()));
  if (end["status"].as_string() != "succeeded") give_up("an execution failed");
}

}  // namespace

std::vector<Line> event_figure(const Options& options) {
  TestServer server(options.server, options.folder + "/event", {}, make_bench_pack(options.folder));
  server.call("POST", "/api/v1/rules", R"({"ref":"bench.go",
      "trigger":{"ref":"core.cloudevent","parameters":{}},
      "criteria":{"trigger.type":{"type":"equals","pattern":"bench.go"}},
      "action":{"ref":"bench.true","parameters":{}}})");
  BareRows rows(options.folder + "/event-floor");
  std::string payload(200, 'x');
  int64_t number = 0;
  for (int i = 0; i < 20; ++i) send_and_wait(server, ++number);  // not counted
  std::vector<LoadSample> ours;
  std::vector<LoadSample> floor;
  for (int round = 0; round < options.rounds(5); ++round) {
    std::vector<double> of_ours;
    std::vector<double> of_floor;
    double cpu = server.cpu_seconds();
    // One of each in turn: the server is idle while the floor runs.
    for (int i = 0; i < options.count(300, 5); ++i) {
      double begin = wall_seconds();
      send_and_wait(server, ++number);
      of_ours.push_back((wall_seconds() - begin) * 1e6);
      begin = wall_seconds();
      rows.run(payload, [] { waitpid(spawn_true(), nullptr, 0); });
      of_floor.push_back((wall_seconds() - begin) * 1e6);
    }
    ours.push_back(sample_of(of_ours, server.cpu_seconds() - cpu));
    floor.push_back(sample_of(of_floor, 0));
  }
  return {{.figure = "event to finished run, idle server: p50",
           .unit = "us",
           .ours = median(ours, &LoadSample::p50_us),
           .floor = median(floor, &LoadSample::p50_us),
           .aim = 2},
          {.figure = "event to finished run, idle server: p99",
           .unit = "us",
           .ours = median(ours, &LoadSample::p99_us),
           .floor = median(floor, &LoadSample::p99_us),
           .aim = 3},
          {.figure = "event to finished run: server CPU (4 requests)",
           .unit = "us",
           .ours = median(ours, &LoadSample::cpu_us)}};
}

std::vector<Line> executions_figure(const Options& options) {
  TestServer server(options.server, options.folder + "/executions", {"worker.slots=16"},
                    make_bench_pack(options.folder));
  auto request = http_request("POST", "/api/v1/executions?wait=30s",
                              server.authorization() + "Content-Type: application/json\r\n",
                              R"({"action":"bench.true"})");
  std::vector<Line> lines;
  for (int64_t at_once : {1, 16}) {
    auto name = fmt::format("executions of /bin/true, {} at once", at_once);
    if (!options.wants(name)) continue;
    BareRows rows(fmt::format("{}/executions-floor-{}", options.folder, at_once));
    HttpLoad load(server.port(), static_cast<int>(at_once));
    auto use = [&] { return server.use(); };
    int64_t count = options.count(1000, 20);
    load.run(std::vector<std::string>(50, request), kSucceeded, use);  // not counted
    std::vector<LoadSample> ours;
    std::vector<LoadSample> floor;
    for (int round = 0; round < options.rounds(5); ++round) {
      std::vector<std::string> requests(static_cast<size_t>(count), request);
      auto run_ours = [&] { ours.push_back(load.run(requests, kSucceeded, use)); };
      if (round % 2 == 0) run_ours();
      floor.push_back({.rate = spawn_rate(count, at_once), .cpu_us = run_cpu_us(rows, count / 4)});
      if (round % 2 != 0) run_ours();
    }
    lines.push_back({.figure = name,
                     .unit = "/s",
                     .ours = median(ours, &LoadSample::rate),
                     .floor = median(floor, &LoadSample::rate),
                     .aim = 0.7,
                     .better = Line::Better::More});
    lines.push_back(
        {.figure = name + ": p50", .unit = "us", .ours = median(ours, &LoadSample::p50_us)});
    lines.push_back({.figure = name + ": server CPU",
                     .unit = "us",
                     .ours = median(ours, &LoadSample::cpu_us),
                     .floor = median(floor, &LoadSample::cpu_us),
                     .aim = at_once == 1 ? 2.0 : 0});
    add_use(lines, name, ours);
  }
  return lines;
}

}  // namespace millrace::bench
