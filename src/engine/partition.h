// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/fate.h"
#include "engine/lender.h"
#include "engine/machine/context.h"
#include "engine/machine/transition.h"
#include "engine/surroundings.h"
#include "kernel/timer_wheel.h"
#include "store/committer.h"

namespace millrace::engine {

// The time, as whoever drives a partition knows it. Due times are Unix time; pauses are measured by
// the monotonic clock, so that a clock that is set back holds nothing up.
struct Now {
  int64_t wall_ms = 0;
  int64_t mono_ns = 0;
  int64_t mono_ms() const { return mono_ns / 1'000'000; }
};

// The machine that carries messages through load, decide, write, for a set of shards. It has no
// thread, no clock and no waiting of its own: whoever drives it (engine/driver.h, a simulation, a
// test) gives it messages and the outcomes of commits, asks for turns, writes what a turn wants
// written, and looks up when the next one is due.
//
// Messages with the same turn (a root execution, a rule) have at most one batch in flight: a
// message that comes while one of them is being committed waits for that, so that it never decides
// on rows that are about to change. What becomes of a message that cannot be handled stands in
// engine/fate.h.
//
// Not thread-safe. Replies are called by `deliver` (surroundings.h), or here when nothing had to be
// written.
class Partition {
 public:
  struct Options {
    kernel::ShardSet shards = kernel::ShardSet::all();
    uint16_t node = 0;       // of the ids
    size_t max_batch = 512;  // of requests in one turn, and of everything else
    int64_t sweep_ms = 60'000;
    int left_at_once = 1000;  // of what was left behind: what one sweep brings
    Retention retention;
    std::vector<std::string> env_allowed;  // see Context::env_allowed
  };

  // `reader` belongs to the partition from then on. Errors are those of the store.
  static Result<std::unique_ptr<Partition>> open(std::unique_ptr<sql::Connection> reader,
                                                 std::shared_ptr<const Catalog> catalog,
                                                 Surroundings surroundings, Options options);

  void offer(Message message, Now now);
  // What became of steps of earlier turns.
  void written(std::vector<store::Written> outcomes, Now now);

  struct Work {
    std::vector<std::unique_ptr<store::Step>> steps;  // to be written in this order
  };
  // Takes a bounded share of what is there, loads and decides it. Error: the stored state is
  // damaged, and the process has to end.
  Result<Work> take(Now now);
  // How long it need not be given a turn, in ms; 0: it has something to do now.
  int64_t pause_ms(Now now) const;

  // Somebody has written a message for one of its shards.
  void look_for_messages() { next_sweep_ms_ = 0; }

  // From now on no slot is given, and what waits in the store stays there.
  void drain();
  // Besides: timers, sweeps and stored messages are left to the next server. Only what nobody else
  // would bring back is seen to the end.
  void wind_up();
  // Nothing is in hand and nothing is being written.
  bool is_idle() const;
  int64_t in_flight() const { return in_flight_steps_; }
  size_t waiting() const { return asked_.size() + ready_.size(); }
  // How many requests have been answered since the last call.
  int64_t take_answered() { return std::exchange(answered_, 0); }
  // A worker renews its session. False: it is over.
  bool renew(SessionId session, Now now);
  // Nothing more is granted to this worker; what it runs goes on.
  void drain(SessionId session);
  // A worker leaves: nothing more is granted to it. With a lease its runs are decided now; without
  // one its spawner keeps them for whoever opens next.
  void close(SessionId session, Now now);
  // Before anything is decided: goes on for one that has ended, with other shards, and has nothing
  // in flight. What that had in hand comes along, its sessions, slots and catalogue; what stands in
  // the store is found again.
  void take_over(Partition& ended);
  // Others may have given up the runs of its workers: they open again, and say what they still run.
  void end_sessions();
  // Another server lacks slots: `lent` is called once. It gives one back that it has not used.
  void lend(kernel::PermitAsk ask, Lender::Lent lent, Now now);
  void take_back(int64_t number) { slots_.take_back(number); }
  // What other servers have lent to this one.
  void borrow(std::vector<kernel::Permit> permits, Now now);
  // Answers all that is still in hand: it will not be handled here.
  void abandon(const Error& why);

  kernel::ShardSet shards() const { return options_.shards; }

 private:
  struct Session {
    SessionId id;  // none: of a worker that had one before this partition was here
    int64_t ttl_ms = 0;
    int64_t until_ms = 0;   // monotonic: of its lease; then: until its runs are given up
    bool is_over = false;   // its worker has until `until_ms` to end its runs, or to come back
    SessionId before = {};  // where `id` is none: the one that it had
  };

  Partition(std::unique_ptr<sql::Connection> reader, std::shared_ptr<const Catalog> catalog,
            Surroundings surroundings, Options options, int64_t last_id);

