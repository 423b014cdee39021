// SPDX-License-Identifier: Apache-2.0
// The messages that the machine itself and the workers send: one function for each kind, whose
// class is in the file of its name. What people ask is in commands.h.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "engine/machine/context.h"
#include "engine/transitions/commands.h"
#include "kernel/permits.h"
#include "kernel/rows.h"
#include "kernel/work.h"

namespace millrace::engine {

// What waits in the store, as a message.
Message stored_message(const kernel::MessageRow& message);
Message enforce_event(kernel::MessageRow message);
Message cancel_execution(const kernel::MessageRow& message);
Message advance_workflow(const kernel::MessageRow& message);
// Who is first in the queue of a limit may find room there: told of a row, or found by a sweep.
Message look_at_limit(const kernel::MessageRow& message);
Message look_at_limit(const kernel::PlaceRow& head);
Message fire_timer(Of<TimerId> timer);

Message dispatch_queue();
// `left`: where it begins to look for what was left behind.
Message sweep(const Retention& retention, int64_t now, Wanted::Left left);
// Behind this execution; 0: from the start.
Message check_releases(ExecutionId after);
Message check_timers(Decision::TimersToCheck from, int64_t now);
// A burial that cannot be made itself is replaced by one that loads nothing.
Message bury_message(Message refused, std::string reason);

// How a worker's session lives on, as in kernel::Session.
struct SessionTerms {
  int64_t ttl_ms = 0;
  int64_t renew_ms = 0;
  int64_t fence_ms = 0;
  int64_t home = 0;  // WorkerRow
};
// `opened` is called once it is durable and in force, on the partition's thread.
Message open_worker(kernel::WorkerHello hello, SessionTerms terms,
                    std::function<void(Result<kernel::Session>)> opened);
// `why` is a literal.
Message lose_worker(WorkerId worker, SessionId session, std::string_view why);
// What another server has changed of a tenant's catalogue, as the store has it at `version`.
struct CatalogNews {
  TenantId tenant;
  int64_t version = 0;
  int64_t after = 0;  // the version that the news before these were of; 0: they are the first
  std::vector<std::shared_ptr<const RuleEntry>> rules;
  std::vector<kernel::WebhookRow> webhooks;
  std::set<std::string, std::less<>> paused;  // all timers that are
  std::vector<kernel::PolicyRow> policies;
  int64_t newest_release = 0;  // PackSet::newest at this version; 0: it tells of no packs
};
Message show_packs(TenantId tenant, PackSet packs);
Message refresh_catalog(CatalogNews news);
// Runs of this partition's shards whose worker is of a server that is not among these any more.
Message check_homes(std::vector<int64_t> with_runs, int64_t self);
// A run that the owner of its shard has given to a worker of another server (kernel/permits.h).
struct RunGiven {
  TenantId tenant;
  WorkerId worker;
  kernel::PermitUse use;
  int64_t self = 0;  // epoch of this server
};
Message take_run(const RunGiven& given);
Message stop_run(WorkerId worker, const Of<kernel::RunKey>& run);
// The whole of each stream that is a blob, or why it cannot be had.
struct StoredStreams {
  Result<std::string> out;
  Result<std::string> err;
};
// How a run has ended.
struct RunEnded {
  kernel::Completion completion;
  StoredStreams stored = {std::string(), std::string()};
  bool unheard = false;  // of a lost one: its worker has never heard of it
};
// `done` is called once the completion, or the reason why it cannot be taken, is durable.
// Of another worker than that which holds the run, nothing is taken.
Message finish_run(WorkerId worker, kernel::Completion completion, StoredStreams stored,
                   std::function<void()> done);
// The same, as another server has stored it.
Message finish_run(const kernel::MessageRow& message);
// The worker builds something before the run can begin. `known` is called once that is durable, or
// will not be.
Message prepare_run(WorkerId worker, TenantId tenant, kernel::RunKey run, std::string builds,
                    std::function<void()> known);
// `go` is called with whether it may begin. Only after `known`: one must not overtake the other.
Message run_is_prepared(WorkerId worker, TenantId tenant, kernel::RunKey run,
                        std::function<void(bool)> go);

}  // namespace millrace::engine
