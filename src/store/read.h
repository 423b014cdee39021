// SPDX-License-Identifier: Apache-2.0
// The read side. Everything here runs on a read-only connection, never waits for the committer
// and sees the last durable commit. `not found` is an empty optional, not an error.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/changes.h"
#include "kernel/rows.h"
#include "kernel/timer_wheel.h"
#include "store/sql.h"

namespace millrace::store {

enum class Order : uint8_t { NewestFirst, OldestFirst };

// One page of a list: newest first, ids below `before` (0: from the newest). Executions, events and
// enforcements may be had oldest first: ids above `before` then.
struct Page {
  int64_t before = 0;
  int limit = 50;
  Order order = Order::NewestFirst;
};

struct ExecutionFilter {
  std::optional<ExecutionStatus> status;
  std::string action;  // ref; empty: any
  ExecutionId parent;
  bool open_only = false;
};

Result<std::optional<kernel::ExecutionRow>> find_execution(sql::Connection&, TenantId, ExecutionId);
// For the kernel itself, which works for all tenants.
Result<std::optional<kernel::ExecutionRow>> load_execution(sql::Connection&, ExecutionId);
// Without parameters, environment and result.
Result<std::vector<kernel::ExecutionRow>> list_executions(sql::Connection&, TenantId,
                                                          const ExecutionFilter&, Page);
Result<std::vector<kernel::ExecutionRow>> children_of(sql::Connection&, TenantId, ExecutionId);
// The non-final executions below `parent`, at every depth.
Result<std::vector<kernel::ExecutionRow>> open_descendants(sql::Connection&, TenantId, ExecutionId);
Result<std::vector<TenantId>> tenants_with_executions(sql::Connection&);
// All executions in these statuses, of all tenants: for the start of a server and the sweeps.
Result<std::vector<kernel::ExecutionRow>> executions_in(sql::Connection&,
                                                        std::span<const ExecutionStatus>);
Result<std::optional<kernel::ResultBlobRow>> find_result_blob(sql::Connection&, TenantId,
                                                              ExecutionId);
Result<std::vector<kernel::OutputRow>> outputs_of(sql::Connection&, TenantId, ExecutionId);

Result<std::optional<kernel::EventRow>> find_event(sql::Connection&, TenantId, EventId);
Result<std::optional<kernel::EventRow>> load_event(sql::Connection&, EventId);
// Without payloads. `trigger` empty: any.
Result<std::vector<kernel::EventRow>> list_events(sql::Connection&, TenantId,
                                                  const std::string& trigger, Page);
Result<std::optional<kernel::EnforcementRow>> find_enforcement(sql::Connection&, TenantId,
                                                               EnforcementId);
Result<std::vector<kernel::EnforcementRow>> enforcements_of(sql::Connection&, TenantId, EventId);
Result<std::vector<kernel::EnforcementRow>> list_enforcements(sql::Connection&, TenantId, RuleId,
                                                              Page);

// What a workflow's state consists of, without its runs.
struct StoredWorkflow {
  kernel::WorkflowRow head;
  std::vector<std::string> contexts;  // JSON, by position
  std::vector<std::string> entries;
  std::vector<std::string> errors;
};
Result<std::optional<StoredWorkflow>> load_workflow(sql::Connection&, ExecutionId);
// The items of all tasks and the runs of those without items; with `open_only` those whose
// execution is not final.
Result<std::vector<kernel::WorkflowRunRow>> workflow_runs(sql::Connection&, ExecutionId workflow,
                                                          bool open_only);
// The runs of one task on one route, by item.
Result<std::vector<kernel::WorkflowRunRow>> task_runs(sql::Connection&, ExecutionId workflow,
                                                      const std::string& task, int32_t route);
Result<std::optional<kernel::InquiryRow>> find_inquiry(sql::Connection&, TenantId, InquiryId);
Result<std::optional<kernel::InquiryRow>> load_inquiry(sql::Connection&, InquiryId);
Result<std::vector<kernel::InquiryRow>> list_inquiries(sql::Connection&, TenantId,
                                                       std::optional<kernel::InquiryStatus>, Page);

// The executions of a tenant that go next, lowest rank first.
Result<std::vector<kernel::QueueRow>> queue_head(sql::Connection&, TenantId, int limit);
struct QueueDepth {
  TenantId tenant;
  int64_t waiting = 0;
};
Result<std::vector<QueueDepth>> queue_depths(sql::Connection&);

Result<std::optional<kernel::DedupeRow>> find_dedupe(sql::Connection&, TenantId,
                                                     const std::string& scope,
                                                     const std::string& key);
Result<std::optional<kernel::TimerRow>> load_timer(sql::Connection&, TimerId);
Result<std::vector<kernel::TimerWheel::Entry>> timers_until(sql::Connection&, int64_t until,
                                                            int limit);
// The schedules of rules: timers with a name.
Result<std::vector<kernel::TimerRow>> named_timers(sql::Connection&);
Result<bool> message_waits(sql::Connection&, MessageId);
Result<std::vector<kernel::MessageRow>> messages(sql::Connection&, int limit);
Result<std::vector<kernel::OutboxRow>> outbox(sql::Connection&, int limit);
Result<std::vector<kernel::QuarantineRow>> list_quarantine(sql::Connection&, TenantId, Page);
// Entries with seq > after, oldest first.
Result<std::vector<kernel::ChangeRow>> changes_after(sql::Connection&, TenantId, int64_t after,
                                                     int limit);
// How many rows an Expire would delete, counted to `limit` + 1 at most.
Result<int64_t> rows_due(sql::Connection&, const kernel::Expire&);
Result<int64_t> last_change(sql::Connection&);
// The highest id in the store, of whatever kind: new ids continue behind it.
Result<int64_t> newest_id(sql::Connection&);
// True when an Expire of this kind would remove something.
Result<bool> anything_to_expire(sql::Connection&, kernel::Expirable, int64_t before);

// The releases that open executions are pinned to.
Result<std::vector<kernel::PackReleaseRow>> pinned_releases(sql::Connection&);
// The newest revision of each rule that is not deleted.
Result<std::vector<kernel::RuleRow>> current_rules(sql::Connection&);
// The revisions of one rule, newest first, deletions included.
Result<std::vector<kernel::RuleRow>> rule_revisions(sql::Connection&, TenantId, RuleId);
// The newest id that a ref has had, deleted or not.
Result<std::optional<kernel::RuleRow>> find_rule(sql::Connection&, TenantId,
                                                 const std::string& ref);
Result<std::vector<kernel::WebhookRow>> live_webhooks(sql::Connection&);
Result<std::vector<kernel::TokenRow>> all_tokens(sql::Connection&);
// Keys whose time is over are found, too, until retention removes them: see KeyRow::is_over.
Result<std::optional<kernel::KeyRow>> find_key(sql::Connection&, const kernel::KeyName&);
// By scope and name, those behind `after`, which names a tenant. `scope` empty: any.
Result<std::vector<kernel::KeyRow>> list_keys(sql::Connection&, const kernel::KeyName& after,
                                              const std::string& scope, int limit);
Result<std::vector<kernel::WorkerRow>> all_workers(sql::Connection&);

}  // namespace millrace::store
