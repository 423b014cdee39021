// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using namespace kernel;

namespace {

// The ids that a page may hold: above the first, below the second.
std::pair<int64_t, int64_t> bounds(const Page& page) {
  if (page.order == Order::OldestFirst) return {page.before, INT64_MAX};
  return {0, page.before > 0 ? page.before : INT64_MAX};
}

// A list of heads in both orders of their ids. `limit` is the number of its last parameter.
class List {
 public:
  template <typename Row>
  static List of_all(int limit) {
    return {text<Row>("id > $1 AND id < $2 AND +tenant = $3", "id DESC", limit),
            text<Row>("id > $1 AND id < $2 AND +tenant = $3", "id", limit)};
  }
  // Of those that have `column` in common, by the index of (tenant, column, id), which is named by
  // the order (README.md).
  template <typename Row>
  static List of(std::string_view column, int limit, std::string_view conditions = {}) {
    auto where =
        fmt::format("tenant = $1 AND {} = $2 AND id > $3 AND id < $4{}", column, conditions);
    return {text<Row>(where, fmt::format("{} DESC, id DESC", column), limit),
            text<Row>(where, fmt::format("{}, id", column), limit)};
  }
  const std::string& in(const Page& page) const {
    return page.order == Order::OldestFirst ? oldest_ : newest_;
  }

