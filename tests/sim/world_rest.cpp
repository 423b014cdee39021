// SPDX-License-Identifier: Apache-2.0
// After all that went wrong: everything is mended, and the world has to come to rest.
#include <fmt/format.h>

#include <algorithm>

#include "engine/machine/transition.h"
#include "packs.h"
#include "store/doctor.h"
#include "world.h"

namespace millrace::sim {

using namespace kernel;
using namespace engine;

namespace {

constexpr int kMostRounds = 160;

}  // namespace

// One round: the server does what it can, the workers run and tell what they have.
bool World::rest_round(int) {
  bool any = false;
  for (int i = 0; i < 60; ++i) {
    bool moved = cycle_all();
    for (auto& at : places_) moved |= read_news(at);
    any |= moved;
    if (!moved && !something_is_due()) break;
  }
  for (auto& worker : workers_) {
    Server* server = home_of(worker);
    if (!server) return any;
    if (worker.gone) continue;
    bool lost = worker.session && !server->outlet->worker_of(worker.session->id);
    if (!worker.session || lost) open(worker);
    int64_t before = messages_;
    take_orders(worker, SIZE_MAX);
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::Building) ask_to_begin(worker, key);
      if (run.state == WorkerRun::State::Runs) {
        end(worker, run, Dice(0));
      }
    }
    tell_all(worker);
    any |= messages_ > before;
  }
  return any;
}

// What only people can do.
void World::help(int round) {
  std::vector<std::pair<OpKind, ExecutionId>> todo;
  for (const auto& [id, known] : ledger_.executions()) {
    const auto& row = known.row;
    bool unreadable = store_.is_ill() && bad_rows_.contains(id);
    if (is_final(row.status) || unreadable) continue;
    // Nobody knows whom a burial without a hand-over has left behind: whoever does not move.
    bool left_behind = round >= 40 && ledger_.not_handed_over() > 0;
    if ((row.action == "ci.endless" || left_behind) && row.status != ExecutionStatus::Canceling) {
      todo.emplace_back(OpKind::Cancel, row.id);
    } else if (row.status == ExecutionStatus::NeedsDecision &&
               row.failure != FailureClass::NoRelease) {
      todo.emplace_back(OpKind::Resolve, row.id);
    } else if (row.status == ExecutionStatus::Paused) {
      todo.emplace_back(OpKind::Resume, row.id);
    }
  }
  for (const auto& [kind, id] : todo) {
    ask(
        fmt::format("help: {} {}", to_string(kind), id.value), false,
        [this, kind, id, round](size_t number) {
          auto reply = answer<ExecutionRow>(number, nullptr);
          if (kind == OpKind::Cancel) return command::cancel(caller(number), id, reply);
          if (kind == OpKind::Resume) return command::resume(caller(number), id, reply);
          // Who cannot be helped on, is let go.
          auto how = round < 24 ? Resolution::Kind::Succeed : Resolution::Kind::Abandon;
          return command::resolve(caller(number), id, {.kind = how, .result = Value::map()}, reply);
        },
        id);
  }
  for (int64_t id : std::set<int64_t>(ledger_.inquiries())) {
    ask(
        fmt::format("help: answer {}", id), false,
        [this, id](size_t number) {
          return command::answer({.tenant = kDefaultTenant, .identity = "ada"}, InquiryId{id},
                                 {.response = Value::map({{"ok", true}}), .is_admin = true},
                                 answer<InquiryRow>(number, nullptr));
        },
        ExecutionId{id});
  }
}

bool World::all_done(bool but_for_bad_rows) const {
  auto is_bad = [&](ExecutionId id) { return but_for_bad_rows && bad_rows_.contains(id.value); };
  if (!ledger_.messages().empty() || !ledger_.timers().empty()) return false;
  for (const auto& [id, known] : ledger_.executions()) {
    bool rests = is_final(known.row.status) && !known.queued && !known.owed;
    if (!rests && !is_bad(known.row.id)) return false;
  }
  return std::ranges::all_of(workers_, [&](const auto& worker) {
    return std::ranges::all_of(worker.runs,
                               [&](const auto& run) { return is_bad(run.first.execution); });
  });
}

