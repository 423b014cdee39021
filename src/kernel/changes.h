// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernel/rows.h"

namespace millrace::kernel {

enum class Expirable : uint8_t {
  Events,
  Executions,
  Changes,
  Dedupe,
  Quarantine,
  Keys,
  Operations,
  Gauges
};

// Asks for at most `limit` rows of a kind that are older than `before`; of Dedupe, Keys and
// Gauges for those that have expired before it.
struct Expire {
  Expirable kind = Expirable::Events;
  int64_t before = 0;
  int limit = 0;
};

// A row that is old enough to go, with all that hangs on it. It stays when it has changed since.
struct Expired {
  Expirable kind = Expirable::Events;
  TenantId tenant;
  int64_t id = 0;     // of Changes the number in the feed
  std::string scope;  // of Dedupe, Keys and Gauges, which have no id
  std::string name;
  int64_t expires = 0;
};

// All that one decision wants written: there whole after the commit, or not at all (K3). A dedupe
// key that is taken turns the whole decision away before anything of it is written; one decision
// names a key once. In which order the members are written says ChangesMembers.
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
  std::vector<CatalogRow> catalogs;  // each replaces the version before
  std::vector<RuleRow> rules;        // each is a new revision
  std::vector<WebhookRow> webhooks;
  std::vector<PolicyRow> policies;
  std::vector<TokenRow> tokens;
  std::vector<Of<TokenId>> tokens_done;
  std::vector<KeyRow> keys;
  std::vector<GaugeRow> gauges;  // each replaces the version before
  std::vector<PlaceRow> places;  // a step names a place once
  std::vector<PackReleaseRow> pack_releases;
  std::vector<OperationRow> operations;  // new, or in the place of what there is
  std::vector<WorkerRow> workers;
  std::vector<Expired> expired;
  std::vector<ChangeRow> feed;

  bool empty() const;
};

template <auto... kMembers>
struct MemberList {
  static constexpr size_t kSize = sizeof...(kMembers);
  // Calls `visit.template operator()<member>()` for each, in order, until one says false.
  template <typename Visit>
  static constexpr bool all_of(Visit visit) {
    return (visit.template operator()<kMembers>() && ...);
  }
};

// Every member of Changes, in the order in which they are written: a batch writes all its rows of
// one, then all of the next. Whatever walks Changes walks this.
using ChangesMembers =
    MemberList<&Changes::dedupe, &Changes::events, &Changes::enforcements, &Changes::new_executions,
               &Changes::executions, &Changes::enqueue, &Changes::dequeue, &Changes::outputs,
               &Changes::result_blobs, &Changes::workflows, &Changes::workflow_pieces,
               &Changes::workflow_runs, &Changes::inquiries, &Changes::messages, &Changes::acked,
               &Changes::timers_done, &Changes::timers_of_done, &Changes::timers, &Changes::outbox,
               &Changes::outbox_done, &Changes::quarantine, &Changes::catalogs, &Changes::rules,
               &Changes::webhooks, &Changes::policies, &Changes::tokens, &Changes::tokens_done,
               &Changes::keys, &Changes::gauges, &Changes::places, &Changes::pack_releases,
               &Changes::operations, &Changes::workers, &Changes::expired, &Changes::feed>;

// A member that is missing above would never be written.
static_assert(sizeof(Changes) == ChangesMembers::kSize * sizeof(std::vector<int>));

}  // namespace millrace::kernel
