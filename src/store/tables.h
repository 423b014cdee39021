// SPDX-License-Identifier: Apache-2.0
// The columns of every row, once, in the order of the schema. A test holds them against it.
#pragma once

#include "kernel/rows.h"
#include "store/table.h"

namespace millrace::store {

// For SQL: an execution is open when `status < $n` of this, final from it on.
inline constexpr ExecutionStatus kFirstFinal = ExecutionStatus::Succeeded;
static_assert(is_final(kFirstFinal) && !is_final(ExecutionStatus::NeedsDecision));

template <>
struct Table<kernel::DedupeRow> {
  using Row = kernel::DedupeRow;
  static constexpr std::string_view kName = "dedupe";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::tenant),
      column("scope", &Row::scope),
      column("key", &Row::key),
      column("value", &Row::value).changing(),
      column("expires", &Row::expires).changing(),
  };
};

template <>
struct Table<kernel::RecentKeyRow> {
  using Row = kernel::RecentKeyRow;
  static constexpr std::string_view kName = "dedupe_recent";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::key, &kernel::DedupeRow::tenant),
      column("scope", &Row::key, &kernel::DedupeRow::scope),
      column("key", &Row::key, &kernel::DedupeRow::key),
      column("value", &Row::key, &kernel::DedupeRow::value),
      column("expires", &Row::key, &kernel::DedupeRow::expires),
  };
};

template <>
struct Table<kernel::EventRow> {
  using Row = kernel::EventRow;
  static constexpr std::string_view kName = "event";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("event_trigger", &Row::trigger),
      column("source", &Row::source),
      column("source_id", &Row::source_id),
      column("type", &Row::type),
      column("trace", &Row::trace),
      column("replay_of", &Row::replay_of),
      column("created", &Row::created),
      column("chain", &Row::chain),
      blob("trigger_parameters", &Row::trigger_parameters_json),
      blob("payload", &Row::payload_json).body(),
  };
};

template <>
struct Table<kernel::EnforcementRow> {
  using Row = kernel::EnforcementRow;
  static constexpr std::string_view kName = "enforcement";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("rule", &Row::rule),
      column("rule_ref", &Row::rule_ref),
      column("rule_revision", &Row::rule_revision),
      column("event", &Row::event),
      column("execution", &Row::execution),
      column("status", &Row::status),
      column("error", &Row::error),
      column("created", &Row::created),
      blob("verdicts", &Row::verdicts_json),
  };
};

template <>
struct Table<kernel::ExecutionRow> {
  using Row = kernel::ExecutionRow;
  static int64_t shard(const Row& row) { return kernel::shard_of(row.tenant, row.root.value); }
  static constexpr std::string_view kName = "execution";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      computed("shard", shard),
      column("action", &Row::action),
      column("pack_release", &Row::release),
      column("status", &Row::status).changing(),
      column("failure", &Row::failure).changing(),
      column("effect_class", &Row::effect_class),
      column("priority", &Row::priority),
      column("attempt", &Row::attempt).changing(),
      column("epoch", &Row::epoch).changing(),
      column("worker", &Row::worker).changing(),
      column("parent", &Row::parent),
      column("root", &Row::root),
      column("enforcement", &Row::enforcement),
      column("original", &Row::original),
      column("timeout_ms", &Row::timeout_ms),
      column("created", &Row::created),
      column("updated", &Row::updated).changing(),
      column("started", &Row::started).changing(),
      column("ended", &Row::ended).changing(),
      column("version", &Row::version).changing(),
      column("requested_by", &Row::identity),
      column("trace", &Row::trace),
      column("held", &Row::held).changing(),
      blob("parameters", &Row::parameters_json).body(),
      column("defaults", &Row::defaults).body(),
      blob("env", &Row::env_json).body(),
      column("needs", &Row::needs),
      blob("result", &Row::result_json).changing().body(),
      column("result_size", &Row::result_size).changing(),
      column("task", &Row::task),
      column("task_route", &Row::task_route),
      column("task_item", &Row::task_item),
      column("limits", &Row::limits).changing(),
      column("retries", &Row::retries).changing(),
  };
};

template <>
struct Table<kernel::QueueRow> {
  using Row = kernel::QueueRow;
  static int64_t shard(const Row& row) {
    return kernel::shard_of(row.tenant, (row.root ? row.root : row.execution).value);
  }
  static constexpr std::string_view kName = "queue";
  static constexpr std::tuple kColumns{
      column("execution", &Row::execution),
      column("tenant", &Row::tenant),
      computed("shard", shard),
      column("queue_rank", &Row::rank),
      column("needs", &Row::needs),
  };
};

template <>
struct Table<kernel::OutputRow> {
  using Row = kernel::OutputRow;
  using Content = kernel::StreamOutput;
  static constexpr std::string_view kName = "output";
  static constexpr std::tuple kColumns{
      column("execution", &Row::execution),
      column("attempt", &Row::attempt),
      column("stream", &Row::stream),
      column("tenant", &Row::tenant),
      column("size", &Row::content, &Content::size),
      column("dropped", &Row::content, &Content::dropped),
      column("file", &Row::content, &Content::blob),
      blob("bytes", &Row::content, &Content::bytes),
  };
};

