// SPDX-License-Identifier: Apache-2.0
#include "store/retention.h"

#include <algorithm>

#include "store/repository.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

using FoundRows = Result<std::vector<Expired>>;

void read_old(RowReader r, Expired& row) { r >> row.tenant >> row.id; }

// A tree goes when its root has ended long enough ago: leaves first, the root last, so that what is
// left of a large one is found again.
class OldTrees {
 public:
  OldTrees(sql::Connection& db, size_t limit) : db_(db), limit_(limit) {}

  Result<void> take(ShardSet shards, int64_t before) {
    TRY(auto roots,
        query<Expired>(db_,
                       "SELECT tenant, id FROM execution /*every tenant: sweep*/ WHERE parent = 0 "
                       "AND ended > 0 AND ended < $1 AND ($2 >> shard) & 1 = 1 "
                       "ORDER BY ended, id LIMIT $3",
                       read_old, before, shards.bits(), limit_));
    for (const auto& root : roots) {
      if (rows_.size() == limit_) break;
      TRY(take_tree(root));
    }
    return {};
  }
  std::vector<Expired> rows() && { return std::move(rows_); }

 private:
  struct Node {
    int64_t id = 0;
    ExecutionStatus status = ExecutionStatus::Succeeded;
    bool is_expanded = false;
  };

  Result<void> take_tree(const Expired& root) {
    std::vector<Node> path{{root.id}};
    while (!path.empty() && rows_.size() < limit_) {
      Node& node = path.back();
      // Not below a root that has ended (K9); if it is there, nothing above it goes.
      if (!is_final(node.status)) return {};
      if (node.is_expanded) {
        rows_.push_back({.kind = Expirable::Executions, .tenant = root.tenant, .id = node.id});
        path.pop_back();
        continue;
      }
      node.is_expanded = true;
      // When there are more children than this, the limit is reached before the node's turn comes.
      TRY(auto children,
          query<Node>(
              db_,
              "SELECT id, status FROM execution WHERE tenant = $1 AND parent = $2 AND id > 0 AND "
              "id < $3 AND parent <> 0 ORDER BY parent, id LIMIT $4",
              +[](RowReader r, Node& child) { r >> child.id >> child.status; }, root.tenant,
              node.id, INT64_MAX, limit_ - rows_.size()));
      path.insert(path.end(), children.rbegin(), children.rend());
    }
    return {};
  }

  sql::Connection& db_;
  size_t limit_;
  std::vector<Expired> rows_;
};

FoundRows old_executions(sql::Connection& db, ShardSet shards, const Expire& request) {
  OldTrees trees(db, static_cast<size_t>(request.limit));
  TRY(trees.take(shards, request.before));
  return std::move(trees).rows();
}

// From the oldest up to the first that is young: no gap, also when the clock has gone back.
// The newest entry stays for ever: the numbering goes on behind it.
FoundRows old_changes(sql::Connection& db, const Expire& request) {
  struct Old {
    Expired row;
    int64_t at = 0;
  };
  TRY(auto oldest, query<Old>(
                       db,
                       "SELECT tenant, seq, at FROM change_feed /*every tenant: sweep*/ WHERE "
                       "seq < (SELECT seq FROM change_feed ORDER BY seq DESC LIMIT 1) "
                       "ORDER BY seq LIMIT $1",
                       +[](RowReader r, Old& old) { r >> old.row.tenant >> old.row.id >> old.at; },
                       request.limit));
  std::vector<Expired> rows;
  for (auto& old : oldest) {
    if (old.at >= request.before) break;
    rows.push_back(std::move(old.row));
  }
  return rows;
}

// The end of a run that could not be taken stays for as long as its execution is open: nothing else
// says that the run has begun (ends_in_quarantine).
FoundRows old_quarantine(sql::Connection& db, const Expire& request) {
  return query<Expired>(db,
                        "SELECT tenant, id FROM quarantine AS q /*every tenant: sweep*/ WHERE "
                        "id < $1 AND (kind <> 'finish_run' OR NOT EXISTS (SELECT 1 FROM execution "
                        "AS x WHERE x.tenant = q.tenant AND x.id = q.subject AND x.status < $2)) "
                        "ORDER BY id LIMIT $3",
                        read_old, first_id_at(request.before), kFirstFinal, request.limit);
}

