// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using namespace kernel;

namespace {

const std::string& key_text() {
  static const auto text = select<DedupeRow>("WHERE tenant = $1 AND scope = $2 AND key = $3");
  return text;
}
const std::string& timer_text() {
  static const auto text = select<TimerRow>("WHERE id = $1 AND tenant = $2");
  return text;
}
constexpr std::string_view kLastChangeText =
    "SELECT coalesce((SELECT seq FROM change_feed ORDER BY seq DESC LIMIT 1), 0) "
    "/*every tenant: numbering*/";
constexpr std::string_view kMessageText =
    "SELECT count(*) FROM message WHERE id = $1 AND tenant = $2";

}  // namespace

Result<void> begin_snapshot(sql::Connection& db) {
  TRY(auto* begin, db.prepare("BEGIN"));
  TRY(begin->execute());
  return {};
}

Result<void> end_snapshot(sql::Connection& db) {
  TRY(auto* end, db.prepare("COMMIT"));
  TRY(end->execute());
  return {};
}

Result<std::vector<QueueRow>> queue_head(sql::Connection& db, ShardSet shards, TenantId tenant,
                                         const std::string& needs, int limit) {
  static const auto text = select<QueueRow>(
      "WHERE tenant = $1 AND needs = $2 AND ($3 >> shard) & 1 = 1 "
      "ORDER BY queue_rank, execution LIMIT $4");
  return read_all<QueueRow>(db, text, tenant, needs, shards.bits(), limit);
}

Result<std::vector<QueueRow>> list_queue(sql::Connection& db, TenantId tenant, int limit) {
  static const auto text =
      select<QueueRow>("WHERE tenant = $1 ORDER BY needs, queue_rank, execution LIMIT $2");
  return read_all<QueueRow>(db, text, tenant, limit);
}

Result<std::vector<QueueDepth>> queue_depths(sql::Connection& db, ShardSet shards) {
  auto read = [](RowReader r, QueueDepth& depth) {
    r >> depth.tenant >> depth.needs >> depth.waiting;
  };
  return query<QueueDepth>(db,
                           "SELECT tenant, needs, count(*) FROM queue /*every tenant: start*/ "
                           "WHERE ($1 >> shard) & 1 = 1 GROUP BY tenant, needs",
                           +read, shards.bits());
}

Result<std::optional<DedupeRow>> find_dedupe(sql::Connection& db, TenantId tenant,
                                             const std::string& scope, const std::string& key) {
  return read_one<DedupeRow>(db, key_text(), tenant, scope, key);
}

Result<void> ahead_of_keys(sql::Connection& db, std::span<const DedupeRow> keys) {
  return read_ahead(db, key_text(), keys, [](sql::Batch& batch, const DedupeRow& key) {
    batch.add(key.tenant, key.scope, key.key);
  });
}

Result<std::optional<TimerRow>> load_timer(sql::Connection& db, TenantId tenant, TimerId id) {
  return read_one<TimerRow>(db, timer_text(), id, tenant);
}

Result<void> ahead_of_timers(sql::Connection& db, std::span<const Of<TimerId>> timers) {
  return read_ahead(db, timer_text(), timers,
                    [](sql::Batch& batch, Of<TimerId> of) { batch.add(of.id, of.tenant); });
}

Result<std::optional<TimerId>> find_timer_of(sql::Connection& db, TenantId tenant,
                                             ExecutionId execution, TimerKind kind) {
  TRY(auto found, query<TimerId>(
                      db,
                      "SELECT id FROM timer WHERE subject = $1 AND tenant = $2 AND kind = $3 AND "
                      "subject <> 0 LIMIT 1",
                      [](RowReader read, TimerId& id) { read >> id; }, execution, tenant, kind));
  return found.empty() ? std::nullopt : std::optional(found.front());
}

Result<std::vector<TimerWheel::Entry>> timers_until(sql::Connection& db, ShardSet shards,
                                                    int64_t until, int limit) {
  auto read = [](RowReader r, TimerWheel::Entry& e) { r >> e.due >> e.tenant >> e.id; };
  return query<TimerWheel::Entry>(
      db,
      "SELECT due, tenant, id FROM timer /*every tenant: sweep*/ WHERE due < $1 AND "
      "($2 >> shard) & 1 = 1 ORDER BY due, id LIMIT $3",
      +read, until, shards.bits(), limit);
}

Result<bool> message_waits(sql::Connection& db, TenantId tenant, MessageId id) {
  TRY(int64_t count, query_int(db, kMessageText, id, tenant));
  return count > 0;
}

Result<void> ahead_of_messages(sql::Connection& db, std::span<const Of<MessageId>> messages) {
  return read_ahead(db, kMessageText, messages,
                    [](sql::Batch& batch, Of<MessageId> of) { batch.add(of.id, of.tenant); });
}

Result<std::vector<MessageRow>> messages(sql::Connection& db, ShardSet shards, int64_t after,
                                         int limit) {
  static const auto text = select<MessageRow>(
      "/*every tenant: sweep*/ WHERE ($1 >> shard) & 1 = 1 AND id > $2 ORDER BY id LIMIT $3");
  return read_all<MessageRow>(db, text, shards.bits(), after, limit);
}

