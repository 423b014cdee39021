// SPDX-License-Identifier: Apache-2.0
// A server that nobody asks anything, and how soon one answers after its start.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "bare_rows.h"
#include "figure.h"
#include "test_server.h"

namespace millrace::bench {
namespace {

Footprint footprint(const TestServer& server) {
  auto sum = footprint_of(server.pid());
  auto spawner = footprint_of(server.spawner());
  return {sum.written_bytes + spawner.written_bytes, sum.resident_bytes + spawner.resident_bytes};
}

// Starts a server several times on what `folder_of` names; the median in ms. `holds`: there are
// executions, and the server must find them.
template <typename FolderOf>
double start_ms(const Options& options, bool holds, FolderOf folder_of) {
  std::vector<double> times;
  for (int i = 0; i < options.rounds(7); ++i) {
    TestServer server(options.server, folder_of(i));
    if (holds && server.call("GET", "/api/v1/executions?limit=1").size() != 1) {
      give_up("the server does not find the executions in its store");
    }
    times.push_back(server.start_seconds() * 1e3);
  }
  std::ranges::sort(times);
  return quantile(times, 0.5);
}

}  // namespace

std::vector<Line> idle_figure(const Options& options) {
  TestServer server(options.server, options.folder + "/idle");
  sleep(options.smoke ? 1 : 3);  // what a start leaves to do is done
  double begin = wall_seconds();
  double cpu = server.cpu_seconds();
  auto before = footprint(server);
  sleep(options.smoke ? 1 : 30);
  double seconds = wall_seconds() - begin;
  auto after = footprint(server);
  auto line = [](std::string what, std::string unit, double ours, double aim) {
    return Line{.figure = std::move(what),
                .unit = std::move(unit),
                .ours = ours,
                .aim = aim,
                .aim_of = Line::AimOf::Ours};
  };
  constexpr double kNothing = 0.5;  // bytes: an aim of 0 would be none
  return {line(fmt::format("idle for {:.0f} s: CPU of a core", seconds), "%",
               (server.cpu_seconds() - cpu) / seconds * 100, 0.2),
          line("idle: written", "bytes",
               static_cast<double>(after.written_bytes - before.written_bytes), kNothing),
          line("idle: resident", "MB", static_cast<double>(after.resident_bytes) / 1e6, 60)};
}

std::vector<Line> start_figure(const Options& options) {
  auto fresh = [&](int i) { return fmt::format("{}/start-{}", options.folder, i); };
  auto full = options.folder + "/start-full";
  int64_t executions = options.count(100'000, 1000);
  {
    BareRows(full + "/data").history(executions, std::string(1000, 'x'));
  }
  auto line = [](std::string what, double ours, double aim) {
    return Line{.figure = std::move(what),
                .unit = "ms",
                .ours = ours,
                .aim = aim,
                .aim_of = Line::AimOf::Ours};
  };
  return {line("start to ready, no store yet", start_ms(options, false, fresh), 150),
          line(fmt::format("start to ready, {} executions, after kill -9", executions),
               start_ms(options, true, [&](int) { return full; }), 1000)};
}

}  // namespace millrace::bench
