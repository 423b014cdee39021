// SPDX-License-Identifier: Apache-2.0
// What comes due in a partition by itself: timers, retries, sessions, sweeps, waiting work.
#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/mutants.h"
#include "engine/partition.h"
#include "engine/transitions/messages.h"
#include "rules/zone.h"

namespace millrace::engine {

namespace {

// What one turn takes of the timers that are due, and how many may be in hand: the rest stays in
// the wheel, so that 100,000 of them are a queue in the store and not in memory.
constexpr size_t kMostTimersAtOnce = 512;
constexpr size_t kMostTimersInHand = 1024;
constexpr size_t kMostInHand = 4000;
constexpr int64_t kRefillPauseMs = 1000;
constexpr int64_t kLeastStepMs = 1000;
constexpr int64_t kDispatchPauseMs = 1000;
constexpr size_t kMostLacks = 256;
// A slot that was lent has its run by then, or goes back: well before its home takes it back.
constexpr int64_t kBorrowedMs = Lender::kLentMs / 2;

Error draining() {
  return Error(ErrorKind::Unavailable, "ENG-0005", "the server is stopping: it lends no slots");
}

// Between the end of a lease and the day that its runs are given up: of 30 s, 10.
int64_t give_up_after(int64_t ttl_ms) { return ttl_ms / 3; }

}  // namespace

void Partition::check_timers_from(Decision::TimersToCheck from) {
  if (check_timers_) {
    from.after = std::min(from.after, check_timers_->after);
    from.delays |= check_timers_->delays;
  }
  check_timers_ = from;
}

// What a clock is set by little by little is no step. At the start the store tells whether the
// clock has been ahead.
void Partition::note_clock(Now now) {
  int64_t ahead = now.wall_ms - now.mono_ms();
  if (!wall_ahead_ms_) {
    wall_ahead_ms_ = ahead;
    bool was_ahead = id_time_ms(ids_.last()) > now.wall_ms + kLeastStepMs;
    return check_timers_from({.delays = was_ahead});
  }
  int64_t step = ahead - std::exchange(*wall_ahead_ms_, ahead);
  if (std::abs(step) < kLeastStepMs) return;
  log_warn("clock.stepped", {{"by_ms", step}});
  surroundings_.observer.clock_stepped(step);
  check_timers_from({.delays = step < 0});
}

void Partition::collect_due(Now now) {
  note_clock(now);
  collect_retries(now);
  if (winding_up_) return;
  expect_absent(now);
  collect_sessions(now);
  if (may_sweep(now)) add_sweep(now);
  if (auto after = std::exchange(check_releases_after_, {})) add(check_releases(*after), now);
  if (auto from = std::exchange(check_timers_, {})) add(check_timers(*from, now.wall_ms), now);
  fire_due_timers(now);
  if (may_dispatch(now) && work_waits_for_free_slots()) {
    dispatching_ = true;
    add(dispatch_queue(), now);
  }
}

bool Partition::may_sweep(Now now) const {
  return !sweeping_ && now.mono_ms() >= next_sweep_ms_ && in_hand_.size() < kMostInHand;
}

void Partition::add_sweep(Now now) {
  sweeping_ = true;
  next_sweep_ms_ = now.mono_ms() + options_.sweep_ms;
  if (rules::Zone::forget_changed()) check_timers_from({});
  left_.limit = options_.left_at_once;
  add(sweep(options_.retention, now.wall_ms, left_), now);
}

// It goes on at once while it finds work, a share at a time.
void Partition::settle_sweep(const Decision::Swept& swept, Now now) {
  for (auto& attempt : std::exchange(outdated_, {})) take_again(std::move(attempt));
  left_.messages_after = swept.messages_after;
  left_.outbox_after = swept.outbox_after;
  if (swept.again && !mutant(Mutant::CrashLeftoversWait)) next_sweep_ms_ = now.mono_ms();
  left_.gauges_after = swept.gauges_after;
  for (const auto& message : swept.found) add(stored_message(message), now);
  for (const auto& head : swept.heads) add(look_at_limit(head), now);
}

// The store takes or gives nothing: to ask again at once would keep both threads busy with that.
void Partition::dispatch_later(Now now) {
  if (!mutant(Mutant::DispatchSpins)) next_dispatch_ms_ = now.mono_ms() + kDispatchPauseMs;
}

// A slot can become free while the rows that wait for it are still being committed.
bool Partition::work_waits_for_free_slots() const {
  if (slots_.free() == 0 || mutant(Mutant::QueueNotLooked)) return false;
  int64_t queued = 0;
  for (const auto& [lane, waiting] : queued_) {
    if (waiting > 0 && slots_.free(lane.second) > 0) queued += waiting;
  }
  return queued > static_cast<int64_t>(granting_.size());
}

// Between servers. Whoever drains neither gives nor takes.

void Partition::lend(kernel::PermitAsk ask, Lender::Lent lent, Now now) {
  lender_.ask(std::move(ask), std::move(lent), now.mono_ms());
}

void Partition::borrow(std::vector<kernel::Permit> permits, Now now) {
  for (auto& permit : permits) slots_.borrow({std::move(permit), now.mono_ms() + kBorrowedMs});
}

bool Partition::waits_for(std::string_view needs) const {
  return std::ranges::any_of(
      queued_, [&](const auto& each) { return each.second > 0 && each.first.second == needs; });
}

bool Partition::waits_for(WorkerId worker) const {
  return std::ranges::any_of(queued_, [&](const auto& each) {
    return each.second > 0 && slots_.offers(worker, each.first.second);
  });
}

// What waits and has no slot, here or lent; another one comes first each time.
std::vector<kernel::Lack> Partition::lacks() const {
  std::map<std::string_view, int64_t> waiting;
  int64_t total = 0;
  for (const auto& [lane, count] : queued_) {
    if (count <= 0 || slots_.free(lane.second) > 0) continue;
    waiting[lane.second] += count;
    total += count;
  }
  std::vector<kernel::Lack> lacks;
  if (draining_ || total <= static_cast<int64_t>(granting_.size())) return lacks;
  for (const auto& [needs, count] : waiting) {
    if (lacks.size() == kMostLacks) break;
    lacks.push_back({std::string(needs), slots_.is_offered(needs)});
  }
  return lacks;
}

void Partition::look_for_slots(Now now) {
  slots_.take_back_over(now.mono_ms());
  if (draining_) lender_.refuse(draining());
  // Who looked for somebody to start and found nobody whose row can be read lets others go first.
  bool looks = now.mono_ms() >= next_dispatch_ms_;
  lender_.serve(slots_, [&](WorkerId worker) { return looks && waits_for(worker); }, now.mono_ms());
  if (!surroundings_.loans) return;
  auto unneeded = slots_.drop_borrowed([&](auto needs) { return waits_for(needs); }, now.mono_ms());
  for (const auto& permit : unneeded) surroundings_.loans->give_back(permit);
  next_want_ms_ = surroundings_.loans->want(lacks());
}

void Partition::fire_due_timers(Now now) {
  // A wheel that was cut short would bring those in hand again: it is refilled when they are done,
  // or put off, which may take minutes.
  bool refill = wheel_.needs_refill(now.wall_ms) && firing_ == put_off_;
  if (refill || mutant(Mutant::TimersRefilledAtOnce)) refill_wheel(now);
  if (firing_ >= kMostTimersInHand) return;
  int64_t until = now.wall_ms + (mutant(Mutant::TimerEarly) ? 2000 : 0);
  for (auto timer : wheel_.take_due(until, kMostTimersAtOnce)) add(fire_timer(timer), now);
}

void Partition::refill_wheel(Now now) {
  int64_t until = now.wall_ms + kernel::TimerWheel::kHorizonMs;
  constexpr int kMost = static_cast<int>(kernel::TimerWheel::kMaxEntries);
  auto shards = mutant(Mutant::OthersTimersFired) ? kernel::ShardSet::all() : options_.shards;
  auto entries = store::timers_until(*reader_, shards, until, kMost);
  if (!entries.ok()) {
    log_warn("timers.not_read", {{"error", entries.error().message()}});
    wheel_.refill({}, now.wall_ms + kRefillPauseMs, true);
    return;
  }
  wheel_.refill(*entries, until, entries->size() < static_cast<size_t>(kMost));
}

void Partition::collect_retries(Now now) {
  auto end = retries_.upper_bound(now.mono_ms());
  for (auto it = retries_.begin(); it != end; ++it) {
    if (it->second.message->about().timer) --put_off_;
    take_again(std::move(it->second));
  }
  retries_.erase(retries_.begin(), end);
}

// Workers of other processes that had a session with whoever was here before: as if it had been
// renewed just now. What they run is theirs until then.
void Partition::expect_absent(Now now) {
  for (const auto& worker : std::exchange(absent_, {})) {
    int64_t until_ms = now.mono_ms() + worker.ttl_ms + give_up_after(worker.ttl_ms);
    sessions_.try_emplace(worker.id, Session{{}, worker.ttl_ms, until_ms, true, worker.session});
  }
}

// In two steps. When its lease is over nothing more is given to a worker, and nothing is heard of
// it; its runs are given up later, when it has surely ended them (its spawner did at 22 of 30 s).
void Partition::collect_sessions(Now now) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    auto& [worker, session] = *it;
    if (session.ttl_ms == 0 || session.until_ms > now.mono_ms()) {
      ++it;
    } else if (!session.is_over) {
      log_warn("worker.lost", {{"worker", worker}, {"ttl_ms", session.ttl_ms}});
      session.is_over = true;
      session.until_ms += give_up_after(session.ttl_ms);
      slots_.close(worker);
      surroundings_.outlet.end(session.id);
    } else {
      it = end_session(it, "its worker did not renew its session", now);
    }
  }
}

