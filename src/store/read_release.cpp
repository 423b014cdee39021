// SPDX-License-Identifier: Apache-2.0
// Executions and the pack releases that they are pinned to.
#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

void read_id(RowReader r, ExecutionId& id) { r >> id; }

}  // namespace

Result<std::vector<std::string>> releases_waited_for(sql::Connection& db, TenantId tenant) {
  return query<std::string>(
      db,
      "SELECT DISTINCT pack_release FROM execution WHERE tenant = $1 AND status = $2 AND "
      "failure = $3",
      +[](RowReader r, std::string& digest) { r >> digest; }, tenant,
      ExecutionStatus::NeedsDecision, FailureClass::NoRelease);
}

Result<std::vector<ExecutionId>> executions_held_for(sql::Connection& db, ShardSet shards,
                                                     TenantId tenant, const std::string& digest,
                                                     int limit) {
  return query<ExecutionId>(db,
                            "SELECT id FROM execution WHERE tenant = $1 AND status = $2 AND "
                            "failure = $3 AND pack_release = $4 AND ($5 >> shard) & 1 = 1 "
                            "ORDER BY id LIMIT $6",
                            read_id, tenant, ExecutionStatus::NeedsDecision,
                            FailureClass::NoRelease, digest, shards.bits(), limit);
}

Result<std::vector<ExecutionId>> executions_pinned_to(sql::Connection& db, ShardSet shards,
                                                      TenantId tenant, const std::string& digest,
                                                      int limit) {
  return query<ExecutionId>(
      db,
      "SELECT id FROM execution AS e WHERE e.tenant = $1 AND e.status < $2 AND "
      "e.pack_release = $3 AND e.failure <> $4 AND e.worker = 0 AND ($5 >> e.shard) & 1 = 1 AND "
      "(e.status = $6 OR EXISTS (SELECT 1 FROM workflow AS w WHERE w.execution = e.id AND "
      "w.tenant = $1)) ORDER BY e.id LIMIT $7",
      read_id, tenant, ExecutionStatus::Succeeded, digest, FailureClass::NoRelease, shards.bits(),
      ExecutionStatus::Requested, limit);
}

}  // namespace millrace::store