// What a crash has left in the store is handled as fast as commits go, not when it is time; but
// what was for another server waits for its sweep, for the hint has gone with the crash.
void World::handle_leftovers(Place& at) {
  for (int i = 0; i < 3; ++i) {
    ask("run ci.tells", false, [this](size_t number) {
      return command::run(caller(number), {.action = "ci.tells", .parameters = Value::map()},
                          answer<ExecutionRow>(number, nullptr));
    });
  }
  for (int i = 0; i < 3; ++i) turn(at);
  commit(at, SIZE_MAX, false);
  crash(at);
  start(at);
  if (!at.server) return;
  auto left = ledger_.messages();
  std::erase_if(left, [&](const auto& message) { return !at.shards.has(message.second); });
  for (int i = 0; i < 400 && !violation_; ++i) {
    if (!cycle_all() && !something_is_due()) break;
  }
  for (const auto& [id, shard] : left) {
    if (ledger_.messages().contains(id)) {
      return violate("K12", fmt::format("message {} was left by a crash and is not handled", id));
    }
  }
}

// What a server finds by itself: on its disk, or at the others.
void World::load_all_releases(Place& at) {
  if (!at.is_needed()) return;
  requests_.push_back({.what = "all releases", .make = [this](size_t number) {
                         return command::load_packs({.tenant = kDefaultTenant}, pack_set(true),
                                                    answer<int>(number, nullptr));
                       }});
  send_to(at, requests_.size() - 1);
}

// When nobody lends any more who has work needs a worker of its own.
void World::spread_workers() {
  auto at_home = [&](size_t place) { return std::ranges::count(workers_, place, &Worker::home); };
  for (auto& at : places_) {
    if (!lends_ || at.shards.empty() || at_home(at.number) > 0) continue;
    auto goes = std::ranges::find_if(
        workers_, [&](const auto& one) { return one.remote && at_home(one.home) > 1; });
    if (goes != workers_.end()) go_to(*goes, at);
  }
}

void World::come_to_rest() {
  tell_trace("quiet");
  store_.heal();
  quiet_ = true;
  for (auto& worker : workers_) {
    bool late = worker.frozen && mono_ms_ - worker.renewed_ms >= 7'000;
    worker.frozen = false;
    if (worker.remote && late) lose_session(worker);
  }
  spread_workers();
  for (auto& at : places_) {
    if (!at.server) start(at);
    // Who has missed some of it begins anew: before a worker goes that only this one knows of.
    read_news(at);
  }
  if (!all_up()) return violate("K8", "the server does not start in a sound world");
  time_passes(1'100);  // after which a full disk is looked at again
  Worker& last = workers_.back();
  bool known = last.session && home_of(last)->outlet->worker_of(last.session->id);
  bool has_company = std::ranges::any_of(
      workers_, [&](const auto& other) { return &other != &last && other.home == last.home; });
  if (has_company && last.remote && known) {
    last.gone = true;
    home_of(last)->outlet->end(last.session->id);
    lose_session(last);
    last.runs.clear();
  } else if (release_ != 1 && bad_rows_.empty()) {
    Dice dice(static_cast<uint64_t>(lives_));
    handle_leftovers(some_place(dice));
    if (violation_ || !all_up()) return;
  }
  for (auto& at : places_) load_all_releases(at);
  // Schedules never end.
  for (int i = 0; i < 3; ++i) {
    auto ref = fmt::format("ci.rule{}_timer", i);
    ask("delete rule", false, [this, ref](size_t number) {
      return command::delete_rule(caller(number), ref, std::nullopt,
                                  answer<RuleRow>(number, nullptr));
    });
  }
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].lost && requests_[i].keyed && !requests_[i].answered && i % 4 != 0) send(i);
  }
  help(0);
  if (!bad_rows_.empty()) {
    rest(true);
    if (violation_) return;
    check_rest(true);
    store_.heal_all();
  }
  // What is in quarantine, its worker has forgotten: it says so when it comes back.
  if (ledger_.not_handed_over() > 0) {
    for (auto& worker : workers_) open(worker);
  }
  if (!violation_) rest(false);
  if (!violation_) check_rest(false);
  if (!violation_) check_slots();
  if (!violation_) examine(false);
}