FoundRows old_operations(sql::Connection& db, const Expire& request) {
  return query<Expired>(db,
                        "SELECT tenant, id FROM operation /*every tenant: sweep*/ WHERE id < $1 "
                        "ORDER BY id LIMIT $2",
                        read_old, first_id_at(request.before), request.limit);
}

void read_named(RowReader r, Expired& row) {
  r >> row.tenant >> row.scope >> row.name >> row.expires;
}

FoundRows over_dedupe(sql::Connection& db, const Expire& request) {
  return query<Expired>(db,
                        "SELECT tenant, scope, key, expires FROM dedupe /*every tenant: sweep*/ "
                        "WHERE expires < $1 ORDER BY expires LIMIT $2",
                        read_named, request.before, request.limit);
}

FoundRows over_keys(sql::Connection& db, const Expire& request) {
  return query<Expired>(db,
                        "SELECT tenant, scope, name, expires FROM key_value "
                        "/*every tenant: sweep*/ WHERE expires > 0 AND expires < $1 "
                        "ORDER BY expires LIMIT $2",
                        read_named, request.before, request.limit);
}

FoundRows idle_gauges(sql::Connection& db, const Expire& request) {
  return query<Expired>(db,
                        "SELECT tenant, '', name, idle_at FROM gauge /*every tenant: sweep*/ WHERE "
                        "held = 0 AND waiting = 0 AND idle_at < $1 ORDER BY idle_at LIMIT $2",
                        read_named, request.before, request.limit);
}

struct OldEvent {
  Expired row;
  bool must_stay = false;
};

// The events with ids above and below these, and which of them an open execution or a waiting
// message still needs. A message that enforces an event is made in the decision that made the
// event: only messages as old count. The execution is looked up by its id, whatever is open.
Result<std::vector<OldEvent>> events_between(sql::Connection& db, int64_t above, int64_t below,
                                             const Expire& request, size_t limit) {
  constexpr int64_t kOneDecisionMs = 60'000;
  return query<OldEvent>(
      db,
      "SELECT e.tenant, e.id, e.id IN (SELECT m.subject FROM message AS m WHERE m.kind = $1 AND "
      "m.id < $2) OR EXISTS (SELECT 1 FROM enforcement AS n WHERE "
      "n.tenant = e.tenant AND n.event = e.id AND (SELECT x.status FROM execution AS x WHERE "
      "x.id = n.execution AND x.tenant = n.tenant) < $3) FROM event AS e /*every tenant: sweep*/ "
      "WHERE e.id > $4 AND e.id < $5 "
      "ORDER BY e.id LIMIT $6",
      +[](RowReader r, OldEvent& old) { r >> old.row.tenant >> old.row.id >> old.must_stay; },
      MessageKind::EnforceEvent, first_id_at(request.before + kOneDecisionMs), kFirstFinal, above,
      below, limit);
}

}  // namespace

Result<Retention::Due> Retention::old_events(sql::Connection& db, const Expire& request) {
  auto limit = static_cast<size_t>(request.limit);
  Due due;
  auto take = [&](std::vector<OldEvent>& events) {
    for (auto& event : events) {
      if (!event.must_stay) due.rows.push_back(std::move(event.row));
    }
  };
  TRY(auto fresh, events_between(db, looked_to_, first_id_at(request.before), request, limit));
  size_t left = limit - fresh.size();
  if (left == 0) {
    looked_to_ = fresh.back().row.id;
    take(fresh);
    due.more = true;
    return due;
  }
  TRY(auto again, events_between(db, look_again_, looked_to_ + 1, request, left));
  look_again_ = again.size() < left ? 0 : again.back().row.id;
  if (!fresh.empty()) looked_to_ = fresh.back().row.id;
  take(fresh);
  take(again);
  due.more = due.rows.size() == limit;
  return due;
}

Result<Retention::Due> Retention::due(sql::Connection& db, ShardSet shards, const Expire& request) {
  if (request.kind != Expirable::Executions && !shards.has(0)) return Due();
  if (request.kind == Expirable::Events) return old_events(db, request);
  auto find = [&]() -> FoundRows {
    switch (request.kind) {
      case Expirable::Executions: return old_executions(db, shards, request);
      case Expirable::Changes: return old_changes(db, request);
      case Expirable::Quarantine: return old_quarantine(db, request);
      case Expirable::Dedupe: return over_dedupe(db, request);
      case Expirable::Keys: return over_keys(db, request);
      case Expirable::Operations: return old_operations(db, request);
      case Expirable::Gauges: return idle_gauges(db, request);
      case Expirable::Events: break;
    }
    return std::vector<Expired>();
  };
  Due due;
  TRY(due.rows, find());
  for (auto& row : due.rows) row.kind = request.kind;
  due.more = due.rows.size() == static_cast<size_t>(request.limit);
  return due;
}

