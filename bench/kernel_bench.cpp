// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "bare_sqlite.h"
#include "figure.h"
#include "kernel_steps.h"

namespace millrace::bench {
std::vector<Line> kernel_figure(const Options& options) {
  std::vector<Line> lines;
  for (int64_t in_flight : {1, 8, 64, 512}) {
    KernelSteps ours(
        std::make_unique<Flight>(fmt::format("{}/kernel-ours-{}", options.folder, in_flight)));
    BareKernelSteps<BareSqlite> floor(
        bare_sqlite(fmt::format("{}/kernel-floor-{}", options.folder, in_flight)));
    // The first steps, not counted, tell how fast the disk is now.
    int64_t steps = std::max<int64_t>(in_flight * 10, 100);
    ours.prepare(steps);
    floor.prepare(steps);
    ours.run(steps, in_flight);
    auto first = measure([&] { return floor.run(steps, in_flight); });
    steps = options.count(operations_per_round(first), steps);
    Interleaved samples;
    for (int round = 0; round < options.rounds(7); ++round) {
      ours.prepare(steps);
      floor.prepare(steps);
      samples.round([&] { return ours.run(steps, in_flight); },
                    [&] { return floor.run(steps, in_flight); });
    }
    bool aimed = in_flight == 64;
    lines.push_back({.figure = fmt::format("kernel steps, {} in flight", in_flight),
                     .unit = "/s",
                     .ours = samples.ours(&Sample::rate),
                     .floor = samples.floor(&Sample::rate),
                     .aim = aimed ? 0.6 : 0,
                     .better = Line::Better::More});
    lines.push_back({.figure = fmt::format("kernel CPU per step, {} in flight", in_flight),
                     .unit = "us",
                     .ours = samples.ours(&Sample::cpu_us),
                     .floor = samples.floor(&Sample::cpu_us),
                     .aim = aimed ? 1.5 : 0});
  }
  return lines;
}

}  // namespace millrace::bench
