// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <utility>

#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

#define EXECUTION_HEAD                                                                          \
  "SELECT id, tenant, action, pack_release, status, failure, effect_class, priority, attempt, " \
  "epoch, worker, parent, root, enforcement, original, timeout_ms, created, updated, started, " \
  "ended, version, requested_by, trace, held, task, task_route, task_item"
#define EXECUTION_ALL EXECUTION_HEAD ", parameters, env, result, result_size"

void read_execution_head(RowReader r, ExecutionRow& e) {
  r >> e.id >> e.tenant >> e.action >> e.release >> e.status >> e.failure >> e.effect_class >>
      e.priority >> e.attempt >> e.epoch >> e.worker >> e.parent >> e.root >> e.enforcement >>
      e.original >> e.timeout_ms >> e.created >> e.updated >> e.started >> e.ended >> e.version >>
      e.identity >> e.trace >> e.held >> e.task >> e.task_route >> e.task_item;
}

void read_execution(RowReader r, ExecutionRow& e) {
  r >> e.id >> e.tenant >> e.action >> e.release >> e.status >> e.failure >> e.effect_class >>
      e.priority >> e.attempt >> e.epoch >> e.worker >> e.parent >> e.root >> e.enforcement >>
      e.original >> e.timeout_ms >> e.created >> e.updated >> e.started >> e.ended >> e.version >>
      e.identity >> e.trace >> e.held >> e.task >> e.task_route >> e.task_item >>
      e.parameters_json >> e.env_json >> e.result_json >> e.result_size;
}

void read_output(RowReader r, OutputRow& o) {
  r >> o.execution >> o.tenant >> o.attempt >> o.stream >> o.content.size >> o.content.dropped >>
      o.content.blob >> o.content.bytes;
}

#define EVENT_HEAD                                                                         \
  "SELECT id, tenant, event_trigger, source, source_id, type, trace, replay_of, created, " \
  "trigger_parameters"

void read_event_head(RowReader r, EventRow& e) {
  r >> e.id >> e.tenant >> e.trigger >> e.source >> e.source_id >> e.type >> e.trace >>
      e.replay_of >> e.created >> e.trigger_parameters_json;
}

void read_event(RowReader r, EventRow& e) {
  r >> e.id >> e.tenant >> e.trigger >> e.source >> e.source_id >> e.type >> e.trace >>
      e.replay_of >> e.created >> e.trigger_parameters_json >> e.payload_json;
}

#define ENFORCEMENT_ALL                                                                          \
  "SELECT id, tenant, rule, rule_ref, rule_revision, event, execution, status, error, created, " \
  "verdicts FROM enforcement "

void read_enforcement(RowReader r, EnforcementRow& e) {
  r >> e.id >> e.tenant >> e.rule >> e.rule_ref >> e.rule_revision >> e.event >> e.execution >>
      e.status >> e.error >> e.created >> e.verdicts_json;
}

// The ids that a page may hold: above the first, below the second.
std::pair<int64_t, int64_t> bounds(const Page& page) {
  if (page.order == Order::OldestFirst) return {page.before, INT64_MAX};
  return {0, page.before > 0 ? page.before : INT64_MAX};
}

#define IN_ORDER(page, select, limit)                                      \
  ((page).order == Order::OldestFirst ? select " ORDER BY id LIMIT " limit \
                                      : select " ORDER BY id DESC LIMIT " limit)

Result<std::vector<ExecutionRow>> list_in_status(sql::Connection& db, TenantId tenant,
                                                 ExecutionStatus status, Page page) {
  auto [above, below] = bounds(page);
  return query<ExecutionRow>(
      db,
      IN_ORDER(page,
               EXECUTION_HEAD
               " FROM execution WHERE tenant = $1 AND status = $2 AND id > $3 AND id < $4",
               "$5"),
      read_execution_head, tenant, status, above, below, page.limit);
}

// One indexed read per open status: sorting all that is open would cost its number.
Result<std::vector<ExecutionRow>> list_open(sql::Connection& db, TenantId tenant, Page page) {
  std::vector<ExecutionRow> found;
  for (int s = 0; s <= static_cast<int>(ExecutionStatus::NeedsDecision); ++s) {
    TRY(auto rows, list_in_status(db, tenant, static_cast<ExecutionStatus>(s), page));
    std::ranges::move(rows, std::back_inserter(found));
  }
  if (page.order == Order::OldestFirst) {
    std::ranges::sort(found, std::less(), &ExecutionRow::id);
  } else {
    std::ranges::sort(found, std::greater(), &ExecutionRow::id);
  }
  if (found.size() > static_cast<size_t>(page.limit)) {
    found.resize(static_cast<size_t>(page.limit));
  }
  return found;
}

}  // namespace