Partition::Sessions::iterator Partition::find_session(SessionId session) {
  return std::ranges::find_if(sessions_, [&](const auto& one) { return one.second.id == session; });
}

bool Partition::renew(SessionId session, Now now) {
  auto found = find_session(session);
  if (found == sessions_.end() || found->second.is_over) return false;
  found->second.until_ms = now.mono_ms() + found->second.ttl_ms;
  return true;
}

void Partition::drain(SessionId session) {
  auto found = find_session(session);
  if (found != sessions_.end()) slots_.drain(found->first);
}

void Partition::close(SessionId session, Now now) {
  auto found = find_session(session);
  if (found != sessions_.end()) end_session(found, "its worker has closed its session", now);
}

Partition::Sessions::iterator Partition::end_session(Sessions::iterator session,
                                                     std::string_view why, Now now) {
  const auto& [worker, over] = *session;
  slots_.close(worker);
  if (over.ttl_ms > 0) add(lose_worker(worker, over.id ? over.id : over.before, why), now);
  return sessions_.erase(session);
}

int64_t Partition::pause_ms(Now now) const {
  if (!alone_.empty()) return in_flight_steps_ > 0 ? INT64_MAX : 0;
  if (!ready_.empty() || !asked_.empty() || !suspects_.empty()) return 0;
  int64_t pause = INT64_MAX;
  auto until = [&](int64_t due, int64_t at) {
    if (due == INT64_MAX) return;  // never; what is monotonic may be below 0
    pause = std::min(pause, due > at ? due - at : int64_t{0});
  };
  if (!retries_.empty()) until(retries_.begin()->first, now.mono_ms());
  until(lender_.next_ms(), now.mono_ms());
  until(slots_.next_over_ms(), now.mono_ms());
  if (winding_up_) return pause;
  until(next_want_ms_, now.mono_ms());
  if (check_releases_after_ || check_timers_) return 0;
  if (!dispatching_ && work_waits_for_free_slots()) until(next_dispatch_ms_, now.mono_ms());
  if (!sweeping_ && in_hand_.size() < kMostInHand) until(next_sweep_ms_, now.mono_ms());
  bool waits_for_commit =
      firing_ >= kMostTimersInHand || (firing_ > put_off_ && wheel_.needs_refill(now.wall_ms));
  if (!waits_for_commit) until(wheel_.next_wake(), now.wall_ms);
  for (const auto& [worker, session] : sessions_) {
    if (session.ttl_ms > 0) until(session.until_ms, now.mono_ms());
  }
  return pause;
}

}  // namespace millrace::engine