namespace {

using ExpiredRows = std::vector<const Expired*>;

// `text` takes the id and the tenant.
Result<void> remove(sql::Connection& db, const ExpiredRows& rows, std::string_view text) {
  TRY(auto batch, db.batch(text));
  for (const auto* row : rows) batch->add(row->id, row->tenant);
  return batch->put_off({});
}

Result<void> remove_executions(sql::Connection& db, const ExpiredRows& rows) {
  TRY(remove(db, rows, "DELETE FROM output WHERE execution = $1 AND tenant = $2"));
  TRY(remove(db, rows, "DELETE FROM result_blob WHERE execution = $1 AND tenant = $2"));
  TRY(remove(db, rows, "DELETE FROM workflow WHERE execution = $1 AND tenant = $2"));
  TRY(remove(db, rows, "DELETE FROM workflow_piece WHERE workflow = $1 AND tenant = $2"));
  TRY(remove(db, rows, "DELETE FROM workflow_run WHERE workflow = $1 AND tenant = $2"));
  TRY(remove(db, rows, "DELETE FROM inquiry WHERE id = $1 AND tenant = $2"));
  return remove(db, rows, "DELETE FROM execution WHERE id = $1 AND tenant = $2");
}

// One that was taken anew since is another: its time has not come.
Result<void> remove_named(sql::Connection& db, const ExpiredRows& rows, std::string_view text) {
  TRY(auto batch, db.batch(text));
  for (const auto* row : rows) batch->add(row->tenant, row->scope, row->name, row->expires);
  return batch->put_off({});
}

// One that counts again stays.
Result<void> remove_gauges(sql::Connection& db, const ExpiredRows& rows) {
  TRY(auto batch, db.batch("DELETE FROM gauge WHERE tenant = $1 AND name = $2 AND +idle_at = $3 "
                           "AND +held = 0 AND +waiting = 0"));
  for (const auto* row : rows) batch->add(row->tenant, row->name, row->expires);
  return batch->put_off({});
}

Result<void> remove_kind(sql::Connection& db, Expirable kind, const ExpiredRows& rows) {
  switch (kind) {
    case Expirable::Executions: return remove_executions(db, rows);
    case Expirable::Events:
      TRY(remove(db, rows, "DELETE FROM enforcement WHERE event = $1 AND tenant = $2"));
      return remove(db, rows, "DELETE FROM event WHERE id = $1 AND tenant = $2");
    case Expirable::Changes:
      return remove(db, rows, "DELETE FROM change_feed WHERE seq = $1 AND tenant = $2");
    case Expirable::Quarantine:
      return remove(db, rows, "DELETE FROM quarantine WHERE id = $1 AND tenant = $2");
    case Expirable::Operations:
      return remove(db, rows, "DELETE FROM operation WHERE id = $1 AND tenant = $2");
    case Expirable::Dedupe:
      return remove_named(db, rows,
                          "DELETE FROM dedupe WHERE tenant = $1 AND scope = $2 AND key = $3 AND "
                          "+expires = $4");
    case Expirable::Gauges: return remove_gauges(db, rows);
    case Expirable::Keys:
      return remove_named(db, rows,
                          "DELETE FROM key_value WHERE tenant = $1 AND scope = $2 AND name = $3 "
                          "AND expires = $4");
  }
  return {};
}

}  // namespace

template <>
Result<void> write_rows<&Changes::expired>(sql::Connection& db, Rows<Expired> rows) {
  using enum Expirable;
  for (auto kind : {Events, Executions, Changes, Dedupe, Quarantine, Keys, Operations, Gauges}) {
    ExpiredRows of_kind;
    std::ranges::copy_if(rows, std::back_inserter(of_kind),
                         [&](const Expired* row) { return row->kind == kind; });
    if (!of_kind.empty()) TRY(remove_kind(db, kind, of_kind));
  }
  return {};
}

}  // namespace millrace::store
