// SPDX-License-Identifier: Apache-2.0
// The read side. Everything here runs on a read-only connection, never waits for the committer
// and sees the last durable commit. `not found` is an empty optional, not an error.
//
// Everything is read for one tenant (K10), but for what says otherwise in its name or its comment.
// What takes shards reads the rows of these only.
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

// What is read between these is of one moment.
Result<void> begin_snapshot(sql::Connection&);
Result<void> end_snapshot(sql::Connection&);

// Between these: what is soon read one by one. Where that would cost a message each, it comes in
// one (sql::Connection::ahead).
Result<void> ahead_of_executions(sql::Connection&, std::span<const kernel::Of<ExecutionId>>);
Result<void> ahead_of_events(sql::Connection&, std::span<const kernel::Of<EventId>>);
Result<void> ahead_of_keys(sql::Connection&, std::span<const kernel::DedupeRow>);
Result<void> ahead_of_timers(sql::Connection&, std::span<const kernel::Of<TimerId>>);
Result<void> ahead_of_messages(sql::Connection&, std::span<const kernel::Of<MessageId>>);
// What load_workflow and workflow_runs read.
Result<void> ahead_of_workflows(sql::Connection&, std::span<const kernel::Of<ExecutionId>>);

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
Result<bool> has_execution(sql::Connection&, TenantId, ExecutionId);
// Without parameters, environment and result.
Result<std::vector<kernel::ExecutionRow>> list_executions(sql::Connection&, TenantId,
                                                          const ExecutionFilter&, Page);
Result<std::vector<kernel::ExecutionRow>> children_of(sql::Connection&, TenantId, ExecutionId);
// The non-final executions below `parent`, at every depth.
Result<std::vector<kernel::ExecutionRow>> open_descendants(sql::Connection&, TenantId, ExecutionId);
Result<std::vector<TenantId>> tenants_with_executions(sql::Connection&);
// All executions in these statuses, of all tenants: for a worker that comes back.
Result<std::vector<kernel::ExecutionRow>> executions_in(sql::Connection&, kernel::ShardSet,
                                                        std::span<const ExecutionStatus>);
Result<std::optional<kernel::ResultBlobRow>> find_result_blob(sql::Connection&, TenantId,
                                                              ExecutionId);
Result<std::vector<kernel::OutputRow>> outputs_of(sql::Connection&, TenantId, ExecutionId);

Result<std::optional<kernel::EventRow>> find_event(sql::Connection&, TenantId, EventId);
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
Result<std::optional<StoredWorkflow>> load_workflow(sql::Connection&, TenantId, ExecutionId);
// The items of all tasks and the runs of those without items; with `open_only` those whose
// execution is not final.
Result<std::vector<kernel::WorkflowRunRow>> workflow_runs(sql::Connection&, TenantId,
                                                          ExecutionId workflow, bool open_only);
// The runs of one task on one route, by item.
Result<std::vector<kernel::WorkflowRunRow>> task_runs(sql::Connection&, TenantId,
                                                      ExecutionId workflow, const std::string& task,
                                                      int32_t route);
Result<std::optional<kernel::InquiryRow>> find_inquiry(sql::Connection&, TenantId, InquiryId);
Result<std::vector<kernel::InquiryRow>> list_inquiries(sql::Connection&, TenantId,
                                                       std::optional<kernel::InquiryStatus>, Page);

// The executions of a tenant that go next, of those that need these labels; lowest rank first.
Result<std::vector<kernel::QueueRow>> queue_head(sql::Connection&, kernel::ShardSet, TenantId,
                                                 const std::string& needs, int limit);
// All that wait: those that need the same together, lowest rank first.
Result<std::vector<kernel::QueueRow>> list_queue(sql::Connection&, TenantId, int limit);
struct QueueDepth {
  TenantId tenant;
  std::string needs;
  int64_t waiting = 0;
};
// Of all tenants and needs.
Result<std::vector<QueueDepth>> queue_depths(sql::Connection&, kernel::ShardSet);

Result<std::optional<kernel::DedupeRow>> find_dedupe(sql::Connection&, TenantId,
                                                     const std::string& scope,
                                                     const std::string& key);
