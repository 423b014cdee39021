// SPDX-License-Identifier: Apache-2.0
// millrace_bench [--only NAME] [--json FILE] [--folder DIR] [--quick]
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

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

namespace {

using namespace millrace;
using namespace millrace::bench;

constexpr Figure kFigures[] = {
    {"kernel", "steps through the committer; floor: the same four writes in bare SQLite C calls",
     kernel_figure},
    {"rows", "the rows of a webhook through the committer; floor: the same rows in bare SQLite",
     rows_figure},
};

struct Arguments {
  std::string only;
  std::string json_file;
  std::string folder = ".";
  bool quick = false;
};

int usage(const std::string& problem) {
  fmt::print(stderr,
             "millrace_bench: {}\nusage: millrace_bench [--only NAME] [--json FILE] "
             "[--folder DIR] [--quick]\nfigures:\n",
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
  return fmt::format("{} {:.2f} {}", less ? "<=" : ">=", line.aim, line.holds() ? "" : "MISSED");
}

void print(const Line& line) {
  fmt::print("{:44} {:>11.4g} {:>11.4g} {:8} {:>6.2f}  {}\n", line.figure, line.ours, line.floor,
             line.unit, line.ratio(), aim_of(line));
  std::fflush(stdout);
}

Value to_value(std::string_view figure, const Line& line) {
  Value value = Value::map({{"figure", figure},
                            {"line", line.figure},
                            {"unit", line.unit},
                            {"ours", line.ours},
                            {"floor", line.floor},
                            {"ratio", line.ratio()}});
  if (line.aim != 0) value.set("aim", line.aim).set("holds", line.holds());
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
    bool known = option == "--only"     ? take(arguments.only)
                 : option == "--json"   ? take(arguments.json_file)
                 : option == "--folder" ? take(arguments.folder)
                 : option == "--quick"  ? (arguments.quick = true)
                 : !option.starts_with("-") && arguments.only.empty()
                     ? (arguments.only = option, true)
                     : false;
    if (!known) return usage(fmt::format("cannot use '{}'", option));
  }
  std::string folder = arguments.folder + "/bench-XXXXXX";
  if (!mkdtemp(folder.data())) return usage("cannot make a folder in " + arguments.folder);

  std::string at = to_rfc3339(static_cast<int64_t>(std::time(nullptr)) * 1000);
  fmt::print("{}, {}\n", at, machine());
  fmt::print("{:44} {:>11} {:>11} {:8} {:>6}  {}\n", "figure", "ours", "floor", "unit", "ratio",
             "aim of the ratio");
  Value lines = Value::list();
  bool found = false;
  for (const auto& figure : kFigures) {
    if (!arguments.only.empty() && arguments.only != figure.name) continue;
    found = true;
    for (const auto& line : figure.run({folder, arguments.quick})) {
      print(line);
      lines.push_back(to_value(figure.name, line));
    }
  }
  std::filesystem::remove_all(folder);
  if (!found) return usage(fmt::format("unknown figure '{}'", arguments.only));
  if (arguments.json_file.empty()) return 0;
  Value report = Value::map({{"at", at}, {"machine", machine()}, {"lines", lines}});
  auto written = replace_file(arguments.json_file, to_pretty_json(report) + "\n", 0644);
  if (!written.ok()) return usage(written.error().describe());
  return 0;
}
