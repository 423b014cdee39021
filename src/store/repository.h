// SPDX-License-Identifier: Apache-2.0
// The write side: one function per entity, each taking the rows of a whole batch. They run on the
// committer's connection inside its transaction and are called by write.cpp only.
#pragma once

#include <span>

#include "kernel/changes.h"
#include "store/sql.h"

namespace millrace::store {

template <typename Row>
using Rows = std::span<const Row* const>;

// True when the key was free (or had expired at `now`) and now belongs to `row`.
Result<bool> claim_key(sql::Connection&, const kernel::DedupeRow& row, int64_t now);
Result<void> release_key(sql::Connection&, const kernel::DedupeRow& row);

Result<void> insert_events(sql::Connection&, Rows<kernel::EventRow>);
Result<void> insert_enforcements(sql::Connection&, Rows<kernel::EnforcementRow>);
Result<void> insert_executions(sql::Connection&, Rows<kernel::ExecutionRow>);
// kStale when a row's stored version is not `version - 1`, or its status is final (K9).
Result<void> update_executions(sql::Connection&, Rows<kernel::ExecutionRow>);
Result<void> insert_queue(sql::Connection&, Rows<kernel::QueueRow>);
Result<void> delete_queue(sql::Connection&, Rows<Of<ExecutionId>>);
Result<void> insert_result_blobs(sql::Connection&, Rows<kernel::ResultBlobRow>);
Result<void> insert_outputs(sql::Connection&, Rows<kernel::OutputRow>);

// kStale when the stored version is not `version - 1`.
Result<void> write_workflows(sql::Connection&, Rows<kernel::WorkflowRow>);
Result<void> write_workflow_pieces(sql::Connection&, Rows<kernel::WorkflowPieceRow>);
Result<void> write_workflow_runs(sql::Connection&, Rows<kernel::WorkflowRunRow>);
// kStale when the stored version is not `version - 1`: a question is answered once.
Result<void> write_inquiries(sql::Connection&, Rows<kernel::InquiryRow>);

Result<void> insert_messages(sql::Connection&, Rows<kernel::MessageRow>);
Result<void> delete_messages(sql::Connection&, Rows<Of<MessageId>>);
// A timer with a name replaces the one that has it.
Result<void> upsert_timers(sql::Connection&, Rows<kernel::TimerRow>);
Result<void> delete_timers(sql::Connection&, Rows<Of<TimerId>>);
Result<void> delete_timers_of(sql::Connection&, Rows<Of<ExecutionId>>);
Result<void> insert_outbox(sql::Connection&, Rows<kernel::OutboxRow>);
Result<void> delete_outbox(sql::Connection&, Rows<Of<OutboxId>>);
Result<void> insert_quarantine(sql::Connection&, Rows<kernel::QuarantineRow>);
Result<void> insert_feed(sql::Connection&, Rows<kernel::ChangeRow>);

// kStale when the revision is there already.
Result<void> insert_rules(sql::Connection&, Rows<kernel::RuleRow>);
// kStale when the stored version is not `version - 1`.
Result<void> upsert_webhooks(sql::Connection&, Rows<kernel::WebhookRow>);
Result<void> insert_tokens(sql::Connection&, Rows<kernel::TokenRow>);
Result<void> delete_tokens(sql::Connection&, Rows<Of<TokenId>>);
// kStale when the stored version is not `version - 1`.
Result<void> write_keys(sql::Connection&, Rows<kernel::KeyRow>);
Result<void> upsert_pack_releases(sql::Connection&, Rows<kernel::PackReleaseRow>);
Result<void> upsert_workers(sql::Connection&, Rows<kernel::WorkerRow>);
// See retention.cpp.
Result<void> expire(sql::Connection&, Rows<kernel::Expire>);

}  // namespace millrace::store