Result<std::optional<kernel::TimerRow>> load_timer(sql::Connection&, TenantId, TimerId);
// The timer of a kind that is about an execution, if there is one.
Result<std::optional<TimerId>> find_timer_of(sql::Connection&, TenantId, ExecutionId,
                                             kernel::TimerKind);
Result<bool> message_waits(sql::Connection&, TenantId, MessageId);
// How other servers have said that its runs ended: what is not handled yet.
Result<std::vector<kernel::MessageRow>> stored_ends(sql::Connection&, TenantId, ExecutionId);
// For the kernel's wheel and sweep, of all tenants: what is due, and what was left behind, oldest
// first.
Result<std::vector<kernel::TimerWheel::Entry>> timers_until(sql::Connection&, kernel::ShardSet,
                                                            int64_t until, int limit);
// Those with ids above `after`.
Result<std::vector<kernel::MessageRow>> messages(sql::Connection&, kernel::ShardSet, int64_t after,
                                                 int limit);
Result<std::vector<kernel::OutboxRow>> outbox(sql::Connection&, kernel::ShardSet, int64_t after,
                                              int limit);
// The schedules of rules: timers with a name.
Result<std::vector<kernel::TimerRow>> named_timers(sql::Connection&, TenantId);
// At most one.
Result<std::vector<kernel::TimerRow>> named_timer(sql::Connection&, TenantId,
                                                  const std::string& name);
// Of all tenants, with ids above `after`, in their order.
Result<std::vector<kernel::TimerRow>> named_timers_after(sql::Connection&, kernel::ShardSet,
                                                         TimerId after, int limit);
// Of all tenants, with ids above `after`, in their order: timers about executions that were made or
// started after `now`, by a clock that was ahead.
Result<std::vector<kernel::TimerRow>> timers_ahead(sql::Connection&, kernel::ShardSet, int64_t now,
                                                   TimerId after, int limit);
Result<std::vector<kernel::QuarantineRow>> list_quarantine(sql::Connection&, TenantId, Page);
// For a worker that comes back, of all tenants: the executions whose end it has told, but which
// could not be taken.
Result<std::vector<ExecutionId>> ends_in_quarantine(sql::Connection&);
// Entries with seq > after, oldest first.
Result<std::vector<kernel::ChangeRow>> changes_after(sql::Connection&, TenantId, int64_t after,
                                                     int limit);
// The same of all tenants.
Result<std::vector<kernel::ChangeRow>> all_changes_after(sql::Connection&, int64_t after,
                                                         int limit);
// The numbers that the feed holds, over all tenants; old ones go by retention. 0: it is empty.
struct FeedEnds {
  int64_t oldest = 0;
  int64_t newest = 0;
};
Result<FeedEnds> feed_ends(sql::Connection&);
Result<int64_t> last_change(sql::Connection&);
Result<void> ahead_of_last_change(sql::Connection&);
// The highest id in the store, of whatever kind: new ids continue behind it.
Result<int64_t> newest_id(sql::Connection&);

// For the start of a server, of all tenants: what it keeps in memory.
// The releases that open executions are pinned to.
Result<std::vector<kernel::PackReleaseRow>> pinned_releases(sql::Connection&);
// How many open executions are pinned to it.
Result<int64_t> executions_of_release(sql::Connection&, TenantId, const std::string& digest);
// The release that each pack has now, without the packs that were uninstalled.
struct CurrentReleases {
  std::vector<kernel::PackReleaseRow> rows;
  int64_t newest = 0;  // the highest `updated`, of those that were uninstalled as well
};
Result<CurrentReleases> current_releases(sql::Connection&);
// Of this pack, the newest release with another digest than this one.
Result<std::optional<kernel::PackReleaseRow>> release_before(sql::Connection&, TenantId,
                                                             const std::string& pack,
                                                             const std::string& digest);
// Whether this pack has ever had it, for any tenant.
Result<bool> has_release(sql::Connection&, const std::string& pack, const std::string& digest);
// Newest first, and one of them.
Result<std::vector<kernel::OperationRow>> list_operations(sql::Connection&, TenantId, Page);
Result<std::optional<kernel::OperationRow>> find_operation(sql::Connection&, TenantId,
                                                           kernel::OperationId);
// What the server of that name has left running.
Result<std::vector<kernel::OperationRow>> operations_left(sql::Connection&,
                                                          const std::string& server);