Result<std::optional<ExecutionRow>> find_execution(sql::Connection& db, TenantId tenant,
                                                   ExecutionId id) {
  return query_one<ExecutionRow>(db, EXECUTION_ALL " FROM execution WHERE id = $1 AND tenant = $2",
                                 read_execution, id, tenant);
}

Result<std::optional<TenantId>> tenant_of_execution(sql::Connection& db, ExecutionId id) {
  return query_one<TenantId>(
      db, "/*every tenant: credential*/ SELECT tenant FROM execution WHERE id = $1",
      +[](RowReader r, TenantId& tenant) { r >> tenant; }, id);
}

Result<std::vector<ExecutionRow>> list_executions(sql::Connection& db, TenantId tenant,
                                                  const ExecutionFilter& filter, Page page) {
  // Each shape of the filter walks the index that serves it. `+column` keeps an index from being
  // chosen that would have to be sorted.
  auto [above, below] = bounds(page);
  int64_t status = filter.status ? static_cast<int64_t>(*filter.status) : -1;
  int64_t below_status =
      filter.open_only ? static_cast<int64_t>(ExecutionStatus::Succeeded) : INT64_MAX;
  if (filter.parent) {
    return query<ExecutionRow>(
        db,
        IN_ORDER(page,
                 EXECUTION_HEAD
                 " FROM execution WHERE tenant = $1 AND parent = $2 AND parent <> 0 AND id > $3 "
                 "AND id < $4 AND ($5 < 0 OR +status = $5) AND +status < $6 "
                 "AND ($7 = '' OR +action = $7)",
                 "$8"),
        read_execution_head, tenant, filter.parent, above, below, status, below_status,
        filter.action, page.limit);
  }
  if (!filter.action.empty()) {
    return query<ExecutionRow>(
        db,
        IN_ORDER(page,
                 EXECUTION_HEAD
                 " FROM execution WHERE tenant = $1 AND action = $2 AND id > $3 AND id < $4 AND "
                 "($5 < 0 OR +status = $5) AND +status < $6",
                 "$7"),
        read_execution_head, tenant, filter.action, above, below, status, below_status, page.limit);
  }
  if (filter.status) return list_in_status(db, tenant, *filter.status, page);
  if (filter.open_only) return list_open(db, tenant, page);
  return query<ExecutionRow>(
      db,
      IN_ORDER(page, EXECUTION_HEAD " FROM execution WHERE id > $1 AND id < $2 AND +tenant = $3",
               "$4"),
      read_execution_head, above, below, tenant, page.limit);
}

Result<std::vector<ExecutionRow>> children_of(sql::Connection& db, TenantId tenant,
                                              ExecutionId parent) {
  return query<ExecutionRow>(db,
                             EXECUTION_HEAD
                             " FROM execution WHERE tenant = $1 AND parent = $2 AND parent <> 0 "
                             "ORDER BY id",
                             read_execution_head, tenant, parent);
}

Result<std::vector<ExecutionRow>> open_descendants(sql::Connection& db, TenantId tenant,
                                                   ExecutionId parent) {
  std::vector<ExecutionRow> found;
  std::vector<ExecutionId> level{parent};
  while (!level.empty()) {
    std::vector<ExecutionId> next;
    for (ExecutionId id : level) {
      TRY(auto children,
          query<ExecutionRow>(db,
                              EXECUTION_ALL " FROM execution WHERE tenant = $1 AND parent = $2 AND "
                                            "parent <> 0 AND +status < 16 ORDER BY id",
                              read_execution, tenant, id));
      for (auto& child : children) {
        next.push_back(child.id);
        found.push_back(std::move(child));
      }
    }
    level = std::move(next);
  }
  return found;
}

