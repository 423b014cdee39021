// SPDX-License-Identifier: Apache-2.0
// Events, enforcements, executions, their queue and output.
#include <fmt/format.h>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;
using sql::Blob;

Result<void> insert_events(sql::Connection& db, Rows<EventRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO event (id, tenant, event_trigger, source, source_id, type, trace, "
                 "replay_of, created, trigger_parameters, payload) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->trigger, r->source, r->source_id, r->type, r->trace,
                        r->replay_of, r->created, Blob{r->trigger_parameters_json},
                        Blob{r->payload_json}));
  }
  return {};
}

Result<void> insert_enforcements(sql::Connection& db, Rows<EnforcementRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO enforcement (id, tenant, rule, rule_ref, rule_revision, event, "
                 "execution, status, error, created, verdicts) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->rule, r->rule_ref, r->rule_revision, r->event,
                        r->execution, r->status, r->error, r->created, Blob{r->verdicts_json}));
  }
  return {};
}

Result<void> insert_executions(sql::Connection& db, Rows<ExecutionRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
                 "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, "
                 "original, timeout_ms, created, updated, started, ended, version, requested_by, "
                 "trace, held, parameters, env, result, result_size, task, task_route, "
                 "task_item) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
                 "$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, "
                 "$31, $32)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, shard_of(r->tenant, r->root.value), r->action, r->release,
                        r->status, r->failure, r->effect_class, r->priority, r->attempt, r->epoch,
                        r->worker, r->parent, r->root, r->enforcement, r->original, r->timeout_ms,
                        r->created, r->updated, r->started, r->ended, r->version, r->identity,
                        r->trace, r->held, Blob{r->parameters_json}, Blob{r->env_json},
                        Blob{r->result_json}, r->result_size, r->task, r->task_route,
                        r->task_item));
  }
  return {};
}

Result<void> update_executions(sql::Connection& db, Rows<ExecutionRow> rows) {
  TRY(auto* update,
      db.prepare("UPDATE execution SET status = $1, failure = $2, attempt = $3, epoch = $4, "
                 "worker = $5, updated = $6, started = $7, ended = $8, version = $9, held = $10, "
                 "result = $11, result_size = $12 WHERE id = $13 AND tenant = $14 AND "
                 "version = $15 AND status < 16"));
  for (const auto* r : rows) {
    TRY(int64_t touched,
        update->execute(r->status, r->failure, r->attempt, r->epoch, r->worker, r->updated,
                        r->started, r->ended, r->version, r->held, Blob{r->result_json},
                        r->result_size, r->id, r->tenant, r->version - 1));
    if (touched != 1) {
      return Error(ErrorKind::Unavailable, sql::kStale,
                   fmt::format("execution {}: version {} does not hold any more, or it is final",
                               r->id.value, r->version - 1));
    }
  }
  return {};
}

Result<void> insert_queue(sql::Connection& db, Rows<QueueRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO queue (execution, tenant, shard, queue_rank) "
                               "VALUES ($1, $2, $3, $4)"));
  for (const auto* r : rows) {
    ExecutionId root = r->root ? r->root : r->execution;
    TRY(insert->execute(r->execution, r->tenant, shard_of(r->tenant, root.value), r->rank));
  }
  return {};
}

Result<void> delete_queue(sql::Connection& db, Rows<Of<ExecutionId>> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM queue WHERE execution = $1 AND tenant = $2"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
  return {};
}

Result<void> insert_result_blobs(sql::Connection& db, Rows<ResultBlobRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO result_blob (execution, tenant, bytes) VALUES ($1, $2, $3)"));
  for (const auto* r : rows) TRY(insert->execute(r->execution, r->tenant, Blob{r->bytes}));
  return {};
}

Result<void> insert_outputs(sql::Connection& db, Rows<OutputRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO output (execution, attempt, stream, tenant, size, dropped, file, "
                 "bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->execution, r->attempt, r->stream, r->tenant, r->content.size,
                        r->content.dropped, r->content.blob, Blob{r->content.bytes}));
  }
  return {};
}

}  // namespace millrace::store