// The releases of the executions that are held because theirs is not there.
Result<std::vector<std::string>> releases_waited_for(sql::Connection&, TenantId);
// The executions among them that are held for this one, oldest first.
Result<std::vector<ExecutionId>> executions_held_for(sql::Connection&, kernel::ShardSet, TenantId,
                                                     const std::string& digest, ExecutionId after,
                                                     size_t limit);
// Open executions of a release that would need it to go on, and are not held: workflows, and what
// waits for a slot.
Result<std::vector<ExecutionId>> executions_pinned_to(sql::Connection&, kernel::ShardSet, TenantId,
                                                      const std::string& digest, ExecutionId after,
                                                      size_t limit);
// The last revision of each rule of a pack that is deleted, oldest id first.
Result<std::vector<kernel::RuleRow>> gone_pack_rules(sql::Connection&);
// The newest revision of each rule that is not deleted.
Result<std::vector<kernel::RuleRow>> rules_of_all_tenants(sql::Connection&);
Result<std::vector<kernel::CatalogRow>> catalogs_of_all_tenants(sql::Connection&);
// 0: nothing of it was ever written.
// Version 0: it has none yet.
Result<kernel::CatalogRow> catalog_of(sql::Connection&, TenantId);
// Deleted or not.
Result<std::optional<kernel::WebhookRow>> find_webhook(sql::Connection&, TenantId, WebhookId);
Result<std::vector<kernel::WebhookRow>> webhooks_of_all_tenants(sql::Connection&);
Result<std::vector<kernel::PolicyRow>> policies_of_all_tenants(sql::Connection&);
// Deleted or not.
Result<std::optional<kernel::PolicyRow>> find_policy(sql::Connection&, TenantId, kernel::PolicyId);
Result<std::vector<kernel::TokenRow>> tokens_of_all_tenants(sql::Connection&);

// The revisions of one rule, newest first, deletions included.
Result<std::vector<kernel::RuleRow>> rule_revisions(sql::Connection&, TenantId, RuleId);
// The revisions of all rules that have had this ref, newest first.
Result<std::vector<kernel::RuleRow>> rule_history(sql::Connection&, TenantId,
                                                  const std::string& ref, int limit);
// The newest rule that has had this ref, deleted or not, in its newest revision.
Result<std::optional<kernel::RuleRow>> find_rule(sql::Connection&, TenantId,
                                                 const std::string& ref);
// What stood under a ref at a time, whatever its id, deleted or not; none: it was not there yet.
Result<std::optional<kernel::RuleRow>> rule_at(sql::Connection&, TenantId, const std::string& ref,
                                               int64_t at);
Result<std::vector<kernel::TokenRow>> tokens_of(sql::Connection&, TenantId);
Result<std::optional<kernel::TokenRow>> find_token(sql::Connection&, TenantId, TokenId);
// Keys whose time is over are found, too, until retention removes them: see KeyRow::is_over.
Result<std::optional<kernel::KeyRow>> find_key(sql::Connection&, const kernel::KeyName&);
// By scope and name, those behind `after`, which names a tenant. `scope` empty: any.
Result<std::vector<kernel::KeyRow>> list_keys(sql::Connection&, const kernel::KeyName& after,
                                              const std::string& scope, int limit);
// What policies have counted. Without a row: nothing yet.
Result<std::optional<kernel::GaugeRow>> find_gauge(sql::Connection&, TenantId,
                                                   const std::string& name);
// Those from this name on, up to the other one, by name.
Result<std::vector<kernel::GaugeRow>> gauges_between(sql::Connection&, TenantId,
                                                     const std::string& from, const std::string& to,
                                                     int limit);
// Who has a place in this state, in order.
Result<std::vector<kernel::PlaceRow>> first_places(sql::Connection&, TenantId,
                                                   const std::string& gauge, kernel::PlaceState,
                                                   int limit);
// Where somebody waits, of all tenants, behind this one.
Result<std::vector<kernel::GaugeRow>> waiting_gauges(sql::Connection&, TenantId,
                                                     const std::string& after, int limit);
// They serve every tenant.
Result<std::vector<kernel::WorkerRow>> all_workers(sql::Connection&);

}  // namespace millrace::store
