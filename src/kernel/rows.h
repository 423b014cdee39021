// SPDX-License-Identifier: Apache-2.0
// The rows of the store as plain data. Times are Unix milliseconds. `*_json` fields hold JSON
// text as bytes, already encoded, so that a row can be bound without a copy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"
#include "kernel/limits.h"
#include "kernel/shards.h"
#include "kernel/work.h"
#include "model/execution.h"

namespace millrace::kernel {

using millrace::Of;

struct EventRow {
  EventId id;
  TenantId tenant;
  std::string trigger;    // ref
  std::string source;     // CloudEvents source, or `webhook:NAME`, `timer:REF`, `execution:ID`
  std::string source_id;  // CloudEvents id or delivery id: the dedupe key within the source
  std::string type;       // CloudEvents type; may be empty
  std::string payload_json;
  std::string trigger_parameters_json;  // of the trigger instance that fired; may be empty
  std::string trace;                    // W3C traceparent
  EventId replay_of;
  int64_t created = 0;
  // How deep it lies below an event from outside: engine/transitions/told_events.h.
  int32_t chain = 0;
};

enum class EnforcementStatus : uint8_t { Created = 0, Failed = 1 };

struct EnforcementRow {
  EnforcementId id;
  TenantId tenant;
  RuleId rule;
  std::string rule_ref;
  int64_t rule_revision = 0;
  EventId event;
  ExecutionId execution;  // 0 when the parameters could not be rendered
  EnforcementStatus status = EnforcementStatus::Created;
  std::string verdicts_json;  // one entry per criterion
  std::string error;
  int64_t created = 0;
};

struct ExecutionRow {
  ExecutionId id;
  TenantId tenant;
  std::string action;   // ref
  std::string release;  // digest of the pack release that it is pinned to
  ExecutionStatus status = ExecutionStatus::Requested;
  FailureClass failure = FailureClass::None;
  EffectClass effect_class = EffectClass::AtMostOnce;
  Priority priority = Priority::Normal;
  int32_t attempt = 1;
  int64_t epoch = 0;  // rises with each lease
  WorkerId worker;    // who holds the lease
  ExecutionId parent;
  ExecutionId root;  // itself when it has no parent
  EnforcementId enforcement;
  ExecutionId original;  // of a re-run
  int64_t timeout_ms = 0;
  int64_t created = 0;
  int64_t updated = 0;
  int64_t started = 0;
  int64_t ended = 0;
  int64_t version = 1;
  std::string identity;  // who asked for it
  std::string trace;     // W3C traceparent
  std::string held;      // why it waits, and for whom: needs_decision, canceling
  std::string parameters_json;
  std::string defaults;  // names of the parameters that were not given, with commas between
  std::string env_json;
  std::string needs;        // labels that its worker has to offer (model/labels.h); mostly none
  std::string result_json;  // empty: none yet, or above kInlineResultBytes
  int64_t result_size = 0;  // above kInlineResultBytes the bytes are a ResultBlobRow
  // Of a step of a workflow (parent): which task it runs, and which item of it.
  std::string task;
  int32_t task_route = 0;
  int32_t task_item = -1;  // -1: the task has no items
  // Where policies have it counted (kernel/gauges.h); empty: nowhere.
  std::string limits;
  int32_t retries = 0;  // attempts that a policy has added