template <>
struct Table<kernel::ResultBlobRow> {
  using Row = kernel::ResultBlobRow;
  static constexpr std::string_view kName = "result_blob";
  static constexpr std::tuple kColumns{
      column("execution", &Row::execution),
      column("tenant", &Row::tenant),
      blob("bytes", &Row::bytes),
  };
};

template <>
struct Table<kernel::MessageRow> {
  using Row = kernel::MessageRow;
  static constexpr std::string_view kName = "message";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),           column("tenant", &Row::tenant),
      column("shard", &Row::shard),     column("kind", &Row::kind),
      column("subject", &Row::subject), column("created", &Row::created),
      blob("body", &Row::body_json),
  };
};

template <>
struct Table<kernel::TimerRow> {
  using Row = kernel::TimerRow;
  static constexpr std::string_view kName = "timer";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),     column("tenant", &Row::tenant), column("shard", &Row::shard),
      column("due", &Row::due),   column("kind", &Row::kind),     column("subject", &Row::subject),
      column("name", &Row::name), blob("body", &Row::body_json),
  };
};

template <>
struct Table<kernel::OutboxRow> {
  using Row = kernel::OutboxRow;
  static constexpr std::string_view kName = "outbox";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),           column("tenant", &Row::tenant),
      column("shard", &Row::shard),     column("destination", &Row::destination),
      column("subject", &Row::subject), column("created", &Row::created),
      blob("body", &Row::body_json),
  };
};

template <>
struct Table<kernel::QuarantineRow> {
  using Row = kernel::QuarantineRow;
  static constexpr std::string_view kName = "quarantine";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),         column("tenant", &Row::tenant),
      column("kind", &Row::kind),     column("subject", &Row::subject),
      column("reason", &Row::reason), column("created", &Row::created),
      blob("body", &Row::body_json),
  };
};

template <>
struct Table<kernel::ChangeRow> {
  using Row = kernel::ChangeRow;
  static constexpr std::string_view kName = "change_feed";
  static constexpr std::tuple kColumns{
      column("seq", &Row::seq),          column("tenant", &Row::tenant),
      column("entity_type", &Row::type), column("op", &Row::op),
      column("entity", &Row::entity),    column("at", &Row::at),
      column("detail", &Row::detail),
  };
};

template <>
struct Table<kernel::RuleRow> {
  using Row = kernel::RuleRow;
  static constexpr std::string_view kName = "rule";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),           column("revision", &Row::revision),
      column("tenant", &Row::tenant),   column("ref", &Row::ref),
      column("pack", &Row::pack),       column("enabled", &Row::enabled),
      column("deleted", &Row::deleted), column("created", &Row::created),
      column("updated", &Row::updated), column("author", &Row::author),
      blob("spec", &Row::spec_json),    blob("override_of_file", &Row::override_json),
  };
};

template <>
struct Table<kernel::CatalogRow> {
  using Row = kernel::CatalogRow;
  static constexpr std::string_view kName = "catalog";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::tenant),
      column("version", &Row::version).changing(),
      column("paused", &Row::paused_json).changing(),
  };
};

template <>
struct Table<kernel::WebhookRow> {
  using Row = kernel::WebhookRow;
  static constexpr std::string_view kName = "webhook";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("name", &Row::name),
      column("scheme", &Row::scheme).changing(),
      column("webhook_trigger", &Row::trigger).changing(),
      column("secrets", &Row::sealed_secrets).changing(),
      column("url", &Row::url).changing(),
      column("deleted", &Row::deleted).changing(),
      column("created", &Row::created),
      column("updated", &Row::updated).changing(),
      column("version", &Row::version).changing(),
  };
};

template <>
struct Table<kernel::PolicyRow> {
  using Row = kernel::PolicyRow;
  static constexpr std::string_view kName = "policy";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("ref", &Row::ref),
      column("enabled", &Row::enabled).changing(),
      column("deleted", &Row::deleted).changing(),
      column("created", &Row::created),
      column("updated", &Row::updated).changing(),
      column("version", &Row::version).changing(),
      blob("spec", &Row::spec_json).changing(),
  };
};

template <>
struct Table<kernel::GaugeRow> {
  using Row = kernel::GaugeRow;
  static constexpr std::string_view kName = "gauge";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::tenant),
      column("name", &Row::name),
      column("version", &Row::version).changing(),
      column("held", &Row::held).changing(),
      column("waiting", &Row::waiting).changing(),
      column("full_at_us", &Row::full_at_us).changing(),
      column("quota_window", &Row::window).changing(),
      column("used", &Row::used).changing(),
      column("idle_at", &Row::idle_at).changing(),
  };
};

