// SPDX-License-Identifier: Apache-2.0
// The real rows of a webhook that matches a rule: dedupe, event, enforcement, execution, queue and
// three entries of the change feed, with all their indexes.
#include <fmt/format.h>

#include <algorithm>

#include "bare_rows.h"
#include "figure.h"
#include "flight.h"

namespace millrace::bench {
namespace {

using namespace kernel;

constexpr TenantId kTenant = kDefaultTenant;
constexpr int64_t kNow = 1'800'000'000'000;
constexpr std::string_view kTrigger = "core.webhook";
constexpr std::string_view kSource = "webhook:github";
constexpr std::string_view kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr std::string_view kAction = "ci.build";
constexpr std::string_view kRelease = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kParameters = R"({"repository":"millrace","ref":"refs/heads/main"})";
constexpr std::string_view kVerdicts = R"([{"key":"trigger.ref","matched":true}])";
const std::string kPayload = "{\"pad\":\"" + std::string(1000, 'x') + "\"}";

std::unique_ptr<store::Step> webhook_step(int64_t n) {
  auto step = std::make_unique<store::Step>();
  auto& c = step->changes;
  int64_t id = n * 4;
  c.dedupe.push_back({.tenant = kTenant,
                      .scope = fmt::format("event:{}", kSource),
                      .key = delivery(n),
                      .value = std::to_string(id),
                      .expires = kNow + n});
  auto& event = c.events.emplace_back();
  event.id = EventId{id};
  event.tenant = kTenant;
  event.trigger = kTrigger;
  event.source = kSource;
  event.source_id = delivery(n);
  event.payload_json = kPayload;
  event.trace = kTrace;
  event.created = kNow;
  auto& enforcement = c.enforcements.emplace_back();
  enforcement.id = EnforcementId{id + 1};
  enforcement.tenant = kTenant;
  enforcement.rule = RuleId{77};
  enforcement.rule_ref = "ci.on_push";
  enforcement.rule_revision = 1;
  enforcement.event = event.id;
  enforcement.execution = ExecutionId{id + 2};
  enforcement.verdicts_json = kVerdicts;
  enforcement.created = kNow;
  auto& execution = c.new_executions.emplace_back();
  execution.id = execution.root = ExecutionId{id + 2};
  execution.tenant = kTenant;
  execution.action = kAction;
  execution.release = kRelease;
  execution.enforcement = enforcement.id;
  execution.created = execution.updated = kNow;
  execution.identity = "rule:ci.on_push";
  execution.trace = kTrace;
  execution.parameters_json = kParameters;
  execution.env_json = "{}";
  c.enqueue.push_back({execution.id, kTenant, kNow + n});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Event,
                    .entity = id,
                    .detail = std::string(kTrigger),
                    .at = kNow});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Enforcement,
                    .entity = id + 1,
                    .detail = "ci.on_push",
                    .at = kNow});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Execution,
                    .entity = id + 2,
                    .detail = "requested",
                    .at = kNow});
  return step;
}

}  // namespace

std::vector<Line> rows_figure(const Options& options) {
  std::vector<Line> lines;
  for (int64_t in_flight : {1, 64}) {
    Flight ours(fmt::format("{}/rows-ours-{}", options.folder, in_flight));
    BareRows floor(fmt::format("{}/rows-floor-{}", options.folder, in_flight));
    int64_t n = 0;
    auto run_ours = [&](int64_t steps) {
      return ours.run(steps, in_flight, [&] { return webhook_step(++n); });
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
