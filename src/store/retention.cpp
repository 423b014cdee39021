// SPDX-License-Identifier: Apache-2.0
// What is old enough to go, and its removal in small batches. Nothing goes that an open execution
// or a waiting message still needs.
#include "store/read.h"
#include "store/repository.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

struct OldRow {
  TenantId tenant;
  int64_t id = 0;
};
using OldRows = Result<std::vector<OldRow>>;

void read_old(RowReader r, OldRow& row) { r >> row.tenant >> row.id; }

// Final for long enough, and not part of a tree whose root is still open.
OldRows old_executions(sql::Connection& db, int64_t before, int limit) {
  return query<OldRow>(db,
                       "SELECT tenant, id FROM execution AS old WHERE id < $1 AND status >= 16 "
                       "AND ended < $2 AND (root = id OR NOT EXISTS (SELECT 1 FROM execution AS r "
                       "WHERE r.id = old.root AND r.status < 16)) ORDER BY id LIMIT $3",
                       read_old, first_id_at(before), before, limit);
}

// Handled, and none of the executions that it caused is open.
OldRows old_events(sql::Connection& db, int64_t before, int limit) {
  return query<OldRow>(db,
                       "SELECT tenant, id FROM event AS old WHERE id < $1 AND id NOT IN "
                       "(SELECT subject FROM message WHERE kind = $2) AND NOT EXISTS "
                       "(SELECT 1 FROM enforcement AS n JOIN execution AS x ON x.id = n.execution "
                       "WHERE n.tenant = old.tenant AND n.event = old.id AND x.status < 16) "
                       "ORDER BY id LIMIT $3",
                       read_old, first_id_at(before), MessageKind::EnforceEvent, limit);
}

// From the oldest up to the first that is young: no gap, also when the clock has gone back.
// The newest entry stays for ever: the numbering goes on behind it.
OldRows old_changes(sql::Connection& db, int64_t before, int limit) {
  TRY(auto oldest, query<ChangeRow>(
                       db,
                       "SELECT tenant, seq, at FROM change_feed WHERE seq < "
                       "(SELECT max(seq) FROM change_feed) ORDER BY seq LIMIT $1",
                       +[](RowReader r, ChangeRow& c) { r >> c.tenant >> c.seq >> c.at; }, limit));
  std::vector<OldRow> old;
  for (const auto& change : oldest) {
    if (change.at >= before) break;
    old.push_back({change.tenant, change.seq});
  }
  return old;
}

OldRows old_quarantine(sql::Connection& db, int64_t before, int limit) {
  return query<OldRow>(db, "SELECT tenant, id FROM quarantine WHERE id < $1 ORDER BY id LIMIT $2",
                       read_old, first_id_at(before), limit);
}

Result<std::vector<DedupeRow>> old_keys(sql::Connection& db, int64_t before, int limit) {
  return query<DedupeRow>(
      db, "SELECT tenant, scope, key FROM dedupe WHERE expires < $1 ORDER BY expires LIMIT $2",
      +[](RowReader r, DedupeRow& d) { r >> d.tenant >> d.scope >> d.key; }, before, limit);
}

Result<std::vector<KeyName>> over_keys(sql::Connection& db, int64_t before, int limit) {
  return query<KeyName>(
      db,
      "SELECT tenant, scope, name FROM key_value WHERE expires > 0 AND expires < $1 "
      "ORDER BY expires LIMIT $2",
      +[](RowReader r, KeyName& k) { r >> k.tenant >> k.scope >> k.name; }, before, limit);
}

Result<void> remove(sql::Connection& db, const std::vector<OldRow>& rows, std::string_view text) {
  TRY(auto* statement, db.prepare(text));
  for (const auto& row : rows) TRY(statement->execute(row.id));
  return {};
}

Result<void> expire_one(sql::Connection& db, const Expire& request) {
  switch (request.kind) {
    case Expirable::Executions: {
      TRY(auto rows, old_executions(db, request.before, request.limit));
      TRY(remove(db, rows, "DELETE FROM output WHERE execution = $1"));
      TRY(remove(db, rows, "DELETE FROM result_blob WHERE execution = $1"));
      TRY(remove(db, rows, "DELETE FROM workflow WHERE execution = $1"));
      TRY(remove(db, rows, "DELETE FROM workflow_piece WHERE workflow = $1"));
      TRY(remove(db, rows, "DELETE FROM workflow_run WHERE workflow = $1"));
      TRY(remove(db, rows, "DELETE FROM inquiry WHERE id = $1"));
      return remove(db, rows, "DELETE FROM execution WHERE id = $1");
    }
    case Expirable::Events: {
      TRY(auto rows, old_events(db, request.before, request.limit));
      TRY(auto* enforcements,
          db.prepare("DELETE FROM enforcement WHERE tenant = $1 AND event = $2"));
      for (const auto& row : rows) TRY(enforcements->execute(row.tenant, row.id));
      return remove(db, rows, "DELETE FROM event WHERE id = $1");
    }
    case Expirable::Changes: {
      TRY(auto rows, old_changes(db, request.before, request.limit));
      return remove(db, rows, "DELETE FROM change_feed WHERE seq = $1");
    }
    case Expirable::Quarantine: {
      TRY(auto rows, old_quarantine(db, request.before, request.limit));
      return remove(db, rows, "DELETE FROM quarantine WHERE id = $1");
    }
    case Expirable::Dedupe: {
      TRY(auto rows, old_keys(db, request.before, request.limit));
      for (const auto& row : rows) TRY(release_key(db, row));
      return {};
    }
    case Expirable::Keys: {
      TRY(auto keys, over_keys(db, request.before, request.limit));
      TRY(auto* drop,
          db.prepare("DELETE FROM key_value WHERE tenant = $1 AND scope = $2 AND name = $3"));
      for (const auto& key : keys) TRY(drop->execute(key.tenant, key.scope, key.name));
      return {};
    }
  }
  return {};
}

}  // namespace

Result<void> expire(sql::Connection& db, Rows<Expire> requests) {
  for (const auto* request : requests) TRY(expire_one(db, *request));
  return {};
}

Result<bool> anything_to_expire(sql::Connection& db, Expirable kind, int64_t before) {
  auto any = [](const auto& rows) -> Result<bool> {
    if (!rows.ok()) return rows.error();
    return !rows->empty();
  };
  switch (kind) {
    case Expirable::Executions: return any(old_executions(db, before, 1));
    case Expirable::Events: return any(old_events(db, before, 1));
    case Expirable::Changes: return any(old_changes(db, before, 1));
    case Expirable::Quarantine: return any(old_quarantine(db, before, 1));
    case Expirable::Dedupe: return any(old_keys(db, before, 1));
    case Expirable::Keys: return any(over_keys(db, before, 1));
  }
  return false;
}

}  // namespace millrace::store
