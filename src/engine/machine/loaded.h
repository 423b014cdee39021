// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "engine/machine/gauges.h"
#include "engine/machine/live_workflow.h"
#include "kernel/changes.h"
#include "store/read.h"
#include "store/retention.h"

namespace millrace::engine {

// What a batch needs from the store before it can be decided. Every row is named with its tenant.
struct Wanted {
  std::vector<Of<ExecutionId>> executions;
  std::vector<Of<ExecutionId>> trees;  // the open descendants of these
  // These, all above them, and the states of the workflows among them.
  std::vector<Of<ExecutionId>> lineages;
  std::vector<Of<ExecutionId>> states;   // the stored states of these workflows, final or not
  std::vector<Of<ExecutionId>> results;  // what these ended with
  std::vector<Need> needs;
  std::vector<Of<InquiryId>> inquiries;
  std::vector<Of<TimerId>> timers;  // and the lineages of what they are about
  std::vector<Of<EventId>> events;
  std::vector<kernel::KeyName> key_values;
  std::vector<TenantId> tokens_of;
  std::vector<TenantId> schedules_of;                       // the timers of their rules
  std::vector<std::pair<TenantId, std::string>> schedules;  // timers of rules, by name
  std::optional<TimerId> schedules_after;  // a share of those of all tenants behind this one
  int64_t delays_ahead_of = 0;  // and of timers whose execution is of a time after this; 0: none
  // Tenant, scope and key are set; with `expires` it is known as it is stored.
  std::vector<kernel::DedupeRow> keys;
  bool executions_of_keys = false;  // and the executions that these keys' values name
  std::vector<Of<MessageId>> messages;
  std::vector<Of<ExecutionId>> stored_ends;  // of their runs
  int queue_heads = 0;                       // how many waiting executions it could start
  bool leased = false;  // every execution that a worker holds, in whatever shard, and the workers
  bool workers = false;
  // A row that no message names and that cannot be read is passed over: it has been tried often.
  bool without_unread = false;
  // Messages and outbox rows that were left behind: those behind these ids.
  struct Left {
    int64_t messages_after = 0;
    int64_t outbox_after = 0;
    int limit = 0;  // of each
    GaugeName gauges_after;
  };
  std::optional<Left> left;
  std::optional<GaugeName> gauges_after;  // where somebody waits, behind this one: who is first
  std::vector<kernel::Expire> expire;     // what each would remove
  // Open executions that are pinned to releases which are not there, and those that wait for one:
  // a share of those behind this one.
  std::optional<ExecutionId> unreleased_after;
};

struct StoredState {
  store::StoredWorkflow state;
  std::vector<kernel::WorkflowRunRow> runs;
  std::vector<kernel::WorkflowRunRow> open;
};

// What load has brought for a batch. A later transition of the batch sees the rows as the
// earlier ones have left them.
class Loaded {
 public:
  const kernel::ExecutionRow* execution(ExecutionId id) const;
  // The same, but nullptr when it is another tenant's.
  const kernel::ExecutionRow* execution(Of<ExecutionId> of) const {
    const auto* row = execution(of.id);
    return row && row->tenant == of.tenant ? row : nullptr;
  }
  std::vector<const kernel::ExecutionRow*> tree(ExecutionId root) const;
  // The stored state of a workflow that was not in memory.
  const StoredState* workflow(ExecutionId id) const;
  const TaskRuns* needed(const Need& need) const;
  const Value& result(ExecutionId id) const;  // null: none
  const kernel::InquiryRow* inquiry(Of<InquiryId> of) const;
  const kernel::TimerRow* timer(TimerId id) const;
  // Whether a timer will start it. Known of whatever is loaded and has not started.
  bool has_delay(ExecutionId id) const { return delays_.contains(id); }
  // The timers of rules that were wanted, by tenant and name.
  using Schedules = std::map<std::pair<TenantId, std::string>, kernel::TimerRow>;
  const Schedules& schedules() const { return schedules_; }
  const kernel::TimerRow* schedule(TenantId tenant, const std::string& name) const;
  // Where the next share of them begins; nothing: there is none.
  std::optional<TimerId> schedules_after() const { return schedules_after_; }
  // Timers of Wanted::delays_ahead_of; their executions are loaded.
  const std::vector<kernel::TimerRow>& delays_ahead() const { return delays_ahead_; }
  const kernel::EventRow* event(Of<EventId> of) const;
  // All of one tenant.
  std::vector<const kernel::TokenRow*> tokens(TenantId tenant) const;
  // False once the message has been handled.
  bool has_message(MessageId id) const { return messages_.contains(id); }
  // Of all that were wanted.
  const std::vector<kernel::MessageRow>& stored_ends() const { return stored_ends_; }
  std::vector<const kernel::ExecutionRow*> leased() const;
  const kernel::WorkerRow* worker(std::string_view name) const;
  const kernel::WorkerRow* worker(WorkerId id) const;
  // Of a leased one: its worker has told its end, which is in quarantine.
  bool has_untaken_end(ExecutionId id) const { return untaken_ends_.contains(id); }
  const std::vector<kernel::MessageRow>& left_messages() const { return left_messages_; }
  const std::vector<kernel::OutboxRow>& left_outbox() const { return left_outbox_; }
  // Needed, or where one of the executions is counted.
  const LoadedGauge* gauge(const GaugeName& name) const;
  const std::vector<kernel::PlaceRow>& heads() const { return heads_; }
  // Where the next share of them begins; of tenant 0: there is none.
  const GaugeName& gauges_after() const { return gauges_after_; }
  // Of all of Wanted::expire.
  const store::Retention::Due& expired() const { return expired_; }
  const std::vector<ExecutionId>& unreleased() const { return unreleased_; }
  // Where the next share begins; nothing: there is none.
  std::optional<ExecutionId> unreleased_after() const { return unreleased_after_; }
  // Keys that were wanted or needed.
  const KeyRows& key_values() const { return key_values_; }
  // The value under a dedupe key, when it is taken at `now`.
  const std::string* key(const kernel::DedupeRow& row, int64_t now) const;

