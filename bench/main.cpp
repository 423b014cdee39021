// SPDX-License-Identifier: Apache-2.0
// millrace_bench [--server BINARY] [--only NAME[:PART]] [--json FILE] [--folder DIR]
// [--rows N] [--gates FILE] [--smoke]
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <thread>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "figure.h"
#include "gates.h"
#include "process.h"

namespace {

using namespace millrace;
using namespace millrace::bench;

constexpr Figure kFigures[] = {
    {"kernel", "steps through the committer; floor: the same four writes in bare SQLite C calls",
     kernel_figure},
    {"rows", "the rows of a webhook through the committer; floor: the same rows in bare SQLite",
     rows_figure},
    {"webhook", "signed webhooks over HTTP; floor: their rows in bare SQLite + nginx",
     webhook_figure, true},
    {"drain",
     "signed webhooks beside 100,000 timers that are due; floor: the same when they are done",
     drain_figure, true},
    {"borders",
     "signed webhooks beside 1,000 clients without a right; floor: the same without them",
     borders_figure, true},
    {"event", "from an event to the end of its run; floor: two commits of those rows + spawn",
     event_figure, true},
    {"executions", "/bin/true over the API; floor: the same spawned by a small program",
     executions_figure, true},
    {"conductor", "the workflow engine and the expressions by themselves", conductor_figure},
    {"workflows", "three pure steps over the API; floor: their rows in bare SQLite",
     workflows_figure, true},
    {"items", "with-items and fan-out: time and bytes per item; floor: 100 items", items_figure,
     true},
    {"waiting", "workflows that wait for an answer: memory and restart", waiting_figure, true},
    {"match", "an event against many rules of one trigger; floor: 10 rules", match_figure},
    {"lists", "list pages and waits beside many executions (--rows N); floor: beside 1,000",
     lists_figure, true},
    {"idle", "a server that nobody asks anything", idle_figure, true},
    {"postgres",
     "kernel, rows and workflows over PostgreSQL; floor: the same rows in pipelined libpq calls",
     postgres_figure, true},
    {"start", "from the start of the process to the first 200 of /ready", start_figure, true},
};

struct Arguments {
  std::string only;
  std::string json_file;
  std::string folder = ".";
  std::string server;
  std::string gates_file;
  int64_t rows = Options{}.rows;
  bool smoke = false;
};

int usage(const std::string& problem) {
  fmt::print(stderr,
             "millrace_bench: {}\nusage: millrace_bench [--server BINARY] [--only NAME[:PART]] "
             "[--json FILE] [--folder DIR] [--rows N] [--gates FILE] [--smoke]\n"
             "figures:\n",
             problem);
  for (const auto& figure : kFigures) fmt::print(stderr, "  {:10} {}\n", figure.name, figure.what);
  return 2;
}

std::string machine() {
  utsname name{};
  uname(&name);
  std::string cpu = "unknown processor";
  if (auto info = read_file("/proc/cpuinfo", 1 << 20); info.ok()) {
    for (std::string_view line : split(*info, '\n')) {
      if (!line.starts_with("model name")) continue;
      cpu = trim(line.substr(line.find(':') + 1));
      break;
    }
  }
  return fmt::format("{}, {} cores, Linux {}", cpu, std::thread::hardware_concurrency(),
                     name.release);
}

std::string aim_of(const Line& line) {
  if (line.aim == 0) return "";
  bool less = line.better == Line::Better::Less;
  bool ratio = line.aim_of == Line::AimOf::Ratio;
  return fmt::format("{} {:.4g} {:5} {}", less ? "<=" : ">=", line.aim, ratio ? "x" : line.unit,
                     line.holds() ? "ok" : "short");
}

void print(const Line& line) {
  auto floor = line.floor == 0 ? "-" : fmt::format("{:.4g}", line.floor);
  auto ratio = line.floor == 0 ? "-" : fmt::format("{:.2f}", line.ratio());
  fmt::print("{:52} {:>8.4g} {:>9} {:6} {:>6}  {}\n", line.figure, line.ours, floor, line.unit,
             ratio, aim_of(line));
  std::fflush(stdout);
}

Value to_value(std::string_view figure, const Line& line) {
  Value value = Value::map(
      {{"figure", figure}, {"line", line.figure}, {"unit", line.unit}, {"ours", line.ours}});
  if (line.floor != 0) value.set("floor", line.floor).set("ratio", line.ratio());
  if (line.aim == 0) return value;
  value.set("aim", line.aim).set("holds", line.holds());
  value.set("aim_of", line.aim_of == Line::AimOf::Ratio ? "ratio" : "ours");
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view option = argv[i];
    auto take = [&](std::string& into) {
      if (i + 1 == argc) return false;
      into = argv[++i];
      return true;
    };
    std::string rows;
    bool known = option == "--only"     ? take(arguments.only)
                 : option == "--json"   ? take(arguments.json_file)
                 : option == "--server" ? take(arguments.server)
                 : option == "--gates"  ? take(arguments.gates_file)
                 : option == "--folder" ? take(arguments.folder)
                 : option == "--rows"   ? take(rows)
                 : option == "--smoke"  ? (arguments.smoke = true)
                 : !option.starts_with("-") && arguments.only.empty()
                     ? (arguments.only = option, true)
                     : false;
    if (!rows.empty()) arguments.rows = std::atoll(rows.c_str());
    if (!known || arguments.rows <= 0) return usage(fmt::format("cannot use '{}'", option));
  }
  std::string part;
  if (size_t colon = arguments.only.find(':'); colon != std::string::npos) {
    part = arguments.only.substr(colon + 1);
    arguments.only.resize(colon);
  }
  std::string folder = arguments.folder + "/bench-XXXXXX";
  if (!mkdtemp(folder.data())) return usage("cannot make a folder in " + arguments.folder);

