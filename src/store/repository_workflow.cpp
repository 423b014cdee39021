// SPDX-License-Identifier: Apache-2.0
// Workflows and inquiries.
#include <fmt/format.h>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;
using sql::Blob;

namespace {

Result<void> expect_one(int64_t touched, std::string_view what, int64_t id, int64_t version) {
  if (touched == 1) return {};
  return Error(ErrorKind::Unavailable, sql::kStale,
               fmt::format("{} {}: version {} does not hold any more", what, id, version));
}

// An upsert that touches nothing has met a row of another tenant.
Result<void> expect_own(int64_t touched, std::string_view what, int64_t id) {
  if (touched == 1) return {};
  return Error(ErrorKind::Internal, sql::kConstraint,
               fmt::format("{} {}: belongs to another tenant", what, id));
}

}  // namespace

Result<void> write_workflows(sql::Connection& db, Rows<WorkflowRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO workflow (execution, tenant, shard, version, head) "
                               "VALUES ($1, $2, $3, $4, $5)"));
  TRY(auto* update, db.prepare("UPDATE workflow SET version = $1, head = $2 WHERE execution = $3 "
                               "AND tenant = $4 AND version = $5"));
  TRY(auto* touch, db.prepare("UPDATE workflow SET version = $1 WHERE execution = $2 AND "
                              "tenant = $3 AND version = $4"));
  for (const auto* r : rows) {
    if (r->version == 1) {
      TRY(insert->execute(r->execution, r->tenant, shard_of(r->tenant, r->root.value), r->version,
                          Blob{r->head_json}));
      continue;
    }
    int64_t touched = 0;
    if (r->head_json.empty()) {
      TRY(touched, touch->execute(r->version, r->execution, r->tenant, r->version - 1));
    } else {
      TRY(touched,
          update->execute(r->version, Blob{r->head_json}, r->execution, r->tenant, r->version - 1));
    }
    TRY(expect_one(touched, "workflow", r->execution.value, r->version - 1));
  }
  return {};
}

Result<void> write_workflow_pieces(sql::Connection& db, Rows<WorkflowPieceRow> rows) {
  TRY(auto* upsert,
      db.prepare(
          "INSERT INTO workflow_piece (workflow, kind, position, tenant, body) "
          "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workflow, kind, position) "
          "DO UPDATE SET body = excluded.body WHERE workflow_piece.tenant = excluded.tenant"));
  TRY(auto* cut, db.prepare("DELETE FROM workflow_piece WHERE workflow = $1 AND tenant = $2 "
                            "AND kind = $3 AND position >= $4"));
  for (const auto* r : rows) {
    if (r->cut) {
      TRY(cut->execute(r->workflow, r->tenant, r->kind, r->position));
    } else {
      TRY(int64_t touched,
          upsert->execute(r->workflow, r->kind, r->position, r->tenant, Blob{r->body_json}));
      TRY(expect_own(touched, "workflow", r->workflow.value));
    }
  }
  return {};
}

Result<void> write_workflow_runs(sql::Connection& db, Rows<WorkflowRunRow> rows) {
  TRY(auto* upsert,
      db.prepare("INSERT INTO workflow_run (workflow, task, route, item, tenant, execution, "
                 "status) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                 "ON CONFLICT (workflow, task, route, item) DO UPDATE SET "
                 "status = excluded.status, execution = CASE excluded.execution WHEN 0 THEN "
                 "workflow_run.execution ELSE excluded.execution END "
                 "WHERE workflow_run.tenant = excluded.tenant"));
  TRY(auto* reset, db.prepare("UPDATE workflow_run SET status = 0 WHERE workflow = $1 AND "
                              "tenant = $2 AND task = $3 AND route = $4 AND status <> 0"));
  for (const auto* r : rows) {
    if (r->reset) {
      TRY(reset->execute(r->workflow, r->tenant, r->task, r->route));
    } else {
      TRY(int64_t touched, upsert->execute(r->workflow, r->task, r->route, r->item, r->tenant,
                                           r->execution, r->status));
      TRY(expect_own(touched, "workflow", r->workflow.value));
    }
  }
  return {};
}

Result<void> write_inquiries(sql::Connection& db, Rows<InquiryRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO inquiry (id, tenant, status, prompt, route, users, roles, expires, "
                 "created, updated, version, responder, response_schema, response) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"));
  TRY(auto* update,
      db.prepare("UPDATE inquiry SET status = $1, updated = $2, version = $3, responder = $4, "
                 "response = $5 WHERE id = $6 AND tenant = $7 AND version = $8"));
  for (const auto* r : rows) {
    if (r->version == 1) {
      TRY(insert->execute(r->id, r->tenant, r->status, r->prompt, r->route, r->users_json,
                          r->roles_json, r->expires, r->created, r->updated, r->version,
                          r->responder, Blob{r->schema_json}, Blob{r->response_json}));
      continue;
    }
    TRY(int64_t touched, update->execute(r->status, r->updated, r->version, r->responder,
                                         Blob{r->response_json}, r->id, r->tenant, r->version - 1));
    TRY(expect_one(touched, "inquiry", r->id.value, r->version - 1));
  }
  return {};
}

}  // namespace millrace::store
