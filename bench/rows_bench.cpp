// SPDX-License-Identifier: Apache-2.0
// The real rows of a webhook that matches a rule: dedupe, event, enforcement, execution, queue and
// three entries of the change feed, with all their indexes.
#include <fmt/format.h>

#include <algorithm>

#include "bare_rows.h"
#include "figure.h"
#include "flight.h"
#include "webhook_step.h"

namespace millrace::bench {
namespace {

const std::string kPayload = "{\"pad\":\"" + std::string(1000, 'x') + "\"}";

}  // namespace

std::vector<Line> rows_figure(const Options& options) {
  std::vector<Line> lines;
  for (int64_t in_flight : {1, 64}) {
    Flight ours(fmt::format("{}/rows-ours-{}", options.folder, in_flight));
    BareRows floor(fmt::format("{}/rows-floor-{}", options.folder, in_flight));
    int64_t n = 0;
    auto run_ours = [&](int64_t steps) {
      return ours.run(steps, in_flight, [&] { return webhook_step(++n, kPayload); });
    };
    // The first steps, not counted, tell how fast the disk is now.
    int64_t steps = std::max<int64_t>(in_flight * 10, 100);
    run_ours(steps);
    auto first = measure([&] { return floor.webhooks(steps, in_flight, kPayload, true); });
    steps = options.count(operations_per_round(first), steps);
    Interleaved samples;
    for (int round = 0; round < options.rounds(7); ++round) {
      ours.checkpoint();
      floor.checkpoint();
      samples.round([&] { return run_ours(steps); },
                    [&] { return floor.webhooks(steps, in_flight, kPayload, true); });
    }
    lines.push_back({.figure = fmt::format("rows of a webhook, {} in flight", in_flight),
                     .unit = "/s",
                     .ours = samples.ours(&Sample::rate),
                     .floor = samples.floor(&Sample::rate),
                     .better = Line::Better::More});
    lines.push_back({.figure = fmt::format("rows of a webhook, CPU, {} in flight", in_flight),
                     .unit = "us",
                     .ours = samples.ours(&Sample::cpu_us),
                     .floor = samples.floor(&Sample::cpu_us),
                     .aim = in_flight == 64 ? 1.3 : 0});
  }
  return lines;
}

}  // namespace millrace::bench