  // What comes due (partition_due.cpp).
  void collect_due(Now now);
  void note_clock(Now now);
  void check_timers_from(Decision::TimersToCheck from);
  void fire_due_timers(Now now);
  void refill_wheel(Now now);
  void collect_retries(Now now);
  void collect_sessions(Now now);
  void expect_absent(Now now);
  using Sessions = std::map<WorkerId, Session>;
  Sessions::iterator find_session(SessionId session);
  Sessions::iterator end_session(Sessions::iterator session, std::string_view why, Now now);
  bool may_sweep(Now now) const;
  void add_sweep(Now now);
  bool work_waits_for_free_slots() const;
  void dispatch_later(Now now);
  void look_for_slots(Now now);
  std::vector<kernel::Lack> lacks() const;
  bool waits_for(std::string_view needs) const;
  bool waits_for(WorkerId worker) const;
  bool may_dispatch(Now now) const { return !dispatching_ && now.mono_ms() >= next_dispatch_ms_; }

  // Deciding.
  std::vector<Attempt> next_batch();
  void take_again(Attempt attempt);
  Result<void> decide_what_is_there(Now now, Work& work);
  Result<void> decide_batch(std::vector<Attempt> batch, Now now, Work& work);
  Result<void> cannot_load(std::vector<Attempt> batch, const Error& why, Now now);
  void decide_one(Attempt attempt, Batch& batch, Now now, Work& work);
  std::optional<Error> elsewhere(const Transition& message, const Loaded& rows) const;
  void look_how_long(const Transition& message, int64_t begun_ns);
  bool is_suspect(const Transition& message) const;
  std::optional<Error> deadly(const Attempt& attempt) const;
  std::span<const InHand::Item> items_of(const std::vector<Attempt>& batch);
  void take_workflows(Decision& decision);
  void decided(std::unique_ptr<Decision> decision, Batch& batch, Work& work);
  void answer_unwritten(std::unique_ptr<Decision> decision, const Loaded& rows, Now now);
  void not_decided(Attempt attempt, const Error& why, Now now);
  bool wait_for_turn(Attempt& attempt);
  bool wait_for_gauge(Attempt& attempt, uint64_t turn);
  bool wait_for_tree(Attempt& attempt, const Loaded& rows);
  bool wait_for_row(Attempt& attempt, ExecutionId id, const Loaded& rows);
  bool wait_for(Attempt& attempt, ExecutionId id);
  void leave_one_per_exclusive_turn(std::vector<Attempt>& batch);
  Wanted wanted_by(const std::vector<Attempt>& batch) const;
  std::vector<store::QueueDepth> queue_in_turn();

  // After the commit (partition_written.cpp).
  void settle(Decision& decision, Now now);
  void settle_queue(const Decision& decision);
  void settle_sweep(const Decision::Swept& swept, Now now);
  void not_written(store::Written outcome, Now now);
  void mark_in_flight(const Decision& decision);
  void release(const Decision& decision);
  void forget_workflows(const Decision& decision);

  // What becomes of it (fate.h).
  void meet_fate(Attempt attempt, Trouble trouble, const Error& why, Now now);
  void bury(Attempt attempt, const std::string& reason, Now now);
  void answered(const Attempt& attempt);
  void add(Message message, Now now);

  std::unique_ptr<sql::Connection> reader_;
  std::shared_ptr<const Catalog> catalog_;
  Surroundings surroundings_;
  Options options_;

  IdSource ids_;
  Slots slots_;
  Lender lender_;
  int64_t next_want_ms_ = INT64_MAX;  // monotonic
  expr::Engine expressions_;
  LiveWorkflows workflows_;
  kernel::TimerWheel wheel_;
  std::unordered_set<ExecutionId> granting_;
  store::Retention expiry_;
  using Lane = std::pair<TenantId, std::string>;  // and what is needed
  std::map<Lane, int64_t> queued_;
  Sessions sessions_;
  std::vector<kernel::WorkerRow> absent_;  // of other processes: their runs may be given up

  std::deque<Attempt> asked_;                  // from outside
  std::deque<Attempt> alone_;                  // wait until nothing is in flight, others after them
  std::deque<Attempt> ready_;                  // the machine's own, and what is to be decided again
  std::deque<std::vector<Attempt>> suspects_;  // their rows could not be read together
  std::vector<Attempt> outdated_;              // wait for a newer catalogue
  std::multimap<int64_t, Attempt> retries_;    // by the monotonic time, in ms
  // Who waits for whom, by Turn::number.
  std::unordered_map<uint64_t, std::vector<Attempt>> in_flight_;
  // Stored messages and timers that are in hand: not to be brought twice.
  std::unordered_set<int64_t> in_hand_;
  std::vector<InHand::Item> noted_;                   // of the batch: kept for its memory
  std::vector<std::unique_ptr<Decision>> unwritten_;  // of the batch that is being decided
  size_t firing_ = 0;                                 // timers among them
  size_t put_off_ = 0;  // and among these, those that wait in retries_
  int64_t in_flight_steps_ = 0;
  int64_t answered_ = 0;
  int64_t failed_loads_ = 0;
  size_t tenant_turn_ = 0;

  int64_t next_sweep_ms_ = 0;  // monotonic; at once after the start
  bool sweeping_ = false;
  int64_t next_dispatch_ms_ = 0;  // monotonic; later than now: the last one found no store
  bool dispatching_ = false;
  Wanted::Left left_;
  std::optional<ExecutionId> check_releases_after_;
  std::optional<Decision::TimersToCheck> check_timers_;
  std::optional<int64_t> wall_ahead_ms_;  // of the monotonic clock
  bool draining_ = false;
  bool winding_up_ = false;
};

}  // namespace millrace::engine
