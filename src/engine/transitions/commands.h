// SPDX-License-Identifier: Apache-2.0
// What callers ask of the engine: one struct per command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/value.h"
#include "engine/machine/reply.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::engine {

// What has become of a pack that was uninstalled.
struct Uninstalled {
  std::string ref;
  std::string digest;  // of the release that was current; empty: it could not be read any more
  std::string source;  // the folder that still holds it: the next reload brings it back
  int64_t rules = 0;   // that have ended with it
};

// How long rows stay, in ms.
struct Retention {
  int64_t events = 30LL * 86'400'000;
  int64_t executions = 30LL * 86'400'000;
  int64_t changes = 7LL * 86'400'000;
  int64_t dedupe = 7LL * 86'400'000;
};

// Who asks, and where it came from.
struct Caller {
  TenantId tenant = kDefaultTenant;
  std::string identity;
  std::string trace;            // W3C traceparent; goes into what is made
  std::string idempotency_key;  // empty: none
  std::string request_hash;     // of method, path and body; with idempotency_key
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
};
struct Ingested {
  EventId event;
  bool duplicate = false;  // `event` is the first delivery's
};

struct NewExecution {
  std::string action;
  Value parameters;
  Value env;
  Priority priority = Priority::Normal;
  int64_t timeout_ms = 0;
  // When set, called once the execution is final, in addition to the Reply, unless `watch` (of
  // new_watch) was forgotten before.
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
};

struct WebhookWrite {
  std::string name;
  std::string scheme;
  std::string trigger;
  std::string sealed_secrets;
  bool create = false;  // refuse when it exists
};

// Of a value of the key store, or its end.
struct KeyWrite {
  kernel::KeyName key;     // the tenant is the caller's
  std::string value_json;  // sealed, for `version`, when `encrypted`
  bool encrypted = false;
  int64_t version = 1;                // that it will have: one more than is stored
  int64_t ttl_ms = 0;                 // 0: for ever
  std::optional<int64_t> if_version;  // If-Match; 0: there is none
  bool remove = false;
};
// The code of a write whose `version` was overtaken: seal anew and try again.
inline constexpr std::string_view kKeyMoved = "KEY-0003";

struct TokenWrite {
  std::string hash;
  std::string identity;
  std::string permissions;
  int64_t expires = 0;
};

}  // namespace millrace::engine
