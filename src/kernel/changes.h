// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernel/rows.h"

namespace millrace::kernel {

enum class Expirable : uint8_t { Events, Executions, Changes, Dedupe, Quarantine, Keys };

// Deletes at most `limit` rows of a kind that are older than `before`; of Dedupe and Keys those
// that have expired before it.
struct Expire {
  Expirable kind = Expirable::Events;
  int64_t before = 0;
  int limit = 0;
};

// All that one decision wants written: there whole after the commit, or not at all (K3).
// Rows are written in the order of the members below, only timers after the deletion of timers. A
// dedupe key that is taken turns the whole decision away before anything of it is written; one
// decision names a key once.
struct Changes {
  std::vector<DedupeRow> dedupe;
  std::vector<EventRow> events;
  std::vector<EnforcementRow> enforcements;
  std::vector<ExecutionRow> new_executions;
  // Writes the mutable columns where the stored version is `version - 1` and the status not final.
  std::vector<ExecutionRow> executions;
  std::vector<QueueRow> enqueue;
  std::vector<Of<ExecutionId>> dequeue;
  std::vector<OutputRow> outputs;
  std::vector<ResultBlobRow> result_blobs;
  std::vector<WorkflowRow> workflows;
  std::vector<WorkflowPieceRow> workflow_pieces;  // in this order, deletions included
  std::vector<WorkflowRunRow> workflow_runs;      // the same
  std::vector<InquiryRow> inquiries;              // version 1 is new, later ones replace
  std::vector<MessageRow> messages;
  std::vector<Of<MessageId>> acked;
  std::vector<TimerRow> timers;
  std::vector<Of<TimerId>> timers_done;
  std::vector<Of<ExecutionId>> timers_of_done;  // all timers of these executions
  std::vector<OutboxRow> outbox;
  std::vector<Of<OutboxId>> outbox_done;
  std::vector<QuarantineRow> quarantine;
  std::vector<RuleRow> rules;  // each is a new revision
  std::vector<WebhookRow> webhooks;
  std::vector<TokenRow> tokens;
  std::vector<Of<TokenId>> tokens_done;
  std::vector<KeyRow> keys;
  std::vector<PackReleaseRow> pack_releases;
  std::vector<WorkerRow> workers;
  std::vector<Expire> expire;
  std::vector<ChangeRow> feed;

  bool empty() const;
};

}  // namespace millrace::kernel
