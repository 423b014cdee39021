// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "engine/machine/live_workflow.h"
#include "engine/machine/message.h"
#include "engine/machine/reply.h"
#include "engine/machine/slots.h"
#include "kernel/changes.h"
#include "kernel/work.h"
#include "store/committer.h"

namespace millrace::engine {

class Catalog;
enum class Trouble : uint8_t;  // engine/fate.h

// What earlier decisions of the same message have found out. A decision starts from nothing but
// this; whatever else it made is dropped with it.
struct Learned {
  std::vector<Need> needs;  // loaded before the next decision
  size_t gauges = 0;  // so many of them; cancels of large trees need as many as there are steps
  int rounds = 0;     // decisions that ended because they needed something
  // Workflows that cannot go on, and why: the next decision ends them. Those that begin in a
  // decision are known by their place in it, for their ids are other ones each time.
  std::map<ExecutionId, std::string> broken_workflows;
  std::map<int, std::string> broken_beginnings;
  // Keys that turned the last write away: looked up before the next decision.
  std::vector<kernel::DedupeRow> taken_keys;
};

// A message on its way, with what became of it so far.
struct Attempt {
  Message message;
  int64_t submitted_ns = 0;  // of the monotonic clock; 0: not counted
  int decisions = 0;         // that counted
  int contended = 0;         // that came too late for a limit
  int failures = 0;          // of the trouble that was met last, one after the other
  std::optional<Trouble> trouble;
  bool asked = false;    // by somebody outside, who waits for the answer
  bool suspect = false;  // its rows could not be read: it does not go among others again
  Learned learned;
};

// Collects what one commit sends out, so that a batch costs one post per receiver.
class Deliveries {
 public:
  virtual ~Deliveries() = default;
  virtual void grant(WorkerId worker, kernel::WorkOrder order) = 0;
  virtual void cancel(WorkerId worker, const Of<kernel::RunKey>& run) = 0;
  // `ended` is called when the execution, which is not final, has become so.
  virtual void watch(int64_t number, Of<ExecutionId> execution,
                     Reply<kernel::ExecutionRow> ended) = 0;
};

// A worker whose session a decision opens.
struct Opened {
  SessionId session;
  kernel::WorkerRow worker;
  int64_t ttl_ms = 0;                // 0: it lives as long as this process
  std::vector<kernel::RunKey> runs;  // each has a slot
};

// All that one message comes to: what is written, and what follows once that is durable. It is
// the step that the committer writes. Plain data but for `reply`.
struct Decision final : store::Step {
  // Orders to hand out after the commit.
  std::vector<std::pair<WorkerId, kernel::WorkOrder>> grants;
  // Cancels to pass on.
  std::vector<std::pair<WorkerId, Of<kernel::RunKey>>> cancels;
  // Workflows whose state has moved.
  struct Moved {
    ExecutionId workflow;
    ExecutionId root;
  };
  std::vector<Moved> workflows;
  // Tells whoever asked. On the committer's thread, quick; may be empty. When it has to be in force
  // first (a catalogue, a session), what follows the commit comes after that, on the partition's
  // thread.
  std::move_only_function<void(Deliveries&)> reply;

  // What changes in the partition's memory with the commit.
  std::map<WorkerId, int> slots_taken;  // negative: free with the commit
  std::vector<std::pair<WorkerId, kernel::RunKey>> holds, lets_go;  // of slots: see Slots
  std::vector<Slots::Borrowed> borrowed;                            // that it uses
  std::vector<std::pair<int64_t, Slots::Lent>> lent;                // whose runs begin
  int64_t lent_in_vain = 0;                                         // the run does not begin
  std::vector<ExecutionId> dequeued;
  std::shared_ptr<const Catalog> catalog;
  // Whose queue rows it deletes, by what they need.
  std::vector<std::pair<TenantId, std::string>> left_queue;
  WorkerId opening;  // whose slots wait for this decision
  std::optional<Opened> opened;
  SessionId session_over;  // its worker is lost
  // What a sweep has come to: stored messages that nobody may be handling, and where the next one
  // begins to look (0: from the start). `again`: there is more, at once.
  struct Swept {
    std::vector<kernel::MessageRow> found;
    std::vector<kernel::PlaceRow> heads;  // first in the queue of a limit
    std::pair<TenantId, std::string> gauges_after;
    int64_t messages_after = 0;
    int64_t outbox_after = 0;
    bool again = false;
  };
  std::optional<Swept> swept;
  // Limits may have more room: who waits there is looked at.
  bool check_limits = false;
  // There may be more executions whose release has come or gone, behind this one (0: from the
  // start).
  std::optional<ExecutionId> check_releases_after;
  // It cannot be decided yet and is decided again after so long.
  int64_t again_in_ms = 0;
  // Timers whose due time may not be theirs are behind this one (0: from the start); `delays`:
  // those of executions as well, because the clock was ahead.
  struct TimersToCheck {
    TimerId after;
    bool delays = false;
  };
  std::optional<TimersToCheck> check_timers;

  bool comes_into_force() const { return catalog || opened; }

  Attempt attempt;
};

using Decided = Result<std::unique_ptr<Decision>>;

// Two errors say that a decision cannot be made with what is there. They never leave the engine.
//
// Needs: something of the store has to be loaded first; it stands in the context's Learned.
// Spoiled: somebody else of the batch, or this decision, has left a workflow in memory in a state
// that is not stored; it is decided again from what is. `counts` false: it was somebody else.
inline constexpr std::string_view kNeeds = "engine.needs";
inline constexpr std::string_view kSpoiled = "engine.spoiled";
inline Error needs_error() { return {ErrorKind::Unavailable, kNeeds, "needs to be loaded"}; }
inline Error spoiled_error(bool counts = true) {
  return {counts ? ErrorKind::Internal : ErrorKind::Busy, kSpoiled, "to be decided again"};
}
inline bool is_needs(const Error& error) { return error.code() == kNeeds; }
inline bool is_spoiled(const Error& error) { return error.code() == kSpoiled; }
inline bool is_another_try(const Error& error) { return is_needs(error) || is_spoiled(error); }

}  // namespace millrace::engine
