// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "store/test_support.h"

namespace millrace::store::testing {

// A row in every member of Changes, `n` times, under ids of their own.
inline kernel::Changes everything(int64_t n) {
  using namespace kernel;
  Changes all;
  for (int64_t i = 1; i <= n; ++i) {
    int64_t id = i * 100;
    ExecutionId x{id};
    all.dedupe.push_back(key("k" + std::to_string(i)));
    all.events.push_back(event(id));
    all.enforcements.push_back(enforcement(id, id, id));
    all.new_executions.push_back(execution(id));
    all.executions.push_back(running(execution(id)));
    all.enqueue.push_back({x, kTenant, id});
    all.dequeue.push_back({kTenant, x});
    all.outputs.push_back({.execution = x, .tenant = kTenant});
    all.result_blobs.push_back({x, kTenant, "x"});
    all.workflows.push_back({.execution = x, .root = x, .tenant = kTenant});
    all.workflows.push_back({.execution = x, .root = x, .tenant = kTenant, .version = 2});
    all.workflow_pieces.push_back({.workflow = x, .tenant = kTenant});
    all.workflow_pieces.push_back({.workflow = x, .tenant = kTenant, .position = 1, .cut = true});
    all.workflow_pieces.push_back(
        {.workflow = x, .tenant = kTenant, .position = 7, .is_new = true});
    all.workflow_runs.push_back({.workflow = x, .tenant = kTenant, .reset = true});
    all.workflow_runs.push_back({.workflow = x, .tenant = kTenant});
    all.workflow_runs.push_back({.workflow = x, .tenant = kTenant, .item = 7, .is_new = true});
    all.inquiries.push_back({.id = InquiryId{id}, .tenant = kTenant});
    all.inquiries.push_back({.id = InquiryId{id}, .tenant = kTenant, .version = 2});
    all.messages.push_back(message(id, id));
    all.acked.push_back({kTenant, MessageId{id}});
    all.timers.push_back(timer(id, kNow, id, "named" + std::to_string(i)));
    all.timers_done.push_back({kTenant, TimerId{id + 1}});
    all.timers_of_done.push_back({kTenant, ExecutionId{id + 1}});
    all.outbox.push_back(outbox_row(id, id));
    all.outbox_done.push_back({kTenant, OutboxId{id}});
    all.quarantine.push_back({.id = id, .tenant = kTenant});
    all.catalogs.push_back({.tenant = kTenant, .version = i, .paused_json = "[]"});
    all.rules.push_back({.id = RuleId{id}, .tenant = kTenant});
    all.webhooks.push_back(
        {.id = WebhookId{id}, .tenant = kTenant, .name = "w" + std::to_string(i)});
    all.policies.push_back({.id = PolicyId{id}, .tenant = kTenant, .ref = "p" + std::to_string(i)});
    GaugeRow gauge{.tenant = kTenant, .name = "g" + std::to_string(i), .version = 1};
    all.gauges.push_back(gauge);
    gauge.was = 1;
    gauge.version = 2;
    all.gauges.push_back(gauge);
    all.places.push_back({.tenant = kTenant, .gauge = "g" + std::to_string(i), .execution = x});
    all.places.push_back({.tenant = kTenant, .gauge = "h", .execution = x, .gone = true});
    all.tokens.push_back({.id = TokenId{id}, .tenant = kTenant, .hash = std::to_string(i)});
    all.tokens_done.push_back({kTenant, TokenId{id}});
    all.keys.push_back({.key = {kTenant, "system", "a" + std::to_string(i)}});
    all.pack_releases.push_back({.tenant = kTenant, .digest = std::to_string(i)});
    all.operations.push_back({.id = kernel::OperationId{id}, .tenant = kTenant});
    all.workers.push_back(
        {.id = WorkerId{id}, .tenant = kTenant, .name = "worker" + std::to_string(i)});
    using enum Expirable;
    for (auto kind : {Events, Executions, Changes, Dedupe, Quarantine, Keys, Operations, Gauges}) {
      all.expired.push_back({.kind = kind, .tenant = kTenant, .id = id + 7});
    }
    all.feed.push_back(change(id));
  }
  return all;
}

}  // namespace millrace::store::testing
