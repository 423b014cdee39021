// SPDX-License-Identifier: Apache-2.0
// What people ask of the engine: one struct per command, and the function that makes its message.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/value.h"
#include "engine/machine/message.h"
#include "engine/machine/reply.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::engine {

class PolicyBook;
class TenantCatalog;

// Who asks, and where it came from. Without a tenant nothing is done: SEC-0003.
struct Caller {
  TenantId tenant;
  std::string identity;
  std::string trace;            // W3C traceparent; goes into what is made
  ExecutionId run;              // whose token it is: what it makes is of its chain of rules
  std::string idempotency_key;  // empty: none
  std::string request_hash;     // of method, path and body; with idempotency_key
};

// What is known of who sends an event. Keys of one kind are never taken by another kind.
enum class Sender : uint8_t {
  Client,  // may say whatever it likes, but not speak as the server itself
  Hook,    // a delivery to an endpoint, whose sender has shown that it may
};

struct NewEvent {
  std::string trigger;    // ref
  std::string source;     // CloudEvents source, or `webhook:NAME`
  std::string source_id;  // the dedupe key within the source; empty: made from the event's id
  std::string body_hash;  // second dedupe key within the source; empty: none
  std::string type;
  Value payload;
  std::string payload_json;  // the same, encoded
  Value trigger_parameters;  // of the trigger instance that fired; null: none
  WebhookId endpoint;        // of a hook; one of a rule, which has no dedupe keys, has no id
  Sender sender = Sender::Client;
};
struct Ingested {
  EventId event;
  bool duplicate = false;  // `event` is the first delivery's
};

struct Replay {
  EventId event;
  // That of the event, where somebody has read it already: megabytes hold up others.
  std::optional<Value> payload = {};
  std::string edited_json = {};  // another payload, and `payload` is the same
};

struct NewExecution {
  std::string action;
  Value parameters;
  Value env;
  Priority priority = Priority::Normal;
  int64_t timeout_ms = 0;
  Value context;  // of who asked in a chat: a map, added to {{ action_context }}; or null
  // When set, called once the execution is final whose Reply is not, unless `watch` (of new_watch)
  // was forgotten before.
  int64_t watch = 0;
  Reply<kernel::ExecutionRow> ended;
};

struct Resolution {
  enum class Kind : uint8_t { Retry, Succeed, Fail, Abandon };
  Kind kind = Kind::Retry;
  Value result;  // of Succeed
  std::string comment;
  // Of a workflow: the task that is held, instead of the execution itself. Empty: the only one.
  std::string task;
  int32_t route = 0;
};

// What of a workflow runs again: nothing named, what failed.
struct Rerun {
  std::vector<std::string> tasks;
  bool reset_items = false;  // all items of a task, not only those that failed
};

// Of a workflow in the language `orquesta`: whether what runs below it ends by itself first.
enum class CancelHow : uint8_t { AsLanguageSays, Now };

// What somebody says to an inquiry.
struct Answer {
  Value response;
  bool is_admin = false;           // may answer whatever is put to others
  std::vector<std::string> roles;  // of who answers
};

struct RuleWrite {
  RuleSpec spec;
  std::optional<int64_t> if_revision;  // If-Match
  bool create = false;                 // refuse when it exists
  bool dry_run = false;                // answer as if, and change nothing
};

// Of a pack's rule: see rule_override.h.
struct OverrideWrite {
  std::string ref;
  std::string name;          // of the one that is meant; empty: the one that is there
  Value set = Value::map();  // added to what is set
  bool replace = false;      // put in its place instead
  bool undo = false;         // instead
  std::optional<int64_t> if_revision = {};
  bool dry_run = false;
};

struct WebhookWrite {
  std::string name;
  std::string scheme;
  std::string trigger;
  std::string sealed_secrets;
  std::string url;
  bool create = false;  // refuse when it exists
};

struct PolicyWrite {
  enum class How : uint8_t { Create, Write, Enable, Remove };
  How how = How::Write;
  PolicySpec spec;  // of Enable its ref and `enabled`, of Remove its ref
  std::optional<int64_t> if_version;
};
// "no policy 'x' (did you mean 'y'?)".
Error no_policy(const PolicyBook& book, std::string_view ref);

enum class TimerWish : uint8_t { Fire, Pause, Resume };
struct TimerOperation {
  std::string schedule;  // RuleEntry::schedule
  TimerWish wish = TimerWish::Fire;
};

