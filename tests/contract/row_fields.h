// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store_contract.h"

namespace millrace::store::testing {

using namespace kernel;

// All columns of a row, to compare it by; `head`: without the texts that lists leave out.
inline auto fields(const EventRow& r) {
  return std::tie(r.id, r.tenant, r.trigger, r.source, r.source_id, r.type, r.payload_json,
                  r.trigger_parameters_json, r.trace, r.replay_of, r.created, r.chain);
}
inline auto fields(const EnforcementRow& r) {
  return std::tie(r.id, r.tenant, r.rule, r.rule_ref, r.rule_revision, r.event, r.execution,
                  r.status, r.verdicts_json, r.error, r.created);
}
inline auto head(const ExecutionRow& r) {
  return std::tie(r.id, r.tenant, r.action, r.release, r.status, r.failure, r.effect_class,
                  r.priority, r.attempt, r.epoch, r.worker, r.parent, r.root, r.enforcement,
                  r.original, r.timeout_ms, r.created, r.updated, r.started, r.ended, r.version,
                  r.identity, r.trace, r.held);
}
inline auto fields(const ExecutionRow& r) {
  return std::tuple_cat(head(r), std::tie(r.parameters_json, r.defaults, r.env_json, r.needs,
                                          r.result_json, r.result_size, r.limits, r.retries));
}
inline auto fields(const PolicyRow& r) {
  return std::tie(r.id, r.tenant, r.ref, r.enabled, r.deleted, r.spec_json, r.created, r.updated,
                  r.version);
}
inline auto fields(const GaugeRow& r) {
  return std::tie(r.tenant, r.name, r.version, r.held, r.waiting, r.full_at_us, r.window, r.used,
                  r.idle_at);
}
inline auto fields(const PlaceRow& r) {
  return std::tie(r.tenant, r.gauge, r.execution, r.root, r.state, r.rank);
}
inline auto fields(const OutputRow& r) {
  return std::tie(r.execution, r.tenant, r.attempt, r.stream, r.content.bytes, r.content.blob,
                  r.content.size, r.content.dropped);
}
inline auto fields(const ResultBlobRow& r) { return std::tie(r.execution, r.tenant, r.bytes); }
inline auto fields(const TimerRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.due, r.kind, r.subject, r.name, r.body_json);
}
inline auto fields(const MessageRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.kind, r.subject, r.body_json, r.created);
}
inline auto fields(const OutboxRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.destination, r.subject, r.body_json, r.created);
}
inline auto fields(const DedupeRow& r) {
  return std::tie(r.tenant, r.scope, r.key, r.value, r.expires);
}
inline auto fields(const QuarantineRow& r) {
  return std::tie(r.id, r.tenant, r.kind, r.subject, r.reason, r.body_json, r.created);
}
inline auto fields(const ChangeRow& r) {
  return std::tie(r.seq, r.tenant, r.type, r.op, r.entity, r.detail, r.at);
}
inline auto fields(const RuleRow& r) {
  return std::tie(r.id, r.tenant, r.ref, r.revision, r.enabled, r.deleted, r.pack, r.author,
                  r.spec_json, r.override_json, r.created, r.updated);
}
inline auto fields(const WebhookRow& r) {
  return std::tie(r.id, r.tenant, r.name, r.scheme, r.trigger, r.sealed_secrets, r.url, r.deleted,
                  r.created, r.updated, r.version);
}
inline auto fields(const TokenRow& r) {
  return std::tie(r.id, r.tenant, r.hash, r.identity, r.permissions, r.execution, r.created,
                  r.expires);
}
inline auto fields(const PackReleaseRow& r) {
  return std::tie(r.tenant, r.pack, r.version, r.digest, r.created, r.state, r.updated,
                  r.source_json, r.installer);
}
inline auto fields(const OperationRow& r) {
  return std::tie(r.id, r.tenant, r.kind, r.subject, r.status, r.progress, r.error_code, r.error,
                  r.result_json, r.identity, r.server, r.created, r.updated);
}
inline auto fields(const KeyRow& r) {
  return std::tie(r.key, r.value_json, r.encrypted, r.version, r.expires, r.created, r.updated);
}
inline auto fields(const WorkerRow& r) {
  return std::tie(r.id, r.tenant, r.name, r.instance, r.slots, r.updated, r.home, r.ttl_ms,
                  r.session, r.labels, r.opening, r.version);
}

template <typename Row>
std::vector<int64_t> ids(const std::vector<Row>& rows) {
  std::vector<int64_t> out;
  for (const auto& row : rows) out.push_back(row.id.value);
  return out;
}
using Ids = std::vector<int64_t>;

}  // namespace millrace::store::testing