  std::string at = to_rfc3339(static_cast<int64_t>(std::time(nullptr)) * 1000);
  fmt::print("{}, {}\n", at, machine());
  fmt::print("{:52} {:>8} {:>9} {:6} {:>6}  {}\n", "figure", "ours", "floor", "unit", "ratio",
             "aim (x: of the ratio)");
  Value lines = Value::list();
  bool found = false;
  std::vector<Gate> gates;
  if (!arguments.gates_file.empty()) gates = read_gates(arguments.gates_file);
  std::vector<std::string> broken;
  for (const auto& figure : kFigures) {
    if (!arguments.only.empty() && arguments.only != figure.name) continue;
    found = true;
    if (figure.needs_server && arguments.server.empty()) {
      fmt::print("{}: left out, it needs --server\n", figure.name);
      continue;
    }
    double begin = wall_seconds();
    double waited = waited_seconds();
    auto measured = figure.run({folder, arguments.smoke, arguments.server, arguments.rows, part});
    // Above a few percent, rates and latencies tell about the neighbours: a floor of one thread
    // waits for its CPU after each sync. CPU time suffers less.
    measured.push_back({.figure = fmt::format("{}: the bench waited for a CPU", figure.name),
                        .unit = "%",
                        .ours = (waited_seconds() - waited) / (wall_seconds() - begin) * 100});
    for (auto& line : measured) {
      if (arguments.smoke) line.aim = 0;  // a small count under a sanitizer is not judged
      if (!std::isfinite(line.ours)) give_up(line.figure + ": no figure");
      print(line);
      lines.push_back(to_value(figure.name, line));
    }
    if (arguments.smoke) continue;
    auto more = broken_gates(gates, figure.name, measured, part.empty());
    broken.insert(broken.end(), more.begin(), more.end());
  }
  std::filesystem::remove_all(folder);
  if (!found) return usage(fmt::format("unknown figure '{}'", arguments.only));
  for (const auto& gate : broken) fmt::print("gate broken: {}\n", gate);
  int status = broken.empty() ? 0 : 1;
  if (arguments.json_file.empty()) return status;
  Value report = Value::map({{"at", at}, {"machine", machine()}, {"lines", lines}});
  auto written = replace_file(arguments.json_file, to_pretty_json(report) + "\n", 0644);
  if (!written.ok()) return usage(written.error().describe());
  return status;
}
