// SPDX-License-Identifier: Apache-2.0
#include "webhook_step.h"

#include <fmt/format.h>

#include "bare_rows.h"

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

}  // namespace

std::unique_ptr<store::Step> webhook_step(int64_t n, std::string_view payload) {
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
  event.payload_json = payload;
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

}  // namespace millrace::bench
