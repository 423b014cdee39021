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

const std::string& workflow_text() {
  static const auto text = select<WorkflowRow>("WHERE execution = $1 AND tenant = $2");
  return text;
}
constexpr std::string_view kPiecesText =
    "SELECT kind, body FROM workflow_piece WHERE workflow = $1 AND tenant = $2 ORDER BY kind, "
    "position";
const std::string& runs_text() {
  static const auto text =
      select<WorkflowRunRow>("WHERE workflow = $1 AND tenant = $2 ORDER BY task, route, item");
  return text;
}
const std::string& open_runs_text() {
  static const auto text = select<WorkflowRunRow>(
      "AS w WHERE workflow = $1 AND tenant = $2 AND (SELECT e.status FROM execution AS e WHERE "
      "e.id = w.execution AND e.tenant = w.tenant) < $3 ORDER BY task, route, item");
  return text;
}

}  // namespace

Result<std::optional<StoredWorkflow>> load_workflow(sql::Connection& db, TenantId tenant,
                                                    ExecutionId id) {
  TRY(auto head, read_one<WorkflowRow>(db, workflow_text(), id, tenant));
  std::optional<StoredWorkflow> stored;
  if (!head) return stored;
  stored.emplace().head = std::move(*head);
  TRY(auto pieces, query<Piece>(db, kPiecesText, read_piece, id, tenant));
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
  if (open_only) {
    return read_all<WorkflowRunRow>(db, open_runs_text(), workflow, tenant, kFirstFinal);
  }
  return read_all<WorkflowRunRow>(db, runs_text(), workflow, tenant);
}

Result<void> ahead_of_workflows(sql::Connection& db, std::span<const Of<ExecutionId>> workflows) {
  auto by_id = [](sql::Batch& batch, Of<ExecutionId> of) { batch.add(of.id, of.tenant); };
  TRY(read_ahead(db, workflow_text(), workflows, by_id));
  TRY(read_ahead(db, kPiecesText, workflows, by_id));
  TRY(read_ahead(db, runs_text(), workflows, by_id));
  return read_ahead(db, open_runs_text(), workflows, [](sql::Batch& batch, Of<ExecutionId> of) {
    batch.add(of.id, of.tenant, kFirstFinal);
  });
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
  static const auto in_status = select<InquiryRow>(
      "WHERE tenant = $1 AND status = $2 AND id > 0 AND id < $3 "
      "ORDER BY status DESC, id DESC LIMIT $4");
  int64_t before = page.before > 0 ? page.before : INT64_MAX;
  if (!status) return read_all<InquiryRow>(db, any, before, tenant, page.limit);
  return read_all<InquiryRow>(db, in_status, tenant, *status, before, page.limit);
}

}  // namespace millrace::store
