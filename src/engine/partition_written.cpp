// SPDX-License-Identifier: Apache-2.0
// What becomes of messages in a partition once they are decided: of what was written, and of what
// could not be (fate.h says which way).
#include <algorithm>

#include "base/log.h"
#include "base/mutants.h"
#include "engine/elsewhere.h"
#include "engine/partition.h"
#include "engine/transitions/messages.h"
#include "kernel/servers.h"
#include "model/labels.h"
#include "rules/zone.h"

namespace millrace::engine {

namespace {

constexpr int kMostContended = 10'000;

std::unique_ptr<Decision> as_decision(std::unique_ptr<store::Step> step) {
  return std::unique_ptr<Decision>(static_cast<Decision*>(step.release()));
}

// The keys of a write that was turned away: as they are stored, where that is known; the others are
// to be looked up.
std::vector<kernel::DedupeRow> looked_up(std::vector<kernel::DedupeRow> keys,
                                         const std::vector<kernel::DedupeRow>& taken) {
  for (auto& key : keys) {
    key.expires = 0;
    for (const auto& row : taken) {
      if (row.scope == key.scope && row.key == key.key) key = row;
    }
  }
  return keys;
}

}  // namespace

void Partition::written(std::vector<store::Written> outcomes, Now now) {
  in_flight_steps_ -= static_cast<int64_t>(outcomes.size());
  for (auto& outcome : outcomes) {
    release(static_cast<const Decision&>(*outcome.step));
    if (outcome.end == store::WriteEnd::Committed) {
      settle(static_cast<Decision&>(*outcome.step), now);
    } else {
      not_written(std::move(outcome), now);
    }
  }
}

void Partition::settle(Decision& decision, Now now) {
  if (surroundings_.in_hand) handled(*surroundings_.in_hand, *decision.attempt.message);
  // What waits cannot be read.
  bool nobody =
      decision.attempt.message->routine() == Routine::Dispatch && decision.dequeued.empty();
  if (nobody) dispatch_later(now);
  answered(decision.attempt);
  if (decision.again_in_ms > 0) {
    retries_.emplace(now.mono_ms() + decision.again_in_ms, std::move(decision.attempt));
  }
  settle_queue(decision);
  for (const auto& timer : decision.changes.timers) {
    if (options_.shards.has(timer.shard)) wheel_.add({timer.due, timer.tenant, timer.id});
  }
  for (const auto& message : decision.changes.messages) {
    if (!options_.shards.has(message.shard)) {
      surroundings_.observer.sent(message);
    } else if (!winding_up_ || mutant(Mutant::WindUpGoesOn)) {
      add(stored_message(message), now);
    }
  }
  for (const auto& moved : decision.workflows) {
    auto* live = workflows_.find(moved.workflow);
    if (live && live->over) workflows_.drop(moved.workflow);
  }
  if (decision.opened) {
    const auto& opened = *decision.opened;
    slots_.open(opened.worker.id, opened.worker.slots, split_labels(opened.worker.labels),
                opened.runs);
    int64_t ttl_ms = mutant(Mutant::SessionNeverEnds)   ? 0
                     : mutant(Mutant::SessionEndsEarly) ? opened.ttl_ms / 3
                                                        : opened.ttl_ms;
    sessions_[opened.worker.id] = {opened.session, ttl_ms, now.mono_ms() + ttl_ms};
    next_dispatch_ms_ = now.mono_ms();  // who found no slot while it opened looks again
  }
  if (auto after = decision.check_releases_after) {
    check_releases_after_ = std::min(check_releases_after_.value_or(*after), *after);
  }
  if (decision.check_timers) {
    if (decision.catalog) rules::Zone::forget_changed();
    check_timers_from(*decision.check_timers);
  }
  if (decision.catalog) {
    catalog_ = decision.catalog;
    surroundings_.observer.catalog_changed(decision.catalog);
    for (auto& attempt : std::exchange(outdated_, {})) take_again(std::move(attempt));
  }
  if (decision.comes_into_force()) {
    deliver_in_force(decision, surroundings_.outlet, surroundings_.observer);
  }
  if (decision.swept) settle_sweep(*decision.swept, now);
  if (decision.check_limits) next_sweep_ms_ = now.mono_ms();
}

void Partition::settle_queue(const Decision& decision) {
  for (const auto& [worker, count] : decision.slots_taken) {
    if (count < 0 && !mutant(Mutant::SlotFreedEarly)) slots_.give_back(worker, -count);
  }
  if (decision.lent_in_vain != 0) slots_.take_back(decision.lent_in_vain);
  for (const auto& row : decision.changes.enqueue) ++queued_[{row.tenant, row.needs}];
  if (!mutant(Mutant::GrantingKept)) {
    for (ExecutionId id : decision.dequeued) granting_.erase(id);
  }
  for (const auto& lane : decision.left_queue) {
    auto at = queued_.find(lane);
    if (at != queued_.end() && --at->second <= 0) queued_.erase(at);
  }
}

void Partition::not_written(store::Written outcome, Now now) {
  using store::WriteEnd;
  auto decision = as_decision(std::move(outcome.step));
  if (!mutant(Mutant::WorkflowKeptAfterFailedWrite)) forget_workflows(*decision);
  if (!mutant(Mutant::SlotLeaked)) give_back(*decision, slots_, granting_);
  Attempt attempt = std::move(decision->attempt);
  switch (outcome.end) {
    case WriteEnd::Duplicate:
      attempt.learned.taken_keys = looked_up(decision->changes.dedupe, decision->taken);
      [[fallthrough]];
    case WriteEnd::Stale:
      // Of a limit that all count with somebody comes too late: that is no fault of the message.
      if (!decision->changes.gauges.empty() && ++attempt.contended < kMostContended) {
        --attempt.decisions;
      }
      if (outcome.end == WriteEnd::Stale && decision->catalog &&
          surroundings_.observer.catalog_is_old()) {
        outdated_.push_back(std::move(attempt));
        return;
      }
      return meet_fate(std::move(attempt), Trouble::Stale,
                       Error(ErrorKind::Internal, "ENG-0002", outcome.reason), now);
    case WriteEnd::Unavailable: {
      if (outcome.elsewhere) {
        return meet_fate(std::move(attempt), Trouble::Away, elsewhere_error(kernel::kNobody), now);
      }
      bool full = outcome.disk_full;
      Error why(ErrorKind::Unavailable, full ? sql::kFull : sql::kBusy,
                full ? "the disk is full; nothing was stored"
                     : "the store is not available; nothing was stored: " + outcome.reason);
      return meet_fate(std::move(attempt), Trouble::Away, std::move(why).with_retry_after(5000),
                       now);
    }
    case WriteEnd::Refused:
    case WriteEnd::Committed: break;
  }
  meet_fate(std::move(attempt), Trouble::Write,
            Error(ErrorKind::Internal, "ENG-0002", outcome.reason), now);
}

void Partition::mark_in_flight(const Decision& decision) {
  if (mutant(Mutant::TurnReleasedEarly)) return;
  if (decision.key != 0) in_flight_.try_emplace(static_cast<uint64_t>(decision.key));
  if (uint64_t turn = decision.attempt.message->turn().number()) in_flight_.try_emplace(turn);
  auto mark = [&](auto id) { in_flight_.try_emplace(static_cast<uint64_t>(id.value)); };
  for (const auto& row : decision.changes.executions) mark(row.id);
  for (const auto& row : decision.changes.gauges) {
    in_flight_.try_emplace(number_of(GaugeName{row.tenant, row.name}));
  }
  // Deleted without a version: who fires one of them has to find it gone.
  if (!mutant(Mutant::MendedTimerFires)) {
    for (const auto& timer : decision.changes.timers_done) mark(timer.id);
  }
  for (const auto& moved : decision.workflows) mark(moved.root);
}

void Partition::release(const Decision& decision) {
  auto let_go = [&](uint64_t turn) {
    auto found = in_flight_.find(turn);
    if (found == in_flight_.end()) return;
    if (!mutant(Mutant::TurnNotReleased)) {
      for (auto& attempt : found->second) take_again(std::move(attempt));
    }
    in_flight_.erase(found);
  };
  if (decision.key != 0) let_go(static_cast<uint64_t>(decision.key));
  if (uint64_t turn = decision.attempt.message->turn().number()) let_go(turn);
  for (const auto& row : decision.changes.executions) let_go(static_cast<uint64_t>(row.id.value));
  for (const auto& row : decision.changes.gauges) {
    let_go(number_of(GaugeName{row.tenant, row.name}));
  }
  for (const auto& timer : decision.changes.timers_done) {
    let_go(static_cast<uint64_t>(timer.id.value));
  }
  for (const auto& moved : decision.workflows) let_go(static_cast<uint64_t>(moved.root.value));
}

void Partition::forget_workflows(const Decision& decision) {
  for (const auto& moved : decision.workflows) workflows_.drop(moved.workflow);
}

// Fates

void Partition::answered(const Attempt& attempt) {
  if (attempt.asked) ++answered_;
  About about = attempt.message->about();
  if (about.message) in_hand_.erase(about.message.value);
  if (about.timer && in_hand_.erase(about.timer.value) > 0) --firing_;
  switch (attempt.message->routine()) {
    case Routine::Sweep: sweeping_ = false; return;
    case Routine::Dispatch: dispatching_ = false; return;
    case Routine::None: return;
  }
}

void Partition::meet_fate(Attempt attempt, Trouble trouble, const Error& why, Now now) {
  Whose whose = attempt.message->whose();
  if (attempt.trouble != trouble) attempt.failures = 0;
  attempt.trouble = trouble;
  int tries = trouble == Trouble::Stale ? attempt.decisions : ++attempt.failures;
  Fate fate = fate_of(trouble, whose, tries);
  bool burial = whose == Whose::Burial;
  bool vanishes = (mutant(Mutant::RefusedVanishes) && trouble == Trouble::Refused) ||
                  (mutant(Mutant::BurialGivesUp) && burial && trouble == Trouble::Away);
  if (vanishes) fate.what = Fate::What::Answer;
  if (whose == Whose::Routine) {
    if (mutant(Mutant::RoutineBuried) && trouble != Trouble::Away) fate.what = Fate::What::Bury;
    if (winding_up_) fate.what = Fate::What::Answer;  // the next server does it anew
  }
  surroundings_.observer.met(trouble, fate.what);
  attempt.suspect = trouble == Trouble::Load;
  switch (fate.what) {
    case Fate::What::Again: ready_.push_back(std::move(attempt)); return;
    case Fate::What::Later:
      if (whose == Whose::Routine) {
        log_warn("partition.routine_failed",
                 {{"kind", attempt.message->name()}, {"error", why.message()}});
      }
      if (attempt.message->about().timer) ++put_off_;
      retries_.emplace(now.mono_ms() + fate.after_ms, std::move(attempt));
      return;
    case Fate::What::Answer:
      if (trouble == Trouble::Refused && surroundings_.in_hand) {
        handled(*surroundings_.in_hand, *attempt.message);  // it was decided
      }
      answered(attempt);
      attempt.message->fail(why);
      return;
    case Fate::What::Bury: bury(std::move(attempt), why.message(), now); return;
  }
}

void Partition::bury(Attempt attempt, const std::string& reason, Now now) {
  log_error("message.quarantined", {{"kind", attempt.message->name()},
                                    {"subject", attempt.message->about().subject},
                                    {"reason", reason}});
  if (mutant(Mutant::BurialAcksFirst)) attempt.message->fail(Error(ErrorKind::Internal, "", ""));
  bool again = attempt.message->whose() == Whose::Burial;
  Attempt burial{.submitted_ns = now.mono_ns, .asked = attempt.asked, .suspect = attempt.suspect};
  if (again) burial.failures = attempt.failures;
  if (again) burial.trouble = attempt.trouble;
  // Who asks is answered by the burial, which loads what could not be loaded.
  burial.message = bury_message(std::move(attempt.message), reason);
  take_again(std::move(burial));
}

}  // namespace millrace::engine
