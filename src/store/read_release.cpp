// SPDX-License-Identifier: Apache-2.0
// Executions and the pack releases that they are pinned to.
#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

// As the index execution_held says it.
static_assert(static_cast<int>(FailureClass::NoRelease) == 8);

void read_id(RowReader r, ExecutionId& id) { r >> id; }

}  // namespace

Result<std::vector<std::string>> releases_waited_for(sql::Connection& db, TenantId tenant) {
  return query<std::string>(
      db, "SELECT DISTINCT pack_release FROM execution WHERE tenant = $1 AND failure = 8",
      +[](RowReader r, std::string& digest) { r >> digest; }, tenant);
}

Result<std::vector<ExecutionId>> executions_held_for(sql::Connection& db, ShardSet shards,
                                                     TenantId tenant, const std::string& digest,
                                                     ExecutionId after, size_t limit) {
  return query<ExecutionId>(db,
                            "SELECT id FROM execution WHERE tenant = $1 AND pack_release = $2 AND "
                            "id > $3 AND id < $4 AND failure = 8 AND "
                            "($5 >> shard) & 1 = 1 ORDER BY pack_release, id LIMIT $6",
                            read_id, tenant, digest, after, INT64_MAX, shards.bits(),
                            static_cast<int64_t>(limit));
}

Result<std::vector<ExecutionId>> executions_pinned_to(sql::Connection& db, ShardSet shards,
                                                      TenantId tenant, const std::string& digest,
                                                      ExecutionId after, size_t limit) {
  return query<ExecutionId>(
      db,
      "SELECT id FROM execution AS e /*every tenant: releases*/ WHERE e.tenant = $1 AND e.status < "
      "$2 AND "
      "e.pack_release = $3 AND e.failure <> $4 AND e.worker = 0 AND ($5 >> e.shard) & 1 = 1 AND "
      "(e.status = $6 OR EXISTS (SELECT 1 FROM workflow AS w WHERE w.execution = e.id AND "
      "w.tenant = $1)) AND e.id > $7 ORDER BY e.id LIMIT $8",
      read_id, tenant, ExecutionStatus::Succeeded, digest, FailureClass::NoRelease, shards.bits(),
      ExecutionStatus::Requested, after, static_cast<int64_t>(limit));
}

}  // namespace millrace::store