template <>
struct Table<kernel::PlaceRow> {
  using Row = kernel::PlaceRow;
  static constexpr std::string_view kName = "place";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::tenant),          column("gauge", &Row::gauge),
      column("execution", &Row::execution),    column("root", &Row::root),
      column("state", &Row::state).changing(), column("place_rank", &Row::rank).changing(),
  };
};

template <>
struct Table<kernel::TokenRow> {
  using Row = kernel::TokenRow;
  static constexpr std::string_view kName = "token";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("hash", &Row::hash),
      column("identity", &Row::identity),
      column("permissions", &Row::permissions),
      column("execution", &Row::execution),
      column("created", &Row::created),
      column("expires", &Row::expires),
  };
};

template <>
struct Table<kernel::PackReleaseRow> {
  using Row = kernel::PackReleaseRow;
  static constexpr std::string_view kName = "pack_release";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::tenant),
      column("pack", &Row::pack),
      column("digest", &Row::digest),
      column("version", &Row::version),
      column("created", &Row::created),
      column("state", &Row::state).changing(),
      column("updated", &Row::updated).changing(),
      column("source", &Row::source_json).changing(),
      column("installer", &Row::installer).changing(),
  };
};

template <>
struct Table<kernel::OperationRow> {
  using Row = kernel::OperationRow;
  static constexpr std::string_view kName = "operation";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("kind", &Row::kind),
      column("subject", &Row::subject).changing(),
      column("status", &Row::status).changing(),
      column("progress", &Row::progress).changing(),
      column("error_code", &Row::error_code).changing(),
      column("error", &Row::error).changing(),
      column("result", &Row::result_json).changing(),
      column("identity", &Row::identity),
      column("server", &Row::server),
      column("created", &Row::created),
      column("updated", &Row::updated).changing(),
  };
};

template <>
struct Table<kernel::WorkerRow> {
  using Row = kernel::WorkerRow;
  static constexpr std::string_view kName = "worker";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("name", &Row::name),
      column("instance", &Row::instance).changing(),
      column("slots", &Row::slots).changing(),
      column("updated", &Row::updated).changing(),
      column("home", &Row::home).changing(),
      column("ttl_ms", &Row::ttl_ms).changing(),
      column("session", &Row::session).changing(),
      column("labels", &Row::labels).changing(),
      column("opening", &Row::opening).changing(),
      column("version", &Row::version).changing(),
  };
};

template <>
struct Table<kernel::WorkflowRow> {
  using Row = kernel::WorkflowRow;
  static int64_t shard(const Row& row) { return kernel::shard_of(row.tenant, row.root.value); }
  static constexpr std::string_view kName = "workflow";
  static constexpr std::tuple kColumns{
      column("execution", &Row::execution),
      column("tenant", &Row::tenant),
      computed("shard", shard),
      column("version", &Row::version),
      blob("head", &Row::head_json),
  };
};

template <>
struct Table<kernel::WorkflowPieceRow> {
  using Row = kernel::WorkflowPieceRow;
  static constexpr std::string_view kName = "workflow_piece";
  static constexpr std::tuple kColumns{
      column("workflow", &Row::workflow),       column("kind", &Row::kind),
      column("position", &Row::position),       column("tenant", &Row::tenant),
      blob("body", &Row::body_json).changing(),
  };
};

template <>
struct Table<kernel::WorkflowRunRow> {
  using Row = kernel::WorkflowRunRow;
  static constexpr std::string_view kName = "workflow_run";
  static constexpr std::tuple kColumns{
      column("workflow", &Row::workflow), column("task", &Row::task),
      column("route", &Row::route),       column("item", &Row::item),
      column("tenant", &Row::tenant),     column("execution", &Row::execution),
      column("status", &Row::status),
  };
};

template <>
struct Table<kernel::InquiryRow> {
  using Row = kernel::InquiryRow;
  static constexpr std::string_view kName = "inquiry";
  static constexpr std::tuple kColumns{
      column("id", &Row::id),
      column("tenant", &Row::tenant),
      column("status", &Row::status).changing(),
      column("prompt", &Row::prompt),
      column("route", &Row::route),
      column("users", &Row::users_json),
      column("roles", &Row::roles_json),
      column("expires", &Row::expires).changing(),
      column("created", &Row::created),
      column("updated", &Row::updated).changing(),
      column("version", &Row::version).changing(),
      column("responder", &Row::responder).changing(),
      blob("response_schema", &Row::schema_json),
      blob("response", &Row::response_json).changing(),
  };
};

template <>
struct Table<kernel::KeyRow> {
  using Row = kernel::KeyRow;
  using Name = kernel::KeyName;
  static constexpr std::string_view kName = "key_value";
  static constexpr std::tuple kColumns{
      column("tenant", &Row::key, &Name::tenant),      column("scope", &Row::key, &Name::scope),
      column("name", &Row::key, &Name::name),          blob("value", &Row::value_json).changing(),
      column("encrypted", &Row::encrypted).changing(), column("version", &Row::version).changing(),
      column("expires", &Row::expires).changing(),     column("created", &Row::created).changing(),
      column("updated", &Row::updated).changing(),
  };
};

}  // namespace millrace::store