 private:
  List(std::string newest, std::string oldest)
      : newest_(std::move(newest)), oldest_(std::move(oldest)) {}
  template <typename Row>
  static std::string text(std::string_view where, std::string_view order, int limit) {
    return select_heads<Row>(fmt::format("WHERE {} ORDER BY {} LIMIT ${}", where, order, limit));
  }
  std::string newest_;
  std::string oldest_;
};

Result<std::vector<ExecutionRow>> list_in_status(sql::Connection& db, TenantId tenant,
                                                 ExecutionStatus status, Page page) {
  static const auto texts = List::of<ExecutionRow>("status", 5);
  auto [above, below] = bounds(page);
  return read_heads<ExecutionRow>(db, texts.in(page), tenant, status, above, below, page.limit);
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

const std::string& execution_text() {
  static const auto text = select<ExecutionRow>("WHERE id = $1 AND tenant = $2");
  return text;
}
const std::string& event_text() {
  static const auto text = select<EventRow>("WHERE id = $1 AND tenant = $2");
  return text;
}

}  // namespace

Result<std::optional<ExecutionRow>> find_execution(sql::Connection& db, TenantId tenant,
                                                   ExecutionId id) {
  return read_one<ExecutionRow>(db, execution_text(), id, tenant);
}

Result<void> ahead_of_executions(sql::Connection& db, std::span<const Of<ExecutionId>> executions) {
  return read_ahead(db, execution_text(), executions,
                    [](sql::Batch& batch, Of<ExecutionId> of) { batch.add(of.id, of.tenant); });
}

Result<bool> has_execution(sql::Connection& db, TenantId tenant, ExecutionId id) {
  TRY(int64_t count,
      query_int(db, "SELECT count(*) FROM execution WHERE id = $1 AND tenant = $2", id, tenant));
  return count > 0;
}

Result<std::vector<ExecutionRow>> list_executions(sql::Connection& db, TenantId tenant,
                                                  const ExecutionFilter& filter, Page page) {
  // Each shape of the filter walks the index that serves it. An operation on a column (`+status`)
  // keeps an index from being chosen that would have to be sorted.
  static const auto of_parent = List::of<ExecutionRow>(
      "parent", 8,
      " AND parent <> 0 AND ($5 < 0 OR +status = $5) AND +status < $6 AND ($7 = '' OR action || '' "
      "= $7)");
  static const auto of_action =
      List::of<ExecutionRow>("action", 7, " AND ($5 < 0 OR +status = $5) AND +status < $6");
  static const auto of_all = List::of_all<ExecutionRow>(4);
  auto [above, below] = bounds(page);
  int64_t status = filter.status ? static_cast<int64_t>(*filter.status) : -1;
  int64_t below_status = filter.open_only ? static_cast<int64_t>(kFirstFinal) : INT64_MAX;
  if (filter.parent) {
    return read_heads<ExecutionRow>(db, of_parent.in(page), tenant, filter.parent, above, below,
                                    status, below_status, filter.action, page.limit);
  }
  if (!filter.action.empty()) {
    return read_heads<ExecutionRow>(db, of_action.in(page), tenant, filter.action, above, below,
                                    status, below_status, page.limit);
  }
  if (filter.status) return list_in_status(db, tenant, *filter.status, page);
  if (filter.open_only) return list_open(db, tenant, page);
  return read_heads<ExecutionRow>(db, of_all.in(page), above, below, tenant, page.limit);
}

Result<std::vector<ExecutionRow>> children_of(sql::Connection& db, TenantId tenant,
                                              ExecutionId parent) {
  static const auto text = select_heads<ExecutionRow>(
      "WHERE tenant = $1 AND parent = $2 AND id > 0 AND id < $3 AND parent <> 0 "
      "ORDER BY parent, id");
  return read_heads<ExecutionRow>(db, text, tenant, parent, INT64_MAX);
}

Result<std::vector<ExecutionRow>> open_descendants(sql::Connection& db, TenantId tenant,
                                                   ExecutionId parent) {
  static const auto text = select<ExecutionRow>(
      "WHERE tenant = $1 AND parent = $2 AND id > 0 AND id < $3 AND parent <> 0 "
      "AND +status < $4 ORDER BY parent, id");
  std::vector<ExecutionRow> found;
  std::vector<ExecutionId> level{parent};
  while (!level.empty()) {
    std::vector<ExecutionId> next;
    for (ExecutionId id : level) {
      TRY(auto children, read_all<ExecutionRow>(db, text, tenant, id, INT64_MAX, kFirstFinal));
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
  static const auto text =
      select<ExecutionRow>("WHERE tenant = $1 AND status = $2 AND ($3 >> shard) & 1 = 1");
  std::vector<ExecutionRow> found;
  TRY(auto tenants, tenants_with_executions(db));
  for (TenantId tenant : tenants) {
    for (ExecutionStatus status : statuses) {
      TRY(auto rows, read_all<ExecutionRow>(db, text, tenant, status, shards.bits()));
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
                                "SELECT coalesce(min(tenant), 0) FROM execution "
                                "/*every tenant: start*/ WHERE tenant > $1",
                                last));
    if (next == 0) return tenants;
    last = TenantId{next};
  }
}

Result<std::optional<ResultBlobRow>> find_result_blob(sql::Connection& db, TenantId tenant,
                                                      ExecutionId id) {
  static const auto text = select<ResultBlobRow>("WHERE execution = $1 AND tenant = $2");
  return read_one<ResultBlobRow>(db, text, id, tenant);
}

Result<std::vector<OutputRow>> outputs_of(sql::Connection& db, TenantId tenant, ExecutionId id) {
  static const auto text =
      select<OutputRow>("WHERE execution = $1 AND tenant = $2 ORDER BY attempt, stream");
  return read_all<OutputRow>(db, text, id, tenant);
}

Result<std::optional<EventRow>> find_event(sql::Connection& db, TenantId tenant, EventId id) {
  return read_one<EventRow>(db, event_text(), id, tenant);
}

Result<void> ahead_of_events(sql::Connection& db, std::span<const Of<EventId>> events) {
  return read_ahead(db, event_text(), events,
                    [](sql::Batch& batch, Of<EventId> of) { batch.add(of.id, of.tenant); });
}

Result<std::vector<EventRow>> list_events(sql::Connection& db, TenantId tenant,
                                          const std::string& trigger, Page page) {
  static const auto of_all = List::of_all<EventRow>(4);
  static const auto of_trigger = List::of<EventRow>("event_trigger", 5);
  auto [above, below] = bounds(page);
  if (trigger.empty()) {
    return read_heads<EventRow>(db, of_all.in(page), above, below, tenant, page.limit);
  }
  return read_heads<EventRow>(db, of_trigger.in(page), tenant, trigger, above, below, page.limit);
}

Result<std::optional<EnforcementRow>> find_enforcement(sql::Connection& db, TenantId tenant,
                                                       EnforcementId id) {
  static const auto text = select<EnforcementRow>("WHERE id = $1 AND tenant = $2");
  return read_one<EnforcementRow>(db, text, id, tenant);
}

Result<std::vector<EnforcementRow>> enforcements_of(sql::Connection& db, TenantId tenant,
                                                    EventId event) {
  static const auto text = select<EnforcementRow>(
      "WHERE tenant = $1 AND event = $2 AND id > 0 AND id < $3 ORDER BY event, id");
  return read_all<EnforcementRow>(db, text, tenant, event, INT64_MAX);
}

Result<std::vector<EnforcementRow>> list_enforcements(sql::Connection& db, TenantId tenant,
                                                      RuleId rule, Page page) {
  static const auto of_all = List::of_all<EnforcementRow>(4);
  static const auto of_rule = List::of<EnforcementRow>("rule", 5);
  auto [above, below] = bounds(page);
  if (!rule)
    return read_heads<EnforcementRow>(db, of_all.in(page), above, below, tenant, page.limit);
  return read_heads<EnforcementRow>(db, of_rule.in(page), tenant, rule, above, below, page.limit);
}

}  // namespace millrace::store
