// SPDX-License-Identifier: Apache-2.0
// The write side: what becomes of the rows of one member of Changes, those of a whole batch at
// once. Runs on the writer's connection inside its transaction; called by write.cpp only.
#pragma once

#include <span>

#include "kernel/changes.h"
#include "store/tables.h"

namespace millrace::store {

template <typename Row>
using Rows = std::span<const Row* const>;

template <typename Row>
Row row_of(std::vector<Row> kernel::Changes::*);
template <auto kMember>
using RowOf = decltype(row_of(kMember));

// Without more words rows are inserted. Each statement is one sql::Batch, and is put off: the
// number of messages grows neither with the rows nor with the members.
template <auto kMember>
Result<void> write_rows(sql::Connection& db, Rows<RowOf<kMember>> rows) {
  static const auto text = insert<RowOf<kMember>>();
  TRY(auto batch, db.batch(text));
  for (const auto* row : rows) add_row(*batch, *row);
  return batch->put_off({});
}

// What more is to be said of some:

// Nothing is written: the writer's gate has claimed them.
template <>
Result<void> write_rows<&kernel::Changes::dedupe>(sql::Connection&, Rows<kernel::DedupeRow>);
// kStale when a row's stored version is not `version - 1`, or its status is final (K9).
template <>
Result<void> write_rows<&kernel::Changes::executions>(sql::Connection&, Rows<kernel::ExecutionRow>);
template <>
Result<void> write_rows<&kernel::Changes::dequeue>(sql::Connection&, Rows<kernel::Of<ExecutionId>>);
// kStale when the stored version is not `version - 1`.
template <>
Result<void> write_rows<&kernel::Changes::workflows>(sql::Connection&, Rows<kernel::WorkflowRow>);
template <>
Result<void> write_rows<&kernel::Changes::workflow_pieces>(sql::Connection&,
                                                           Rows<kernel::WorkflowPieceRow>);
template <>
Result<void> write_rows<&kernel::Changes::workflow_runs>(sql::Connection&,
                                                         Rows<kernel::WorkflowRunRow>);
// kStale when the stored version is not `version - 1`: a question is answered once.
template <>
Result<void> write_rows<&kernel::Changes::inquiries>(sql::Connection&, Rows<kernel::InquiryRow>);
template <>
Result<void> write_rows<&kernel::Changes::acked>(sql::Connection&, Rows<kernel::Of<MessageId>>);
template <>
Result<void> write_rows<&kernel::Changes::timers_done>(sql::Connection&, Rows<kernel::Of<TimerId>>);
template <>
Result<void> write_rows<&kernel::Changes::timers_of_done>(sql::Connection&,
                                                          Rows<kernel::Of<ExecutionId>>);
// A timer with a name replaces the one that has it.
template <>
Result<void> write_rows<&kernel::Changes::timers>(sql::Connection&, Rows<kernel::TimerRow>);
template <>
Result<void> write_rows<&kernel::Changes::outbox_done>(sql::Connection&,
                                                       Rows<kernel::Of<OutboxId>>);
// kStale when the stored version is not `version - 1`.
template <>
Result<void> write_rows<&kernel::Changes::catalogs>(sql::Connection&, Rows<kernel::CatalogRow>);
// kStale when the revision is there already.
template <>
Result<void> write_rows<&kernel::Changes::rules>(sql::Connection&, Rows<kernel::RuleRow>);
// kStale when the stored version is not `version - 1`.
template <>
Result<void> write_rows<&kernel::Changes::webhooks>(sql::Connection&, Rows<kernel::WebhookRow>);
// kStale when the stored version is not `version - 1`, or another one has the ref.
template <>
Result<void> write_rows<&kernel::Changes::policies>(sql::Connection&, Rows<kernel::PolicyRow>);
// kStale when the stored version is not `version - 1`.
template <>
Result<void> write_rows<&kernel::Changes::gauges>(sql::Connection&, Rows<kernel::GaugeRow>);
// Those that are gone are deleted.
template <>
Result<void> write_rows<&kernel::Changes::places>(sql::Connection&, Rows<kernel::PlaceRow>);
template <>
Result<void> write_rows<&kernel::Changes::tokens_done>(sql::Connection&, Rows<kernel::Of<TokenId>>);
// kStale when the stored version is not `version - 1`.
template <>
Result<void> write_rows<&kernel::Changes::keys>(sql::Connection&, Rows<kernel::KeyRow>);
template <>
Result<void> write_rows<&kernel::Changes::pack_releases>(sql::Connection&,
                                                         Rows<kernel::PackReleaseRow>);
template <>
Result<void> write_rows<&kernel::Changes::operations>(sql::Connection&, Rows<kernel::OperationRow>);
// kStale when the stored version is not `version - 1`, or another one has the name.
template <>
Result<void> write_rows<&kernel::Changes::workers>(sql::Connection&, Rows<kernel::WorkerRow>);
// See retention.h.
template <>
Result<void> write_rows<&kernel::Changes::expired>(sql::Connection&, Rows<kernel::Expired>);

// The dedupe keys of a batch: for each whether it was free (or had expired at `now`) and is now of
// its row.
Result<std::vector<bool>> claim_keys(sql::Connection&, Rows<kernel::DedupeRow>, int64_t now);
// Gives them back, whoever has them.
Result<void> release_keys(sql::Connection&, Rows<kernel::DedupeRow>);

// Of what an update, an upsert or a delete of one row each has touched: the first row that it did
// not find gives the error. The rows stay until the transaction has ended.
template <typename Row, typename ErrorOf>
Result<void> expect_touched(sql::Batch& batch, Rows<Row> rows, ErrorOf error_of) {
  std::vector<const Row*> kept(rows.begin(), rows.end());
  return batch.put_off(
      [kept = std::move(kept), error_of](std::span<const int64_t> touched) -> Result<void> {
        for (size_t i = 0; i < kept.size(); ++i) {
          if (touched[i] != 1) return error_of(*kept[i]);
        }
        return {};
      });
}

// For rows that are named by their ids alone: `text` takes the id and the tenant.
template <typename Id>
Result<void> delete_rows(sql::Connection& db, std::string_view text, Rows<kernel::Of<Id>> rows) {
  TRY(auto batch, db.batch(text));
  for (const auto* row : rows) batch->add(row->id, row->tenant);
  return batch->put_off({});
}

Error stale(std::string message);
// An upsert that touches nothing has met a row of another tenant.
Error not_its_own(std::string_view what, std::string_view name);

}  // namespace millrace::store