  kernel::RunKey key() const { return {id, attempt, epoch}; }
};

inline constexpr int64_t kInlineResultBytes = kInlineResult.most;

struct ResultBlobRow {
  ExecutionId execution;
  TenantId tenant;
  std::string bytes;
};

struct QueueRow {
  ExecutionId execution;
  TenantId tenant;
  int64_t rank = 0;        // smaller goes first
  ExecutionId root;        // written only: gives the shard; 0 when it is the execution itself
  std::string needs = {};  // as the execution's
};

struct OutputRow {
  ExecutionId execution;
  TenantId tenant;
  int32_t attempt = 1;
  Stream stream = Stream::Stdout;
  StreamOutput content;
};

// Timeout ends an execution that runs inside the server; a Wake goes on with it.
enum class TimerKind : uint8_t { Wake = 0, Schedule = 1, CancelGrace = 2, Timeout = 3 };

struct TimerRow {
  TimerId id;
  TenantId tenant;
  int shard = 0;
  int64_t due = 0;
  TimerKind kind = TimerKind::Wake;
  int64_t subject = 0;  // the execution that it is about; 0 for schedules
  std::string name;     // of a schedule: trigger ref and parameters' digest, unique per tenant
  std::string body_json;
};

// AdvanceWorkflow: of a final execution its workflow is told, of a workflow it goes on. FinishRun:
// how a run ended on a server that does not own its execution's shard.
// LookAtLimit: the execution that is first in the queue of a limit may find room now.
enum class MessageKind : uint8_t {
  EnforceEvent = 0,
  CancelExecution = 1,
  AdvanceWorkflow = 2,
  FinishRun = 3,
  LookAtLimit = 4,
};

// A message that waits in the store: made by one transition, handled by another.
struct MessageRow {
  MessageId id;
  TenantId tenant;
  int shard = 0;
  MessageKind kind = MessageKind::EnforceEvent;
  int64_t subject = 0;  // the event or the execution
  std::string body_json;
  int64_t created = 0;
};

enum class Destination : uint8_t { WorkerCancel = 0 };

// What tells that a delivery has arrived, so that it is owed no more (K2).
enum class Confirmation : uint8_t {
  EndOfRun,  // the run that it is about has ended
};

struct DestinationEntry {
  Destination id;
  std::string_view name;
  Confirmation confirmed_by;
};
// Every destination. The numbers are stored: only append.
inline constexpr DestinationEntry kDestinations[] = {
    {Destination::WorkerCancel, "worker.cancel", Confirmation::EndOfRun},
};

// A delivery that is owed until its destination has confirmed it (K2).
struct OutboxRow {
  OutboxId id;
  TenantId tenant;
  int shard = 0;
  Destination destination = Destination::WorkerCancel;
  int64_t subject = 0;  // the execution
  std::string body_json;
  int64_t created = 0;
};

// One accepted key. `value` names what the first request made.
struct DedupeRow {
  TenantId tenant;
  std::string scope;  // `event:SOURCE`, `idem:IDENTITY`, `body:SOURCE`
  std::string key;
  std::string value;
  int64_t expires = 0;
};

// A key that is not where it is found by name yet: store/recent_keys.h.
struct RecentKeyRow {
  int64_t id = 0;  // rises
  DedupeRow key;
};

struct QuarantineRow {
  int64_t id = 0;
  TenantId tenant;  // none: a message of the machine itself
  std::string kind;
  int64_t subject = 0;
  std::string reason;
  std::string body_json;
  int64_t created = 0;
};

enum class EntityType : uint8_t {
  Event = 0,
  Enforcement = 1,
  Execution = 2,
  Rule = 3,
  Webhook = 4,
  Pack = 5,
  Token = 6,
  Worker = 7,
  Inquiry = 8,
  Key = 9,
  Operation = 10,
  Policy = 11,
  Timer = 12,
};
std::string_view to_string(EntityType type);
std::optional<EntityType> parse_entity_type(std::string_view text);

enum class ChangeOp : uint8_t { Created = 0, Updated = 1, Deleted = 2 };
std::string_view to_string(ChangeOp op);

// An entry of the change feed. `seq` is given when it is written, in commit order.
struct ChangeRow {
  int64_t seq = 0;
  TenantId tenant;
  EntityType type = EntityType::Event;
  ChangeOp op = ChangeOp::Created;
  int64_t entity = 0;
  std::string detail;  // status of an execution, ref of a rule; short
  int64_t at = 0;
};

// A rule's current state is its newest revision; older revisions are kept for `rule why`.
struct RuleRow {
  RuleId id;
  TenantId tenant;
  std::string ref;
  int64_t revision = 1;
  bool enabled = true;
  bool deleted = false;
  std::string pack;    // owning pack; empty when made through the API
  std::string author;  // who has made this revision: an identity, or pack:NAME@VERSION
  std::string spec_json;
  std::string override_json;  // engine/transitions/rule_override.h; empty: none
  int64_t created = 0;
  int64_t updated = 0;
};

// Of a tenant's rules, webhook endpoints and packs, counted: each change makes the next version.
// Several servers decide on a copy in memory: who has not seen the newest is Stale.
struct CatalogRow {
  TenantId tenant;
  int64_t version = 1;
  std::string paused_json;  // the names of the timers that are paused, a list; empty: none
};

struct WebhookRow {
  WebhookId id;
  TenantId tenant;
  std::string name;
  std::string scheme;          // "github", or "token" when callers authenticate with an API token
  std::string trigger;         // ref of the trigger that it fires
  std::string sealed_secrets;  // sealed list of at most two active secrets
  std::string url;             // where the sender calls it, as it signs it; empty: unknown
  bool deleted = false;
  int64_t created = 0;
  int64_t updated = 0;
  int64_t version = 1;
};

// A policy that somebody has made, or put in the place of a pack's of the same ref.
using PolicyId = Id<struct PolicyTag>;
struct PolicyRow {
  PolicyId id;
  TenantId tenant;
  std::string ref;
  bool enabled = true;
  bool deleted = false;
  std::string spec_json;
  int64_t created = 0;
  int64_t updated = 0;
  int64_t version = 1;
};

// What a limit of a policy has counted, for one value of its parameters. It is written by each
// decision that counts with it: a limit holds over all servers because two of them never both find
// its version as they have read it.
struct GaugeRow {
  TenantId tenant;
  std::string name;        // kernel/gauges.h
  int64_t version = 0;     // of a state: no other one of this gauge ever has the same
  int64_t held = 0;        // of a concurrency: how many are at work
  int64_t waiting = 0;     // how many wait for room
  int64_t full_at_us = 0;  // of a rate: policy/gcra.h
  int64_t window = 0;      // of a quota: when its hour or day began; of a rate: its span
  int64_t used = 0;        // in that
  int64_t idle_at = 0;     // it says nothing any more from then on, when nobody is counted
  int64_t was = 0;         // written only: the version that it replaces; 0: there must be none
};

enum class PlaceState : uint8_t {
  Waits = 0,
  Holds = 1,
  Leaves = 2,  // holds, and is canceled to make room
};

// The place of one execution at a gauge.
struct PlaceRow {
  TenantId tenant;
  std::string gauge;
  ExecutionId execution;
  ExecutionId root;
  PlaceState state = PlaceState::Waits;
  int64_t rank = 0;   // smaller comes first
  bool gone = false;  // instead: it has none any more
};

struct TokenRow {
  TokenId id;
  TenantId tenant;
  std::string hash;  // SHA-256 of the token, hex
  std::string identity;
  std::string permissions;  // comma-separated; "*" is all
  ExecutionId execution;    // scoped tokens die with their execution
  int64_t created = 0;
  int64_t expires = 0;  // 0: never
};

// What the store remembers of a pack release, so that history stays readable.
enum class PackState : uint8_t {
  Installed = 0,
  SourceGone = 1,  // no folder holds it any more: its staged release goes on
  Uninstalled = 2,
};

// The newest by `updated` is the pack's current one, or says that the pack was uninstalled.
struct PackReleaseRow {
  TenantId tenant;
  std::string pack;
  std::string version;
  std::string digest;  // empty: of a pack that was uninstalled when its release was gone
  int64_t created = 0;
  PackState state = PackState::Installed;
  int64_t updated = 0;  // an id: rises with each load and uninstall, whatever the clock says
  std::string source_json = {};  // PackOrigin of one that was installed; empty: it is of a folder
  std::string installer = {};    // who put it in force
};

// What a server does for somebody that takes longer than a request: fetching a pack.
using OperationId = Id<struct OperationTag>;
enum class OperationStatus : uint8_t { Running = 0, Succeeded = 1, Failed = 2 };
std::string_view to_string(OperationStatus status);

struct OperationRow {
  OperationId id;
  TenantId tenant;
  std::string kind;     // "pack.install"
  std::string subject;  // what it is done with; for people
  OperationStatus status = OperationStatus::Running;
  std::string progress;    // what it is at
  std::string error_code;  // of Failed
  std::string error;
  std::string result_json;  // of Succeeded
  std::string identity;     // who asked for it
  std::string server;       // that does it, by its name: what it has left running has failed
  int64_t created = 0;
  int64_t updated = 0;
};

// The head of a workflow's state, beside its execution. Version 1 is inserted; a later one replaces
// the version before it. Without head_json only the version rises.
struct WorkflowRow {
  ExecutionId execution;
  ExecutionId root;  // written only: gives the shard
  TenantId tenant;
  int64_t version = 1;
  std::string head_json;
};

enum class PieceKind : uint8_t { Context = 0, Entry = 1, Error = 2 };

// One piece of a workflow's state; written anew where it has changed.
struct WorkflowPieceRow {
  ExecutionId workflow;
  TenantId tenant;
  PieceKind kind = PieceKind::Context;
  int64_t position = 0;
  std::string body_json;
  bool cut = false;     // instead: nothing of this kind stands from `position` on
  bool is_new = false;  // its workflow is: nothing stands there yet
};

// The newest execution of a task or of one of its items.
struct WorkflowRunRow {
  ExecutionId workflow;
  TenantId tenant;
  std::string task;
  int32_t route = 0;
  int32_t item = -1;
  ExecutionId execution;  // 0 when written: keeps the one that is there
  int32_t status = 0;     // conductor::Status of an item that is still counted; else 0
  bool reset = false;     // instead: no item of the task on this route is counted any more
  bool is_new = false;    // its workflow is: nothing stands there yet
};

enum class InquiryStatus : uint8_t { Pending = 0, Answered = 1, Expired = 2, Canceled = 3 };
std::string_view to_string(InquiryStatus status);
std::optional<InquiryStatus> parse_inquiry_status(std::string_view text);

// A question to people. Its id is that of the execution that asks.
struct InquiryRow {
  InquiryId id;
  TenantId tenant;
  InquiryStatus status = InquiryStatus::Pending;
  std::string prompt;
  std::string route;       // where it is shown; free text
  std::string users_json;  // lists of names; both empty: anybody with the permission
  std::string roles_json;
  int64_t expires = 0;  // 0: never
  int64_t created = 0;
  int64_t updated = 0;
  int64_t version = 1;
  std::string responder;
  std::string schema_json;  // JSON Schema of the answer
  std::string response_json;
};

// What names a value of the key store.
struct KeyName {
  TenantId tenant;
  std::string scope;  // `system`, `user:NAME`, `pack:REF`, `action:REF`, `sensor:REF`
  std::string name;
  auto operator<=>(const KeyName&) const = default;
};

// A value of the key store. Version 1 is new, later ones replace the version before.
struct KeyRow {
  KeyName key;
  std::string value_json;  // sealed when `encrypted`: the store never holds such a text in clear
  bool encrypted = false;
  int64_t version = 1;
  int64_t expires = 0;  // 0: never
  int64_t created = 0;
  int64_t updated = 0;
  bool deleted = false;  // instead: the stored version `version - 1` goes

  bool is_over(int64_t now) const { return expires > 0 && expires <= now; }
};

// The last session of a worker. `instance` changes whenever the worker may have forgotten runs.
struct WorkerRow {
  WorkerId id;
  TenantId tenant;  // none: it serves all of them
  std::string name;
  std::string instance;
  int slots = 0;
  int64_t updated = 0;
  int64_t home = 0;     // epoch of the server that has its session; 0: of a store of one process
  int64_t ttl_ms = 0;   // of its sessions; 0: it is in the server's own process
  SessionId session;    // none: it has left, or is lost
  std::string labels;   // what it offers, as model/labels.h joins them
  int64_t opening = 0;  // the highest WorkerHello::opening that has opened a session
  int64_t version = 1;
};

}  // namespace millrace::kernel
