// SPDX-License-Identifier: Apache-2.0
#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

#define RUN_ALL "SELECT workflow, task, route, item, tenant, execution, status FROM workflow_run "

void read_run(RowReader r, WorkflowRunRow& run) {
  r >> run.workflow >> run.task >> run.route >> run.item >> run.tenant >> run.execution >>
      run.status;
}

#define INQUIRY_ALL                                                                     \
  "SELECT id, tenant, status, prompt, route, users, roles, expires, created, updated, " \
  "version, responder, response_schema, response FROM inquiry "

void read_inquiry(RowReader r, InquiryRow& q) {
  r >> q.id >> q.tenant >> q.status >> q.prompt >> q.route >> q.users_json >> q.roles_json >>
      q.expires >> q.created >> q.updated >> q.version >> q.responder >> q.schema_json >>
      q.response_json;
}

struct Piece {
  PieceKind kind = PieceKind::Context;
  std::string body;
};

}  // namespace

Result<std::optional<StoredWorkflow>> load_workflow(sql::Connection& db, TenantId tenant,
                                                    ExecutionId id) {
  auto read_head = [](RowReader r, WorkflowRow& w) {
    r >> w.execution >> w.tenant >> w.version >> w.head_json;
  };
  TRY(auto head,
      query_one<WorkflowRow>(
          db,
          "SELECT execution, tenant, version, head FROM workflow WHERE execution = $1 AND "
          "tenant = $2",
          +read_head, id, tenant));
  std::optional<StoredWorkflow> stored;
  if (!head) return stored;
  stored.emplace().head = std::move(*head);
  auto read_piece = [](RowReader r, Piece& p) { r >> p.kind >> p.body; };
  TRY(auto pieces, query<Piece>(db,
                                "SELECT kind, body FROM workflow_piece WHERE workflow = $1 "
                                "AND tenant = $2 ORDER BY kind, position",
                                +read_piece, id, tenant));
  for (auto& piece : pieces) {
    auto& list = piece.kind == PieceKind::Context ? stored->contexts
                 : piece.kind == PieceKind::Entry ? stored->entries
                                                  : stored->errors;
    list.push_back(std::move(piece.body));
  }
  return stored;
}

Result<std::vector<WorkflowRunRow>> workflow_runs(sql::Connection& db, TenantId tenant,
                                                  ExecutionId workflow, bool open_only) {
  if (!open_only) {
    return query<WorkflowRunRow>(db,
                                 RUN_ALL
                                 "WHERE workflow = $1 AND tenant = $2 "
                                 "ORDER BY task, route, item",
                                 read_run, workflow, tenant);
  }
  return query<WorkflowRunRow>(
      db,
      "SELECT w.workflow, w.task, w.route, w.item, w.tenant, w.execution, w.status "
      "FROM workflow_run AS w JOIN execution AS e ON e.id = w.execution AND e.tenant = w.tenant "
      "WHERE w.workflow = $1 AND w.tenant = $2 AND e.status < 16 ORDER BY w.task, w.route, w.item",
      read_run, workflow, tenant);
}

Result<std::vector<WorkflowRunRow>> task_runs(sql::Connection& db, TenantId tenant,
                                              ExecutionId workflow, const std::string& task,
                                              int32_t route) {
  return query<WorkflowRunRow>(
      db, RUN_ALL "WHERE workflow = $1 AND tenant = $2 AND task = $3 AND route = $4 ORDER BY item",
      read_run, workflow, tenant, task, route);
}

Result<std::optional<InquiryRow>> find_inquiry(sql::Connection& db, TenantId tenant, InquiryId id) {
  return query_one<InquiryRow>(db, INQUIRY_ALL "WHERE id = $1 AND tenant = $2", read_inquiry, id,
                               tenant);
}

Result<std::vector<InquiryRow>> list_inquiries(sql::Connection& db, TenantId tenant,
                                               std::optional<InquiryStatus> status, Page page) {
  int64_t before = page.before > 0 ? page.before : INT64_MAX;
  if (!status) {
    return query<InquiryRow>(db,
                             INQUIRY_ALL "WHERE id < $1 AND +tenant = $2 ORDER BY id DESC LIMIT $3",
                             read_inquiry, before, tenant, page.limit);
  }
  return query<InquiryRow>(
      db, INQUIRY_ALL "WHERE tenant = $1 AND status = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
      read_inquiry, tenant, *status, before, page.limit);
}

}  // namespace millrace::store