// Of a value of the key store, or its end.
struct KeyWrite {
  kernel::KeyName key;     // the tenant is the caller's
  std::string value_json;  // sealed, for `version`, when `encrypted`
  bool encrypted = false;
  int64_t version = 1;                // that it will have: one more than is stored; 0: whatever
  int64_t ttl_ms = 0;                 // 0: for ever
  std::optional<int64_t> if_version;  // If-Match; 0: there is none
  bool remove = false;
  bool is_config = false;  // the key of a pack's configuration, which only this may name
};
// The code of a write whose `version` was overtaken: seal anew and try again.
inline constexpr std::string_view kKeyMoved = "KEY-0003";

struct TokenWrite {
  std::string hash;
  std::string identity;
  std::string permissions;
  int64_t expires = 0;
};

// All releases of a tenant, and what is kept for executions.
struct PackSet {
  std::vector<std::shared_ptr<const Pack>> system;  // seen by every tenant; empty: as it is
  std::vector<std::shared_ptr<const Pack>> own;
  std::vector<std::shared_ptr<const Pack>> retired;  // that open executions are pinned to
  std::vector<kernel::PackReleaseRow> missing;       // the same, but they cannot be had
  // As it was before these were read, from which time on others may uninstall; null: nobody may.
  std::shared_ptr<const TenantCatalog> before = nullptr;
  // The digests that other servers know to be in force; nothing: those of the catalogue. Of others
  // they are told by the feed.
  std::optional<std::set<std::string>> known = {};
  // `updated` of the newest release in the store when these were read, of one that was uninstalled
  // as well, by whichever server's clock: which of two sets is the newer one.
  int64_t newest = 0;
  // Other servers may have the folder of a pack whose source is gone here: then it is in the store
  // as they have put it there.
  bool shared = false;
  // The pack whose release somebody puts in force: written whatever others know; or none.
  std::string fresh = {};
};

struct PackRemoval {
  std::string ref;
  bool force = false;  // although rules of others or webhook endpoints use it
};

// What has become of a pack that was uninstalled.
struct Uninstalled {
  std::string ref;
  std::string digest;  // of the release that was current; empty: it could not be read any more
  std::string source;  // the folder that still holds it: the next reload brings it back
  int64_t rules = 0;   // that have ended with it
};

// One function for each command; its class is in the file of its name. Answered through `reply`
// when the outcome is durable, or refused; writes of the catalogue when they are in force.
namespace command {

Message ingest(Caller caller, NewEvent event, Reply<Ingested> reply);
Message replay(Caller caller, Replay replay, Reply<Ingested> reply);
Message run(Caller caller, NewExecution request, Reply<kernel::ExecutionRow> reply);
// The whole tree. Conflict when it is final already.
Message cancel(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply,
               CancelHow how = CancelHow::AsLanguageSays);
Message resolve(Caller caller, ExecutionId id, Resolution resolution,
                Reply<kernel::ExecutionRow> reply);
// Of workflows, with all workflows below: steps that run end first. Conflict when it is final.
Message pause(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
Message resume(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
// A new execution that goes on from where the workflow `id` ended.
Message rerun(Caller caller, ExecutionId id, Rerun request, Reply<kernel::ExecutionRow> reply);
// Conflict when it was answered before, Denied to others than those it is put to.
Message answer(Caller caller, InquiryId id, Answer answer, Reply<kernel::InquiryRow> reply);
Message write_rule(Caller caller, RuleWrite write, Reply<kernel::RuleRow> reply);
// Conflict where no pack owns the rule.
Message override_rule(Caller caller, OverrideWrite write, Reply<kernel::RuleRow> reply);
Message delete_rule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
                    Reply<kernel::RuleRow> reply);
Message write_webhook(Caller caller, WebhookWrite write, Reply<kernel::WebhookRow> reply);
Message delete_webhook(Caller caller, std::string name, Reply<kernel::WebhookRow> reply);
Message write_policy(Caller caller, PolicyWrite write, Reply<kernel::PolicyRow> reply);
// Answers the event of a firing, none of the others.
Message operate_timer(Caller caller, TimerOperation operation, Reply<EventId> reply);
// Of a key that is there, deletion needs the name only.
Message write_key(Caller caller, KeyWrite write, Reply<kernel::KeyRow> reply);
Message write_token(Caller caller, TokenWrite write, Reply<kernel::TokenRow> reply);
Message delete_token(Caller caller, TokenId id, Reply<TokenId> reply);
// Another set of releases; rules that packs own follow. Answers how many there are.
Message load_packs(Caller caller, PackSet packs, Reply<int> reply);
// `row` without an id is a new one. Written as it is but for its times; the feed tells of it.
Message write_operation(Caller caller, kernel::OperationRow row, Reply<kernel::OperationRow> reply);
// Its rules end, its actions leave the catalogue; what runs of it goes on. Conflict when other
// rules or webhook endpoints use it, unless it is forced.
Message uninstall_pack(Caller caller, PackRemoval removal, Reply<Uninstalled> reply);

}  // namespace command

}  // namespace millrace::engine