Result<std::vector<ExecutionRow>> executions_in(sql::Connection& db, ShardSet shards,
                                                std::span<const ExecutionStatus> statuses) {
  std::vector<ExecutionRow> found;
  TRY(auto tenants, tenants_with_executions(db));
  for (TenantId tenant : tenants) {
    for (ExecutionStatus status : statuses) {
      TRY(auto rows,
          query<ExecutionRow>(db,
                              EXECUTION_ALL " FROM execution WHERE tenant = $1 AND status = $2 AND "
                                            "($3 >> shard) & 1 = 1",
                              read_execution, tenant, status, shards.bits()));
      std::ranges::move(rows, std::back_inserter(found));
    }
  }
  return found;
}

Result<std::vector<TenantId>> tenants_with_executions(sql::Connection& db) {
  // From one tenant to the next by the index: as many look-ups as tenants.
  std::vector<TenantId> tenants;
  for (TenantId last;; tenants.push_back(last)) {
    TRY(int64_t next, query_int(db,
                                "/*every tenant: start*/ "
                                "SELECT coalesce(min(tenant), 0) FROM execution WHERE "
                                "tenant > $1",
                                last));
    if (next == 0) return tenants;
    last = TenantId{next};
  }
}

Result<std::optional<ResultBlobRow>> find_result_blob(sql::Connection& db, TenantId tenant,
                                                      ExecutionId id) {
  auto read = [](RowReader r, ResultBlobRow& b) { r >> b.execution >> b.tenant >> b.bytes; };
  return query_one<ResultBlobRow>(
      db, "SELECT execution, tenant, bytes FROM result_blob WHERE execution = $1 AND tenant = $2",
      +read, id, tenant);
}

Result<std::vector<OutputRow>> outputs_of(sql::Connection& db, TenantId tenant, ExecutionId id) {
  return query<OutputRow>(db,
                          "SELECT execution, tenant, attempt, stream, size, dropped, file, bytes "
                          "FROM output WHERE execution = $1 AND tenant = $2 "
                          "ORDER BY attempt, stream",
                          read_output, id, tenant);
}

Result<std::optional<EventRow>> find_event(sql::Connection& db, TenantId tenant, EventId id) {
  return query_one<EventRow>(db, EVENT_HEAD ", payload FROM event WHERE id = $1 AND tenant = $2",
                             read_event, id, tenant);
}

Result<std::vector<EventRow>> list_events(sql::Connection& db, TenantId tenant,
                                          const std::string& trigger, Page page) {
  auto [above, below] = bounds(page);
  if (trigger.empty()) {
    return query<EventRow>(
        db,
        IN_ORDER(page, EVENT_HEAD " FROM event WHERE id > $1 AND id < $2 AND +tenant = $3", "$4"),
        read_event_head, above, below, tenant, page.limit);
  }
  return query<EventRow>(
      db,
      IN_ORDER(page,
               EVENT_HEAD
               " FROM event WHERE tenant = $1 AND event_trigger = $2 AND id > $3 AND id < $4",
               "$5"),
      read_event_head, tenant, trigger, above, below, page.limit);
}

Result<std::optional<EnforcementRow>> find_enforcement(sql::Connection& db, TenantId tenant,
                                                       EnforcementId id) {
  return query_one<EnforcementRow>(db, ENFORCEMENT_ALL "WHERE id = $1 AND tenant = $2",
                                   read_enforcement, id, tenant);
}

Result<std::vector<EnforcementRow>> enforcements_of(sql::Connection& db, TenantId tenant,
                                                    EventId event) {
  return query<EnforcementRow>(db, ENFORCEMENT_ALL "WHERE tenant = $1 AND event = $2 ORDER BY id",
                               read_enforcement, tenant, event);
}

Result<std::vector<EnforcementRow>> list_enforcements(sql::Connection& db, TenantId tenant,
                                                      RuleId rule, Page page) {
  auto [above, below] = bounds(page);
  if (!rule) {
    return query<EnforcementRow>(
        db, IN_ORDER(page, ENFORCEMENT_ALL "WHERE id > $1 AND id < $2 AND +tenant = $3", "$4"),
        read_enforcement, above, below, tenant, page.limit);
  }
  return query<EnforcementRow>(
      db,
      IN_ORDER(page, ENFORCEMENT_ALL "WHERE tenant = $1 AND rule = $2 AND id > $3 AND id < $4",
               "$5"),
      read_enforcement, tenant, rule, above, below, page.limit);
}

}  // namespace millrace::store
