// SPDX-License-Identifier: Apache-2.0
#include "figure.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "http_load.h"

namespace millrace::bench {
namespace {

double now_on(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace

Sample measure(const std::function<int64_t()>& work, const OtherCpu& other) {
  auto cpu_now = [&] { return now_on(CLOCK_PROCESS_CPUTIME_ID) + (other ? other() : 0); };
  double cpu = cpu_now();
  double wall = now_on(CLOCK_MONOTONIC);
  auto operations = static_cast<double>(work());
  double seconds = now_on(CLOCK_MONOTONIC) - wall;
  return {seconds, cpu_now() - cpu, operations};
}

int64_t operations_per_round(const Sample& sample) {
  return std::clamp<int64_t>(static_cast<int64_t>(sample.rate() * 0.5), 200, 100'000);
}

void Interleaved::round(const std::function<int64_t()>& ours,
                        const std::function<int64_t()>& floor) {
  // Who goes first changes: what the first leaves to the disk meets both.
  bool ours_first = ours_.size() % 2 == 0;
  if (ours_first) ours_.push_back(measure(ours, other_));
  floor_.push_back(measure(floor, other_));
  if (!ours_first) ours_.push_back(measure(ours, other_));
}

double Interleaved::median(const std::vector<Sample>& samples, double (Sample::*figure)() const) {
  std::vector<double> values;
  for (const auto& sample : samples) values.push_back((sample.*figure)());
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void add_use(std::vector<Line>& lines, std::string_view figure,
             const std::vector<LoadSample>& rounds) {
  auto add = [&](std::string_view what, double LoadSample::* use) {
    lines.push_back({.figure = fmt::format("{}: {} per operation", figure, what),
                     .unit = "",
                     .ours = median(rounds, use)});
  };
  add("thread switches", &LoadSample::switches);
  add("commits", &LoadSample::commits);
  add("bytes written", &LoadSample::written_bytes);
}

}  // namespace millrace::bench
