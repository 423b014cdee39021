// SPDX-License-Identifier: Apache-2.0
// Dedupe, messages, timers, outbox, quarantine, change feed.

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

Result<void> delete_messages(sql::Connection& db, Rows<Of<MessageId>> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM message WHERE id = $1 AND tenant = $2"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
  return {};
}

Result<void> upsert_timers(sql::Connection& db, Rows<TimerRow> rows) {
  TRY(auto* displace,
      db.prepare("DELETE FROM timer WHERE tenant = $1 AND name = $2 AND name <> ''"));
  TRY(auto* insert, db.prepare("INSERT INTO timer (id, tenant, shard, due, kind, subject, name, "
                               "body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"));
  for (const auto* r : rows) {
    if (!r->name.empty()) TRY(displace->execute(r->tenant, r->name));
    TRY(insert->execute(r->id, r->tenant, r->shard, r->due, r->kind, r->subject, r->name,
                        Blob{r->body_json}));
  }
  return {};
}

Result<void> delete_timers(sql::Connection& db, Rows<Of<TimerId>> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM timer WHERE id = $1 AND tenant = $2"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
  return {};
}

Result<void> delete_timers_of(sql::Connection& db, Rows<Of<ExecutionId>> ids) {
  TRY(auto* remove,
      db.prepare("DELETE FROM timer WHERE subject = $1 AND tenant = $2 AND subject <> 0"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
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

Result<void> delete_outbox(sql::Connection& db, Rows<Of<OutboxId>> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM outbox WHERE id = $1 AND tenant = $2"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
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

Result<void> insert_feed(sql::Connection& db, Rows<ChangeRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO change_feed (seq, tenant, entity_type, op, entity, at, "
                               "detail) VALUES ($1, $2, $3, $4, $5, $6, $7)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->seq, r->tenant, r->type, r->op, r->entity, r->at, r->detail));
  }
  return {};
}

}  // namespace millrace::store
