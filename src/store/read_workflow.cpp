// SPDX-License-Identifier: Apache-2.0
#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using namespace kernel;

namespace {

struct Piece {
  PieceKind kind = PieceKind::Context;
  std::string body;
};
void read_piece(RowReader r, Piece& piece) { r >> piece.kind >> piece.body; }

}  // namespace

Result<std::optional<StoredWorkflow>> load_workflow(sql::Connection& db, TenantId tenant,
                                                    ExecutionId id) {
  static const auto text = select<WorkflowRow>("WHERE execution = $1 AND tenant = $2");
  TRY(auto head, read_one<WorkflowRow>(db, text, id, tenant));
  std::optional<StoredWorkflow> stored;
  if (!head) return stored;
  stored.emplace().head = std::move(*head);
  TRY(auto pieces, query<Piece>(db,
                                "SELECT kind, body FROM workflow_piece WHERE workflow = $1 "
                                "AND tenant = $2 ORDER BY kind, position",
                                read_piece, id, tenant));
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
  static const auto all =
      select<WorkflowRunRow>("WHERE workflow = $1 AND tenant = $2 ORDER BY task, route, item");
  static const auto open = select<WorkflowRunRow>(
      "AS w WHERE workflow = $1 AND tenant = $2 AND EXISTS (SELECT 1 FROM execution AS e WHERE "
      "e.id = w.execution AND e.tenant = w.tenant AND e.status < $3) ORDER BY task, route, item");
  if (open_only) return read_all<WorkflowRunRow>(db, open, workflow, tenant, kFirstFinal);
  return read_all<WorkflowRunRow>(db, all, workflow, tenant);
}

Result<std::vector<WorkflowRunRow>> task_runs(sql::Connection& db, TenantId tenant,
                                              ExecutionId workflow, const std::string& task,
                                              int32_t route) {
  static const auto text = select<WorkflowRunRow>(
      "WHERE workflow = $1 AND tenant = $2 AND task = $3 AND route = $4 ORDER BY item");
  return read_all<WorkflowRunRow>(db, text, workflow, tenant, task, route);
}

Result<std::optional<InquiryRow>> find_inquiry(sql::Connection& db, TenantId tenant, InquiryId id) {
  static const auto text = select<InquiryRow>("WHERE id = $1 AND tenant = $2");
  return read_one<InquiryRow>(db, text, id, tenant);
}

Result<std::vector<InquiryRow>> list_inquiries(sql::Connection& db, TenantId tenant,
                                               std::optional<InquiryStatus> status, Page page) {
  static const auto any =
      select<InquiryRow>("WHERE id < $1 AND +tenant = $2 ORDER BY id DESC LIMIT $3");
  static const auto in_status =
      select<InquiryRow>("WHERE tenant = $1 AND status = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
  int64_t before = page.before > 0 ? page.before : INT64_MAX;
  if (!status) return read_all<InquiryRow>(db, any, before, tenant, page.limit);
  return read_all<InquiryRow>(db, in_status, tenant, *status, before, page.limit);
}

}  // namespace millrace::store
