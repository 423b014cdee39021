// SPDX-License-Identifier: Apache-2.0
// Dedupe, messages, timers, outbox, quarantine, change feed, retention.
#include <vector>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;
using sql::Blob;

Result<bool> claim_key(sql::Connection& db, const DedupeRow& row, int64_t now) {
  TRY(auto* claim, db.prepare("INSERT INTO dedupe (tenant, scope, key, value, expires) "
                              "VALUES ($1, $2, $3, $4, $5) "
                              "ON CONFLICT (tenant, scope, key) DO UPDATE SET "
                              "value = excluded.value, expires = excluded.expires "
                              "WHERE dedupe.expires <= $6"));
  TRY(int64_t claimed, claim->execute(row.tenant, row.scope, row.key, row.value, row.expires, now));
  return claimed == 1;
}

Result<void> release_key(sql::Connection& db, const DedupeRow& row) {
  TRY(auto* remove, db.prepare("DELETE FROM dedupe WHERE tenant = $1 AND scope = $2 AND key = $3"));
  TRY(remove->execute(row.tenant, row.scope, row.key));
  return {};
}

Result<void> insert_messages(sql::Connection& db, Rows<MessageRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO message (id, tenant, shard, kind, subject, created, "
                               "body) VALUES ($1, $2, $3, $4, $5, $6, $7)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->shard, r->kind, r->subject, r->created,
                        Blob{r->body_json}));
  }
  return {};
}

Result<void> delete_messages(sql::Connection& db, Rows<MessageId> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM message WHERE id = $1"));
  for (const auto* id : ids) TRY(remove->execute(*id));
  return {};
}

Result<void> upsert_timers(sql::Connection& db, Rows<TimerRow> rows) {
  TRY(auto* displace, db.prepare("DELETE FROM timer WHERE tenant = $1 AND name = $2"));
  TRY(auto* insert, db.prepare("INSERT INTO timer (id, tenant, shard, due, kind, subject, name, "
                               "body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"));
  for (const auto* r : rows) {
    if (!r->name.empty()) TRY(displace->execute(r->tenant, r->name));
    TRY(insert->execute(r->id, r->tenant, r->shard, r->due, r->kind, r->subject, r->name,
                        Blob{r->body_json}));
  }
  return {};
}

Result<void> delete_timers(sql::Connection& db, Rows<TimerId> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM timer WHERE id = $1"));
  for (const auto* id : ids) TRY(remove->execute(*id));
  return {};
}

Result<void> delete_timers_of(sql::Connection& db, Rows<int64_t> subjects) {
  TRY(auto* remove, db.prepare("DELETE FROM timer WHERE subject = $1 AND subject <> 0"));
  for (const auto* subject : subjects) TRY(remove->execute(*subject));
  return {};
}

Result<void> insert_outbox(sql::Connection& db, Rows<OutboxRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO outbox (id, tenant, shard, destination, subject, "
                               "created, body) VALUES ($1, $2, $3, $4, $5, $6, $7)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->shard, r->destination, r->subject, r->created,
                        Blob{r->body_json}));
  }
  return {};
}

Result<void> delete_outbox(sql::Connection& db, Rows<OutboxId> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM outbox WHERE id = $1"));
  for (const auto* id : ids) TRY(remove->execute(*id));
  return {};
}

Result<void> insert_quarantine(sql::Connection& db, Rows<QuarantineRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO quarantine (id, tenant, kind, subject, reason, created, "
                 "body) VALUES ($1, $2, $3, $4, $5, $6, $7)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->kind, r->subject, r->reason, r->created,
                        Blob{r->body_json}));
  }
  return {};
}

Result<void> insert_feed(sql::Connection& db, Rows<ChangeRow> rows, int64_t& next_seq) {
  TRY(auto* insert, db.prepare("INSERT INTO change_feed (seq, tenant, entity_type, op, entity, at, "
                               "detail) VALUES ($1, $2, $3, $4, $5, $6, $7)"));
  for (const auto* r : rows) {
    TRY(insert->execute(next_seq, r->tenant, r->type, r->op, r->entity, r->at, r->detail));
    ++next_seq;
  }
  return {};
}

namespace {

// An execution leaves with all that hangs on it, and only when it is final.
constexpr std::string_view kOldExecutions =
    "SELECT id FROM execution WHERE id < $1 AND status >= 16 ORDER BY id LIMIT $2";

Result<void> expire_executions(sql::Connection& db, int64_t before_id, int limit) {
  TRY(auto* select, db.prepare(kOldExecutions));
  TRY(auto* outputs, db.prepare("DELETE FROM output WHERE execution = $1"));
  TRY(auto* results, db.prepare("DELETE FROM result_blob WHERE execution = $1"));
  TRY(auto* remove, db.prepare("DELETE FROM execution WHERE id = $1"));
  std::vector<int64_t> ids;
  select->bind(before_id, limit);
  for (;;) {
    TRY(bool row, select->step());
    if (!row) break;
    ids.push_back(select->column_int(0));
  }
  select->reset();
  for (int64_t id : ids) {
    TRY(outputs->execute(id));
    TRY(results->execute(id));
    TRY(remove->execute(id));
  }
  return {};
}

Result<void> expire_rows(sql::Connection& db, std::string_view statement, int64_t bound,
                         int limit) {
  TRY(auto* remove, db.prepare(statement));
  TRY(remove->execute(bound, limit));
  return {};
}

}  // namespace

Result<void> expire(sql::Connection& db, Rows<Expire> requests) {
  for (const auto* r : requests) {
    int64_t before_id = first_id_at(r->before);
    switch (r->kind) {
      case Expirable::Executions: TRY(expire_executions(db, before_id, r->limit)); break;
      case Expirable::Events:
        // Enforcements leave with their event.
        TRY(expire_rows(db,
                        "DELETE FROM enforcement WHERE id IN (SELECT n.id FROM event e JOIN "
                        "enforcement n ON n.tenant = e.tenant AND n.event = e.id WHERE e.id IN "
                        "(SELECT id FROM event WHERE id < $1 ORDER BY id LIMIT $2))",
                        before_id, r->limit));
        TRY(expire_rows(db,
                        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id < $1 "
                        "ORDER BY id LIMIT $2)",
                        before_id, r->limit));
        break;
      case Expirable::Changes:
        TRY(expire_rows(db,
                        "DELETE FROM change_feed WHERE seq IN (SELECT seq FROM (SELECT seq, at "
                        "FROM change_feed ORDER BY seq LIMIT $2) AS oldest WHERE at < $1)",
                        r->before, r->limit));
        break;
      case Expirable::Dedupe:
        TRY(expire_rows(db,
                        "DELETE FROM dedupe WHERE (tenant, scope, key) IN (SELECT tenant, scope, "
                        "key FROM dedupe WHERE expires < $1 ORDER BY expires LIMIT $2)",
                        r->before, r->limit));
        break;
      case Expirable::Quarantine:
        TRY(expire_rows(db,
                        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE "
                        "id < $1 ORDER BY id LIMIT $2)",
                        before_id, r->limit));
        break;
    }
  }
  return {};
}

}  // namespace millrace::store
