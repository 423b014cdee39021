// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::bench {

// What one side did: ours, or the floor.
struct Sample {
  double seconds = 0;
  double cpu_seconds = 0;  // of the whole process
  double operations = 0;

  double rate() const { return operations / seconds; }
  double cpu_us() const { return cpu_seconds * 1e6 / operations; }
};

// CPU seconds that another process has used so far; empty: there is none.
using OtherCpu = std::function<double()>;

// Runs `work`, which returns the number of operations, under both clocks.
Sample measure(const std::function<int64_t()>& work, const OtherCpu& other = {});

// How many operations fill a round of about half a second: `sample` did fewer.
int64_t operations_per_round(const Sample& sample);

// Several rounds of ours and floor in turn, so that a busy neighbour meets both. The figure of a
// side is the median of its rounds.
class Interleaved {
 public:
  explicit Interleaved(OtherCpu other = {}) : other_(std::move(other)) {}
  void round(const std::function<int64_t()>& ours, const std::function<int64_t()>& floor);
  double ours(double (Sample::*figure)() const) const { return median(ours_, figure); }
  double floor(double (Sample::*figure)() const) const { return median(floor_, figure); }

 private:
  static double median(const std::vector<Sample>& samples, double (Sample::*figure)() const);
  OtherCpu other_;
  std::vector<Sample> ours_;
  std::vector<Sample> floor_;
};

// One line of the table. `aim`: the ratio ours/floor, or `ours` itself, must be at most (or at
// least) this; 0: none.
struct Line {
  std::string figure;
  std::string unit;
  double ours = 0;
  double floor = 0;  // 0: there is none
  double aim = 0;
  enum class Better : uint8_t { Less, More } better = Better::Less;
  enum class AimOf : uint8_t { Ratio, Ours } aim_of = AimOf::Ratio;

  double ratio() const { return floor == 0 ? 0 : ours / floor; }
  bool holds() const {
    double value = aim_of == AimOf::Ratio ? ratio() : ours;
    return better == Better::Less ? value <= aim : value >= aim;
  }
};

struct LoadSample;
// Adds what one operation of the server costs besides CPU: thread switches, commits, bytes.
void add_use(std::vector<Line>& lines, std::string_view figure,
             const std::vector<LoadSample>& rounds);

struct Options {
  std::string folder;  // on the disk that is measured
  // Each figure once on a small count: it shows that all of it runs and that the answers are
  // right, as after a change of the schema. What it measures means nothing.
  bool smoke = false;
  std::string server;      // the millrace binary
  int64_t rows = 200'000;  // in the store, of the figure `lists`
  std::string part;        // of a figure's lines: only those whose name holds it

  bool wants(std::string_view line) const { return line.find(part) != std::string_view::npos; }

  int rounds(int full) const { return smoke ? 1 : full; }
  int64_t count(int64_t full, int64_t of_smoke) const { return smoke ? of_smoke : full; }
};

// To add one: write its function, list it in main.cpp.
struct Figure {
  std::string_view name;
  std::string_view what;
  std::vector<Line> (*run)(const Options& options);
  bool needs_server = false;  // left out without --server
};

std::vector<Line> kernel_figure(const Options& options);
std::vector<Line> rows_figure(const Options& options);
std::vector<Line> webhook_figure(const Options& options);
std::vector<Line> drain_figure(const Options& options);
std::vector<Line> borders_figure(const Options& options);
std::vector<Line> event_figure(const Options& options);
std::vector<Line> executions_figure(const Options& options);
std::vector<Line> conductor_figure(const Options& options);
std::vector<Line> workflows_figure(const Options& options);
std::vector<Line> items_figure(const Options& options);
std::vector<Line> waiting_figure(const Options& options);
std::vector<Line> match_figure(const Options& options);
std::vector<Line> idle_figure(const Options& options);
std::vector<Line> start_figure(const Options& options);
std::vector<Line> lists_figure(const Options& options);
std::vector<Line> postgres_figure(const Options& options);

}  // namespace millrace::bench
