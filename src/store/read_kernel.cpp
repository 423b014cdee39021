// SPDX-License-Identifier: Apache-2.0
#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

void read_queue(RowReader r, QueueRow& q) { r >> q.execution >> q.tenant >> q.rank; }
void read_depth(RowReader r, QueueDepth& d) { r >> d.tenant >> d.waiting; }

void read_dedupe(RowReader r, DedupeRow& d) {
  r >> d.tenant >> d.scope >> d.key >> d.value >> d.expires;
}

void read_timer(RowReader r, TimerRow& t) {
  r >> t.id >> t.tenant >> t.shard >> t.due >> t.kind >> t.subject >> t.name >> t.body_json;
}

void read_entry(RowReader r, TimerWheel::Entry& e) { r >> e.due >> e.tenant >> e.id; }

void read_message(RowReader r, MessageRow& m) {
  r >> m.id >> m.tenant >> m.shard >> m.kind >> m.subject >> m.created >> m.body_json;
}

void read_outbox(RowReader r, OutboxRow& o) {
  r >> o.id >> o.tenant >> o.shard >> o.destination >> o.subject >> o.created >> o.body_json;
}

void read_quarantine(RowReader r, QuarantineRow& q) {
  r >> q.id >> q.tenant >> q.kind >> q.subject >> q.reason >> q.created >> q.body_json;
}

void read_change(RowReader r, ChangeRow& c) {
  r >> c.seq >> c.tenant >> c.type >> c.op >> c.entity >> c.at >> c.detail;
}

}  // namespace

Result<std::vector<QueueRow>> queue_head(sql::Connection& db, ShardSet shards, TenantId tenant,
                                         int limit) {
  return query<QueueRow>(db,
                         "SELECT execution, tenant, queue_rank FROM queue WHERE tenant = $1 "
                         "AND ($2 >> shard) & 1 = 1 ORDER BY queue_rank, execution LIMIT $3",
                         read_queue, tenant, shards.bits(), limit);
}

Result<std::vector<QueueDepth>> queue_depths(sql::Connection& db, ShardSet shards) {
  return query<QueueDepth>(db,
                           "/*every tenant: start*/ SELECT tenant, count(*) FROM queue WHERE "
                           "($1 >> shard) & 1 = 1 GROUP BY tenant",
                           read_depth, shards.bits());
}

Result<std::optional<DedupeRow>> find_dedupe(sql::Connection& db, TenantId tenant,
                                             const std::string& scope, const std::string& key) {
  return query_one<DedupeRow>(db,
                              "SELECT tenant, scope, key, value, expires FROM dedupe "
                              "WHERE tenant = $1 AND scope = $2 AND key = $3",
                              read_dedupe, tenant, scope, key);
}

Result<std::optional<TimerRow>> load_timer(sql::Connection& db, TenantId tenant, TimerId id) {
  return query_one<TimerRow>(db,
                             "SELECT id, tenant, shard, due, kind, subject, name, body FROM timer "
                             "WHERE id = $1 AND tenant = $2",
                             read_timer, id, tenant);
}

Result<std::vector<TimerWheel::Entry>> timers_until(sql::Connection& db, ShardSet shards,
                                                    int64_t until, int limit) {
  return query<TimerWheel::Entry>(
      db,
      "/*every tenant: sweep*/ SELECT due, tenant, id FROM timer WHERE due < $1 AND "
      "($2 >> shard) & 1 = 1 ORDER BY due, id LIMIT $3",
      read_entry, until, shards.bits(), limit);
}

Result<bool> message_waits(sql::Connection& db, TenantId tenant, MessageId id) {
  TRY(int64_t count,
      query_int(db, "SELECT count(*) FROM message WHERE id = $1 AND tenant = $2", id, tenant));
  return count > 0;
}

Result<std::vector<MessageRow>> messages(sql::Connection& db, ShardSet shards, int64_t after,
                                         int limit) {
  return query<MessageRow>(db,
                           "/*every tenant: sweep*/ "
                           "SELECT id, tenant, shard, kind, subject, created, body FROM message "
                           "WHERE ($1 >> shard) & 1 = 1 AND id > $2 ORDER BY id LIMIT $3",
                           read_message, shards.bits(), after, limit);
}