Result<std::vector<MessageRow>> stored_ends(sql::Connection& db, TenantId tenant,
                                            ExecutionId execution) {
  static_assert(static_cast<int>(MessageKind::FinishRun) == 3);  // as the index message_end has it
  static const auto text = select<MessageRow>("WHERE tenant = $1 AND subject = $2 AND kind = 3");
  TRY(auto rows, read_all<MessageRow>(db, text, tenant, execution));
  std::ranges::sort(rows, {}, &MessageRow::id);
  return rows;
}

Result<std::vector<OutboxRow>> outbox(sql::Connection& db, ShardSet shards, int64_t after,
                                      int limit) {
  static const auto text = select<OutboxRow>(
      "/*every tenant: sweep*/ WHERE ($1 >> shard) & 1 = 1 AND id > $2 ORDER BY id LIMIT $3");
  return read_all<OutboxRow>(db, text, shards.bits(), after, limit);
}

Result<std::vector<TimerRow>> named_timers(sql::Connection& db, TenantId tenant) {
  static const auto text = select<TimerRow>("WHERE tenant = $1 AND name <> ''");
  return read_all<TimerRow>(db, text, tenant);
}

Result<std::vector<TimerRow>> named_timer(sql::Connection& db, TenantId tenant,
                                          const std::string& name) {
  static const auto text = select<TimerRow>("WHERE tenant = $1 AND name = $2 AND name <> ''");
  return read_all<TimerRow>(db, text, tenant, name);
}

Result<std::vector<TimerRow>> named_timers_after(sql::Connection& db, ShardSet shards,
                                                 TimerId after, int limit) {
  static const auto text = select<TimerRow>(
      "/*every tenant: sweep*/ WHERE name <> '' AND ($1 >> shard) & 1 = 1 AND id > $2 ORDER BY id "
      "LIMIT $3");
  return read_all<TimerRow>(db, text, shards.bits(), after, limit);
}

Result<std::vector<TimerRow>> timers_ahead(sql::Connection& db, ShardSet shards, int64_t now,
                                           TimerId after, int limit) {
  static const auto text = select<TimerRow>(
      "/*every tenant: sweep*/ WHERE name = '' AND ($1 >> shard) & 1 = 1 AND id > $2 AND "
      "(SELECT x.created > $3 OR x.started > $3 FROM execution AS x WHERE x.id = timer.subject AND "
      "x.tenant = timer.tenant) ORDER BY id LIMIT $4");
  return read_all<TimerRow>(db, text, shards.bits(), after, now, limit);
}

Result<std::vector<QuarantineRow>> list_quarantine(sql::Connection& db, TenantId tenant,
                                                   Page page) {
  static const auto text =
      select<QuarantineRow>("WHERE id < $1 AND tenant = $2 ORDER BY id DESC LIMIT $3");
  int64_t before = page.before > 0 ? page.before : INT64_MAX;
  return read_all<QuarantineRow>(db, text, before, tenant, page.limit);
}

Result<std::vector<ExecutionId>> ends_in_quarantine(sql::Connection& db) {
  return query<ExecutionId>(db,
                            "/*every tenant: worker*/ "
                            "SELECT DISTINCT subject FROM quarantine WHERE kind = 'finish_run'",
                            [](RowReader read, ExecutionId& id) { read >> id; });
}

Result<std::vector<ChangeRow>> changes_after(sql::Connection& db, TenantId tenant, int64_t after,
                                             int limit) {
  static const auto text =
      select<ChangeRow>("WHERE seq > $1 AND tenant = $2 ORDER BY seq LIMIT $3");
  return read_all<ChangeRow>(db, text, after, tenant, limit);
}

Result<std::vector<ChangeRow>> all_changes_after(sql::Connection& db, int64_t after, int limit) {
  static const auto text =
      select<ChangeRow>("/*every tenant: follow*/ WHERE seq > $1 ORDER BY seq LIMIT $2");
  return read_all<ChangeRow>(db, text, after, limit);
}

Result<FeedEnds> feed_ends(sql::Connection& db) {
  FeedEnds ends;
  TRY(ends.newest, last_change(db));
  TRY(ends.oldest, query_int(db,
                             "SELECT coalesce((SELECT seq FROM change_feed ORDER BY seq LIMIT 1), "
                             "0) /*every tenant: numbering*/"));
  return ends;
}

Result<int64_t> last_change(sql::Connection& db) { return query_int(db, kLastChangeText); }

Result<void> ahead_of_last_change(sql::Connection& db) { return ahead_of_one(db, kLastChangeText); }

Result<int64_t> newest_id(sql::Connection& db) {
  return query_int(
      db,
      "SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM event "
      "UNION ALL SELECT max(id) FROM enforcement UNION ALL SELECT max(id) FROM "
      "execution UNION ALL SELECT max(id) FROM message UNION ALL SELECT max(id) FROM "
      "timer UNION ALL SELECT max(id) FROM outbox UNION ALL SELECT max(id) FROM "
      "quarantine UNION ALL SELECT max(id) FROM rule UNION ALL SELECT max(id) FROM "
      "webhook UNION ALL SELECT max(id) FROM policy UNION ALL SELECT max(id) FROM "
      "token UNION ALL SELECT max(id) FROM "
      "worker UNION ALL SELECT max(id) FROM operation UNION ALL SELECT max(updated) FROM "
      "pack_release) AS newest "
      "/*every tenant: numbering*/");
}

}  // namespace millrace::store