void World::rest(bool but_for_bad_rows) {
  for (int round = 0; round < kMostRounds && !violation_; ++round) {
    bool any = rest_round(round);
    if (violation_ || !all_up()) return;
    if (all_done(but_for_bad_rows) && !something_is_due() && is_idle()) return;
    if (any) {
      if (round % 8 == 7) help(round);
      continue;
    }
    help(round);
    rest_round(round);
    if (violation_ || !all_up()) return;
    int64_t least = but_for_bad_rows ? 5'000 : 1;  // the queue looks for them each second
    time_passes(std::clamp<int64_t>(pause_ms(), least, 61'000));
  }
}

void World::check_rest(bool but_for_bad_rows) {
  if (!all_up()) return violate("K8", "the server does not start in a sound world");
  auto is_bad = [&](int64_t id) { return but_for_bad_rows && bad_rows_.contains(id); };
  for (const auto& [id, known] : ledger_.executions()) {
    const auto& row = known.row;
    if (is_bad(id)) continue;
    if (known.owed) violate("K2", fmt::format("the cancel of execution {} stays owed", id));
    // Buried blind, because nothing could be read for minutes: no operator is told whom it held up.
    if (is_final(row.status) || ledger_.not_handed_over() > 0) continue;
    violate("K8", fmt::format("execution {} ({}{}{}) is stuck: {} '{}' {}{}{}", id, row.action,
                              row.task.empty() ? "" : ", task ", row.task, to_string(row.status),
                              row.held, known.queued ? "queued " : "", row.worker ? "leased " : "",
                              known.timers.empty() ? "" : "timer"));
  }
  if (!ledger_.messages().empty()) {
    violate("K1", fmt::format("{} messages are never handled", ledger_.messages().size()));
  }
  if (!ledger_.timers().empty()) {
    violate("K5", fmt::format("{} timers never fire", ledger_.timers().size()));
  }
  for (const auto& worker : workers_) {
    for (const auto& [key, run] : worker.runs) {
      if (is_bad(key.execution.value)) continue;
      violate("K1",
              fmt::format("the end of execution {} is never acknowledged", key.execution.value));
    }
  }
  if (!is_idle()) violate("K12", "the partition does not come to rest");
  if (!harm_ && ledger_.quarantined() > 0) {
    violate("K1", "a message was put into quarantine though nothing was wrong with it");
  }
  if (!but_for_bad_rows) check_answers();
}

// Every slot can be taken: none was lost on the way.
void World::check_slots() {
  // The server knows by then who is gone.
  bool somebody_is_gone = std::ranges::any_of(workers_, &Worker::gone);
  bool first = true;
  end_loans();
  for (auto& at : places_) {
    if (!at.is_needed() || violation_) continue;
    load_all_releases(at);
    if (first && somebody_is_gone) time_passes(ttl_ms_ + 1'000);
    first = false;
    check_slots_of(at);
  }
}

void World::check_slots_of(Place& at) {
  for (int i = 0; i < 6; ++i) {
    read_news(at);
    cycle(at);
  }
  size_t slots = 0;
  for (const auto& worker : workers_) {
    if (worker.home == at.number && !worker.gone) slots += static_cast<size_t>(worker.slots);
  }
  for (size_t i = 0; i < slots + 1; ++i) {
    requests_.push_back({.what = "run for a slot", .make = [this](size_t number) {
                           return command::run(caller(number),
                                               {.action = "ci.shell", .parameters = Value::map()},
                                               answer<ExecutionRow>(number, nullptr));
                         }});
    send_to(at, requests_.size() - 1);
  }
  auto held = [&] {
    size_t orders = 0;
    for (const auto& worker : workers_) {
      if (worker.home == at.number) orders += worker.orders.size();
    }
    return orders;
  };
  // As many turns as it takes when each decides one message; no time passes.
  for (size_t i = 0; i < slots + 6; ++i) cycle(at);
  if (violation_ || held() == slots) return;
  violate("K8", fmt::format("of {} free slots {} can be used", slots, held()));
}

// The doctor, and the ledger against the store.
void World::examine(bool bytes) {
  // Where old rows go and the clock was set back, nothing is too young to have gone: ids are of the
  // latest time that it has shown.
  bool any_may_go = forgets_ && clock_stepped_;
  int64_t behind_all = wall_ms_ - latest_ms_ - 60'000;  // ids may be a little ahead of it
  auto findings =
      store::examine(store_.inspector(),
                     {.now_ms = wall_ms_,
                      .event_retention_ms = any_may_go ? behind_all
                                            : forgets_ ? 0
                                                       : retention().events,
                      .execution_retention_ms = any_may_go ? behind_all : retention().executions,
                      .check_bytes = bytes});
  ASSERT_MSG(findings.ok(), findings.error().describe());
  for (const auto& finding : *findings) {
    if (finding.severity != store::Severity::Broken) continue;
    violate(finding.promise, fmt::format("doctor: {}: {}", finding.entity, finding.message));
  }
  if (!violation_) ledger_.compare(store_.inspector(), false, forgets_);
}

}  // namespace millrace::sim
