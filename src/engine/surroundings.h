// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/fate.h"
#include "engine/machine/keys.h"
#include "engine/machine/reply.h"
#include "kernel/permits.h"
#include "kernel/work.h"
#include "store/committer.h"

namespace millrace {
class InHand;
}

namespace millrace::engine {

class Catalog;
struct Decision;

// Takes the side effects of commits to the workers. Thread-safe; quick: it posts.
class WorkOutlet {
 public:
  virtual ~WorkOutlet() = default;
  virtual void grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) = 0;
  virtual void cancel(WorkerId worker, const Of<kernel::RunKey>& run) = 0;
  // The session is over: nothing that its worker says is heard, and it is told.
  virtual void end(SessionId session) = 0;
};

// Asks other servers for slots of their workers. Thread-safe; quick.
class SlotLoans {
 public:
  virtual ~SlotLoans() = default;
  // What is lacking now, all of it; how long to wait until it is to be called again though nothing
  // has changed, at a monotonic ms. INT64_MAX: it need not.
  virtual int64_t want(std::vector<kernel::Lack> lacks) = 0;
  // It is not needed.
  virtual void give_back(const kernel::Permit& permit) = 0;
};

inline constexpr int64_t kSlowDecisionMs = 200;

// Hears of what has happened. Thread-safe; quick.
class Observer {
 public:
  virtual ~Observer() = default;
  // An execution is durably final.
  virtual void ended(const kernel::ExecutionRow& row) = 0;
  // Somebody waits for the end of one that is not.
  virtual void watch(int64_t number, Of<ExecutionId> execution,
                     Reply<kernel::ExecutionRow> ended) = 0;
  // A commit has been made: the change feed may have grown.
  virtual void committed() = 0;
  virtual void catalog_changed(std::shared_ptr<const Catalog> catalog) = 0;
  // A stored message of another partition's shard: a hint for whoever owns it.
  virtual void sent(const kernel::MessageRow&) {}
  // It was decided on a catalogue that another server has changed. True: a newer one is brought.
  virtual bool catalog_is_old() { return false; }
  // The first decision of a message: its kind and how long it waited for it. For metrics.
  virtual void decided(std::string_view kind, int64_t waited_ns) = 0;
  // A decision took longer than kSlowDecisionMs.
  virtual void slow() {}
  // The wall clock was set by so much, or the machine has slept.
  virtual void clock_stepped(int64_t /*by_ms*/) {}
  // A message could not be handled, and what becomes of it.
  virtual void met(Trouble, Fate::What) {}
};

// What a partition reaches outside of itself. All of it outlives it.
struct Surroundings {
  WorkOutlet& outlet;
  Observer& observer;
  OpenKey open_key;  // may be empty
  // How long decisions take, for `slow`: no decision depends on it. Empty: nobody measures.
  std::function<int64_t()> mono_ns = {};
  InHand* in_hand = nullptr;  // the partition's thread notes there what it decides; may be null
  // The node that owns a shard which is not the partition's. Empty: there is no other one.
  std::function<int(int shard)> owner_of = {};
  SlotLoans* loans = nullptr;  // null: there is nobody to ask
  // Where people find the API, as workflows are told; may be empty.
  std::function<std::string()> api_url = {};
};

// What follows a commit: replies, grants, cancels, ends. On whatever thread has made it; touches no
// partition.
void deliver(std::span<store::Written> outcomes, WorkOutlet& outlet, Observer& observer);
// The same for a decision that had nothing to write.
void deliver_unwritten(Decision& decision, WorkOutlet& outlet, Observer& observer);
// The same for a decision that had to come into force first, and now is.
void deliver_in_force(Decision& decision, WorkOutlet& outlet, Observer& observer);

}  // namespace millrace::engine