Result<std::vector<OutboxRow>> outbox(sql::Connection& db, ShardSet shards, int64_t after,
                                      int limit) {
  return query<OutboxRow>(
      db,
      "/*every tenant: sweep*/ "
      "SELECT id, tenant, shard, destination, subject, created, body "
      "FROM outbox WHERE ($1 >> shard) & 1 = 1 AND id > $2 ORDER BY id LIMIT $3",
      read_outbox, shards.bits(), after, limit);
}

Result<std::vector<TimerRow>> named_timers(sql::Connection& db, TenantId tenant) {
  return query<TimerRow>(db,
                         "SELECT id, tenant, shard, due, kind, subject, name, body FROM timer "
                         "WHERE tenant = $1 AND name <> ''",
                         read_timer, tenant);
}

Result<std::vector<QuarantineRow>> list_quarantine(sql::Connection& db, TenantId tenant,
                                                   Page page) {
  return query<QuarantineRow>(db,
                              "SELECT id, tenant, kind, subject, reason, created, body "
                              "FROM quarantine WHERE id < $1 AND tenant = $2 "
                              "ORDER BY id DESC LIMIT $3",
                              read_quarantine, page.before > 0 ? page.before : INT64_MAX, tenant,
                              page.limit);
}

Result<std::vector<ChangeRow>> changes_after(sql::Connection& db, TenantId tenant, int64_t after,
                                             int limit) {
  return query<ChangeRow>(db,
                          "SELECT seq, tenant, entity_type, op, entity, at, detail "
                          "FROM change_feed WHERE seq > $1 AND tenant = $2 ORDER BY seq LIMIT $3",
                          read_change, after, tenant, limit);
}

Result<int64_t> rows_due(sql::Connection& db, const Expire& e) {
  int64_t before_id = first_id_at(e.before);
  int most = e.limit + 1;
  switch (e.kind) {
    case Expirable::Events:
      return query_int(db,
                       "SELECT count(*) FROM (SELECT id FROM event WHERE id < $1 LIMIT $2) AS due",
                       before_id, most);
    case Expirable::Executions:
      return query_int(db,
                       "SELECT count(*) FROM (SELECT id FROM execution WHERE id < $1 AND "
                       "status >= 16 LIMIT $2) AS due",
                       before_id, most);
    case Expirable::Changes:
      return query_int(db,
                       "SELECT count(*) FROM (SELECT at FROM change_feed ORDER BY seq LIMIT $2) "
                       "AS oldest WHERE at < $1",
                       e.before, most);
    case Expirable::Dedupe:
      return query_int(
          db, "SELECT count(*) FROM (SELECT key FROM dedupe WHERE expires < $1 LIMIT $2) AS due",
          e.before, most);
    case Expirable::Keys:
      return query_int(db,
                       "SELECT count(*) FROM (SELECT name FROM key_value WHERE expires > 0 AND "
                       "expires < $1 LIMIT $2) AS due",
                       e.before, most);
    case Expirable::Quarantine:
      return query_int(
          db, "SELECT count(*) FROM (SELECT id FROM quarantine WHERE id < $1 LIMIT $2) AS due",
          before_id, most);
  }
  return int64_t{0};
}

Result<FeedEnds> feed_ends(sql::Connection& db) {
  FeedEnds ends;
  TRY(ends.newest, last_change(db));
  TRY(ends.oldest, query_int(db,
                             "/*every tenant: numbering*/ "
                             "SELECT coalesce(min(seq), 0) FROM change_feed"));
  return ends;
}

Result<int64_t> last_change(sql::Connection& db) {
  return query_int(db, "/*every tenant: numbering*/ SELECT coalesce(max(seq), 0) FROM change_feed");
}

Result<int64_t> newest_id(sql::Connection& db) {
  return query_int(db,
                   "/*every tenant: numbering*/ "
                   "SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM event "
                   "UNION ALL SELECT max(id) FROM enforcement UNION ALL SELECT max(id) FROM "
                   "execution UNION ALL SELECT max(id) FROM message UNION ALL SELECT max(id) FROM "
                   "timer UNION ALL SELECT max(id) FROM outbox UNION ALL SELECT max(id) FROM "
                   "quarantine UNION ALL SELECT max(id) FROM rule UNION ALL SELECT max(id) FROM "
                   "webhook UNION ALL SELECT max(id) FROM token UNION ALL SELECT max(id) FROM "
                   "worker UNION ALL SELECT max(updated) FROM pack_release) AS newest");
}

}  // namespace millrace::store
