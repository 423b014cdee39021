// SPDX-License-Identifier: Apache-2.0
// Workflows and inquiries.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;
using sql::Blob;

template <>
Result<void> write_rows<&Changes::workflows>(sql::Connection& db, Rows<WorkflowRow> rows) {
  static const auto text = insert<WorkflowRow>();
  TRY(auto made, db.batch(text));
  // Without a head only the version rises.
  TRY(auto moved, db.batch("UPDATE workflow SET version = $4, head = CASE length($5) WHEN 0 THEN "
                           "head ELSE $5 END "
                           "WHERE execution = $1 AND tenant = $2 AND version = $3"));
  std::vector<const WorkflowRow*> later;
  bool any_made = false;
  for (const auto* r : rows) {
    if (r->version == 1) {
      add_row(*made, *r);
      any_made = true;
    } else {
      later.push_back(r);
    }
  }
  if (any_made) TRY(made->put_off({}));
  if (later.empty()) return {};
  for (const auto* r : later) {
    moved->add(r->execution, r->tenant, r->version - 1, r->version, Blob{r->head_json});
  }
  return expect_touched(*moved, Rows<WorkflowRow>(later), [](const WorkflowRow& r) {
    return stale(fmt::format("workflow {}: version {} does not hold any more", r.execution.value,
                             r.version - 1));
  });
}

// Cuts go first, and what a later cut of the batch takes away is not written at all: the outcome is
// that of one row after the other.
template <>
Result<void> write_rows<&Changes::workflow_pieces>(sql::Connection& db,
                                                   Rows<WorkflowPieceRow> rows) {
  static const auto insert_text = insert<WorkflowPieceRow>();
  static const auto text = insert<WorkflowPieceRow>(
      "ON CONFLICT (workflow, kind, position) DO UPDATE SET " + excluded<WorkflowPieceRow>() +
      " WHERE workflow_piece.tenant = excluded.tenant");
  std::map<std::pair<ExecutionId, PieceKind>, int64_t> cut_from;
  std::vector<const WorkflowPieceRow*> kept;  // last first
  TRY(auto cuts, db.batch("DELETE FROM workflow_piece WHERE workflow = $1 AND tenant = $2 AND "
                          "kind = $3 AND position >= $4"));
  for (const auto* r : std::views::reverse(rows)) {
    if (r->cut) {
      auto [cut, is_new] = cut_from.try_emplace({r->workflow, r->kind}, r->position);
      cut->second = std::min(cut->second, r->position);
      cuts->add(r->workflow, r->tenant, r->kind, r->position);
      continue;
    }
    auto cut = cut_from.empty() ? cut_from.end() : cut_from.find({r->workflow, r->kind});
    if (cut == cut_from.end() || r->position < cut->second) kept.push_back(r);
  }
  if (!cut_from.empty()) TRY(cuts->put_off({}));
  if (kept.empty()) return {};
  std::ranges::reverse(kept);
  TRY(auto made, db.batch(insert_text));
  TRY(auto upserts, db.batch(text));
  std::vector<const WorkflowPieceRow*> later;
  for (const auto* r : kept) {
    if (!r->is_new) later.push_back(r);
    add_row(r->is_new ? *made : *upserts, *r);
  }
  if (later.size() < kept.size()) TRY(made->put_off({}));
  if (later.empty()) return {};
  return expect_touched(*upserts, Rows<WorkflowPieceRow>(later), [](const WorkflowPieceRow& r) {
    return not_its_own("workflow", r.workflow.str());
  });
}

// Resets go first, and an item that a later reset of the batch does not count any more is written
// so: the outcome is that of one row after the other.
template <>
Result<void> write_rows<&Changes::workflow_runs>(sql::Connection& db, Rows<WorkflowRunRow> rows) {
  static const auto insert_text = insert<WorkflowRunRow>();
  static const auto text = insert<WorkflowRunRow>(
      "ON CONFLICT (workflow, task, route, item) DO UPDATE SET status = excluded.status, "
      "execution = CASE excluded.execution WHEN 0 THEN workflow_run.execution ELSE "
      "excluded.execution END WHERE workflow_run.tenant = excluded.tenant");
  std::set<std::tuple<ExecutionId, std::string_view, int32_t>> reset;
  std::vector<std::pair<const WorkflowRunRow*, int32_t>> runs;  // with their status; last first
  TRY(auto resets, db.batch("UPDATE workflow_run SET status = 0 WHERE workflow = $1 AND "
                            "tenant = $2 AND task = $3 AND route = $4 AND status <> 0"));
  for (const auto* r : std::views::reverse(rows)) {
    if (r->reset) {
      reset.emplace(r->workflow, r->task, r->route);
      resets->add(r->workflow, r->tenant, r->task, r->route);
      continue;
    }
    bool over = !reset.empty() && reset.contains({r->workflow, r->task, r->route});
    runs.emplace_back(r, over ? 0 : r->status);
  }
  if (!reset.empty()) TRY(resets->put_off({}));
  if (runs.empty()) return {};
  TRY(auto made, db.batch(insert_text));
  TRY(auto upserts, db.batch(text));
  std::vector<const WorkflowRunRow*> later;
  for (auto [r, status] : std::views::reverse(runs)) {
    if (!r->is_new) later.push_back(r);
    auto& batch = r->is_new ? *made : *upserts;
    batch.add(r->workflow, r->task, r->route, r->item, r->tenant, r->execution, status);
  }
  if (later.size() < runs.size()) TRY(made->put_off({}));
  if (later.empty()) return {};
  return expect_touched(*upserts, Rows<WorkflowRunRow>(later), [](const WorkflowRunRow& r) {
    return not_its_own("workflow", r.workflow.str());
  });
}

template <>
Result<void> write_rows<&Changes::inquiries>(sql::Connection& db, Rows<InquiryRow> rows) {
  static const auto insert_text = insert<InquiryRow>();
  static const auto update_text =
      update<InquiryRow>("WHERE id = $1 AND tenant = $2 AND version = $3");
  TRY(auto made, db.batch(insert_text));
  TRY(auto changed, db.batch(update_text));
  std::vector<const InquiryRow*> later;
  bool any_made = false;
  for (const auto* r : rows) {
    if (r->version == 1) {
      add_row(*made, *r);
      any_made = true;
    } else {
      later.push_back(r);
    }
  }
  if (any_made) TRY(made->put_off({}));
  if (later.empty()) return {};
  for (const auto* r : later) add_update(*changed, *r, r->id, r->tenant, r->version - 1);
  return expect_touched(*changed, Rows<InquiryRow>(later), [](const InquiryRow& r) {
    return stale(
        fmt::format("inquiry {}: version {} does not hold any more", r.id.value, r.version - 1));
  });
}

}  // namespace millrace::store