 private:
  friend class Loader;
  std::unordered_map<ExecutionId, kernel::ExecutionRow> executions_;
  std::unordered_map<ExecutionId, std::vector<ExecutionId>> trees_;
  std::unordered_map<ExecutionId, StoredState> workflows_;
  std::vector<std::pair<Need, TaskRuns>> needed_;
  std::unordered_map<ExecutionId, Value> results_;
  std::unordered_map<InquiryId, kernel::InquiryRow> inquiries_;
  std::unordered_map<TimerId, kernel::TimerRow> timers_;
  std::unordered_map<ExecutionId, TimerId> delays_;
  std::unordered_map<EventId, kernel::EventRow> events_;
  std::map<Of<TokenId>, kernel::TokenRow> tokens_;
  Schedules schedules_;
  std::optional<TimerId> schedules_after_;
  std::vector<kernel::TimerRow> delays_ahead_;
  KeyRows key_values_;
  std::map<std::tuple<TenantId, std::string, std::string>, kernel::DedupeRow> keys_;
  std::unordered_set<MessageId> messages_;
  std::vector<kernel::MessageRow> stored_ends_;
  std::vector<ExecutionId> leased_;
  std::vector<kernel::WorkerRow> workers_;
  std::unordered_set<ExecutionId> untaken_ends_;
  std::vector<kernel::MessageRow> left_messages_;
  std::vector<kernel::OutboxRow> left_outbox_;
  LoadedGauges gauges_;
  std::vector<kernel::PlaceRow> heads_;
  GaugeName gauges_after_;
  store::Retention::Due expired_;
  std::vector<ExecutionId> unreleased_;
  std::optional<ExecutionId> unreleased_after_;
  std::deque<ExecutionId> queue_;  // candidates in dispatch order
};

}  // namespace millrace::engine
