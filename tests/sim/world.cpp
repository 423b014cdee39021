// SPDX-License-Identifier: Apache-2.0
// The server's life: it starts, takes turns, commits, dies.
#include "world.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/stored_catalog.h"
#include "packs.h"
#include "store/migrate.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::sim {

using namespace kernel;
using engine::Decision;

World::World(SimStore& store, uint64_t seed, Coverage& coverage)
    : store_(store),
      several_(has_several(seed)),
      limited_(has_limits(seed)),
      coverage_(coverage),
      ledger_(
          [this](std::string_view promise, std::string what) { violate(promise, std::move(what)); },
          coverage) {
  store_.clear();
  Dice dice(seed);
  ttl_ms_ = dice.one_in(3) ? 10'000 : 0;
  max_batch_ = dice.one_in(4) ? 2 : 512;
  release_ = static_cast<int>(dice.below(2));
  forgets_ = dice.one_in(8);
  if (dice.one_in(2)) left_at_once_ = 2;
  int count = dice.one_in(3) ? 2 : 1;
  for (int i = 0; i < count; ++i) {
    workers_.push_back({.name = i == 0 ? "local" : "other",
                        .slots = static_cast<int>(1 + dice.below(3)),
                        .remote = ttl_ms_ > 0});
  }
  make_places(Dice(seed * 31 + 7));
  // Where rows go after a minute and a half, the time that loans take to end would be their end.
  lends_ = several_ && seed % 2 == 0 && !forgets_;
}

World::~World() = default;

void World::violate(std::string_view promise, std::string what) {
  tell_trace(fmt::format("VIOLATED {}: {}", promise, what));
  if (!violation_) violation_ = Violation{std::string(promise), std::move(what)};
}

void World::tell_trace(std::string line) {
  if (trace_) trace_(fmt::format("{:>8} {}", mono_ms_, line));
}

std::optional<Violation> World::run(const Plan& plan, std::function<void(std::string)> trace) {
  trace_ = std::move(trace);
  start_all();
  for (const auto& op : plan.ops) {
    if (violation_) return violation_;
    ledger_.note(static_cast<uint64_t>(op.kind) << 56 ^ op.number);
    ++coverage_.ops[std::string(to_string(op.kind))];
    apply(op);
  }
  if (!violation_) come_to_rest();
  return violation_;
}

void World::apply(const Op& op) {
  Dice dice(op.number);
  switch (op.kind) {
    case OpKind::Ingest:
    case OpKind::Replay:
    case OpKind::Run:
    case OpKind::Cancel:
    case OpKind::Pause:
    case OpKind::Resume:
    case OpKind::Rerun:
    case OpKind::Resolve:
    case OpKind::Answer:
    case OpKind::WriteRule:
    case OpKind::DeleteRule:
    case OpKind::Webhook:
    case OpKind::WriteKey:
    case OpKind::Token:
    case OpKind::Reload:
    case OpKind::Uninstall:
    case OpKind::Retry: return client(op, dice);
    case OpKind::Turn: return turn(some_place(dice));
    case OpKind::Commit: {
      Place& at = some_place(dice);
      size_t most = 1 + dice.below(6);
      return commit(at, most, dice.one_in(12));
    }
    case OpKind::Settle: return settle(some_place(dice));
    case OpKind::Cycle: {
      Place& at = some_place(dice);
      for (uint64_t i = 0; i <= dice.below(4); ++i) {
        if (dice.one_in(3)) hasty_cycle(at);
        cycle(at);
      }
      return;
    }
    case OpKind::Restart: return stop_in_time(some_place(dice));
    case OpKind::Crash: {
      Place& at = some_place(dice);
      if (dice.one_in(2)) turn(at);
      if (dice.one_in(2)) commit(at, SIZE_MAX, true);
      // Or it is not dead: it was cut off, and another one takes its store.
      if (at.server && dice.one_in(3) && !at.server->decided_steps.empty()) cut_off(at);
      crash(at);
      start(at);
      if (!at.server) at.usurped.reset();  // it has lost nothing yet
      return;
    }
    case OpKind::Tick: return time_passes(static_cast<int64_t>(1 + dice.below(4'000)));
    case OpKind::Jump: {
      Place& at = some_place(dice);
      if (at.server) {
        time_passes(std::clamp<int64_t>(at.server->partition->pause_ms(now()), 1, 70'000));
      }
      return;
    }
    case OpKind::ClockStep:
      wall_ms_ += static_cast<int64_t>(dice.below(240'000)) - 120'000;
      clock_stepped_ = true;
      return;
    case OpKind::Start:
    case OpKind::Finish:
    case OpKind::Repeat:
    case OpKind::Build:
    case OpKind::Freeze:
    case OpKind::Die:
    case OpKind::Open: return work(op, dice);
    case OpKind::FailRead:
    case OpKind::FailWrite:
    case OpKind::Busy:
    case OpKind::Full:
    case OpKind::SyncFails:
    case OpKind::Damage:
    case OpKind::BadRow: return fail_store(op, dice);
    case OpKind::Heal: return store_.heal();
    case OpKind::HandOver: return hand_over(dice);
    case OpKind::Hint: shuffle_words(dice); return bring_hints(dice);
    case OpKind::News:
      read_news(some_place(dice));
      pass_word();
      return;
  }
}

engine::PackSet World::pack_set(bool all_there) {
  engine::PackSet set;
  set.system = {core_pack()};
  set.own = {release(release_, limited_)};
  auto pinned = store::pinned_releases(store_.inspector());
  if (!pinned.ok()) {
    violate("K1", "a commit is over and holds the store");
    return set;
  }
  if (several_) {
    auto current = store::current_releases(store_.inspector());
    ASSERT_MSG(current.ok(), current.error().describe());
    set.shared = true;
    set.known.emplace();
    for (const auto& row : current->rows) set.known->insert(row.digest);
    set.newest = current->newest;
  }
  for (auto& row : *pinned) {
    if (row.pack != "ci" || row.digest == release(release_, limited_)->digest) continue;
    int number = row.digest.back() - '0';
    if (!all_there && lost_releases_.contains(number)) {
      set.missing.push_back(row);
    } else {
      set.retired.push_back(release(number, limited_));
    }
  }
  return set;
}

void World::start(Place& at) {
  if (!at.is_needed()) return;
  ++at.lives;
  if (++lives_ > 1) {
    ledger_.compare(store_.inspector(), surprises_, forgets_);
    surprises_ = false;
  }
  auto server = std::make_unique<Server>(*this, lives_);
  int64_t read_to = 0;  // the feed
  std::unique_ptr<sql::Connection> feed;
  auto begin = [&]() -> Result<void> {
    int64_t epoch = 0;
    {
      TRY(auto writer, store_.open_writer());
      TRY(epoch, store::claim_shards(*writer, at.number, at.shards));
    }
    auto packs = pack_set(quiet_);
    auto catalog = catalog_of(release_, limited_);
    for (const auto& pack : packs.retired) {
      catalog = catalog->with_retired(kDefaultTenant, pack);
    }
    catalog = catalog->with_missing(kDefaultTenant, packs.missing);
    TRY(auto reader, store_.open_reader());
    TRY(read_to, store::last_change(*reader));
    TRY(catalog, engine::with_stored(catalog, *reader, nullptr));
    // An owner of all as it likes: the next one finds the keys, whichever way they were written.
    bool keeps_keys = at.shards == ShardSet::all() && epoch % 3 != 0;
    TRY(server->writer, store::Writer::open(store_, {.shards = at.shards,
                                                     .owner_epoch = epoch,
                                                     .recent_keys = keeps_keys ? size_t{3} : 0}));
    server->outlet = std::make_unique<engine::Outlet>([](WorkOrder&) {});
    server->borrower = borrower_of(*server);
    engine::Surroundings surroundings{*server->outlet, *server, nullptr};
    surroundings.loans = server->borrower.get();
    TRY(server->partition, engine::Partition::open(std::move(reader), catalog, surroundings,
                                                   {.shards = at.shards,
                                                    .node = static_cast<uint16_t>(at.number),
                                                    .max_batch = max_batch_,
                                                    .left_at_once = left_at_once_,
                                                    .retention = retention()}));
    if (several_) {
      TRY(feed, store_.open_reader());
    }
    return {};
  };
  if (auto begun = begin(); !begun.ok()) {
    tell_trace("the server does not start: " + begun.error().describe());
    return;
  }
  tell_trace(
      fmt::format("server {} starts at {} with {} shards", lives_, at.number, at.shards.size()));
  at.server = std::move(server);
  if (feed) at.server->feed = feed_of(at, std::move(feed), read_to);
  if (!load_first_packs(at)) return;
  for (auto& worker : workers_) {
    if (worker.home == at.number) open(worker);
  }
  // Nobody is given up: each worker comes back to its home.
  bool any_moved = std::ranges::any_of(workers_, &Worker::moved);
  if (any_moved) offer(at, engine::check_homes(lives(), at.server->life));
}

std::vector<int64_t> World::lives() const {
  std::vector<int64_t> all;
  for (int64_t life = 0; life <= lives_; ++life) all.push_back(life);
  return all;
}

// The releases are in the store before anybody asks for anything; without that it does not start.
bool World::load_first_packs(Place& at) {
  bool loaded = false;
  offer(at,
        engine::command::load_packs({.tenant = kDefaultTenant}, pack_set(quiet_),
                                    [&loaded](const Result<int>& done) { loaded = done.ok(); }));
  int64_t lives = at.lives;
  for (int i = 0; i < 8 && !loaded && at.lives == lives; ++i) cycle(at);
  if (at.lives != lives) return false;
  if (!loaded) crash(at);
  return loaded;
}

// What is in memory is lost: of what was asked nobody will hear.
void World::crash(Place& at) {
  if (!at.server) return;
  tell_trace(fmt::format("crash at {}", at.number));
  at.server.reset();
  for (auto& request : requests_) {
    int& open = request.open[at.number];
    request.lost |= open > 0;
    open = 0;
  }
  for (auto& worker : workers_) {
    if (worker.home != at.number) continue;
    worker.session.reset();
    worker.opens = false;
    worker.orders.clear();
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::AsksToBegin) run.state = WorkerRun::State::Building;
    }
  }
}

// It goes on, and does not know that it has lost its shards.
void World::cut_off(Place& at) {
  at.usurped = std::move(at.server);
  at.server = std::make_unique<Server>(*this, ++lives_);
}

void World::offer(Place& at, engine::Message message) {
  if (!at.server) return;
  ++messages_;
  at.server->partition->offer(std::move(message), now());
}

void World::turn(Place& at) {
  if (!at.is_needed()) return;
  if (!at.server) return start(at);
  latest_ms_ = std::max(latest_ms_, wall_ms_);
  for (auto& permits : std::exchange(at.server->lent, {})) {
    at.server->partition->borrow(std::move(permits), now());
  }
  auto work = at.server->partition->take(now());
  if (!work.ok()) return violate("K0", "the partition gives up: " + work.error().describe());
  for (auto& step : work->steps) {
    const auto& decision = static_cast<const Decision&>(*step);
    if (at.server->drains && !decision.grants.empty()) {
      violate("K12", "work is handed out by a server that drains");
    }
    at.server->decided_steps.push_back({std::move(step), latest_ms_});
  }
}

engine::Retention World::retention() const {
  if (!forgets_) return {};
  return {.events = 90'000, .executions = 90'000, .changes = 90'000};
}

void World::write_as_usurped(Place& at) {
  auto old = std::exchange(at.usurped, nullptr);
  std::vector<std::unique_ptr<store::Step>> batch;
  for (auto& decided : old->decided_steps) batch.push_back(std::move(decided.step));
  auto outcomes = old->writer->write(batch, {.unix_ms = wall_ms_, .monotonic_ms = mono_ms_});
  for (const auto& outcome : outcomes) {
    if (outcome.end == store::WriteEnd::Unavailable) continue;
    return violate("K6", "a server that has lost its shards writes");
  }
}

void World::commit(Place& at, size_t most, bool dies_before_it_tells) {
  for (auto& each : places_) {
    if (each.usurped) write_as_usurped(each);
  }
  if (!at.server || at.server->decided_steps.empty()) return;
  std::vector<std::unique_ptr<store::Step>> batch;
  std::map<const store::Step*, int64_t> decided_at;
  while (!at.server->decided_steps.empty() && batch.size() < most) {
    batch.push_back(std::move(at.server->decided_steps.front().step));
    decided_at[batch.back().get()] = at.server->decided_steps.front().wall_ms;
    at.server->decided_steps.pop_front();
  }
  auto outcomes = at.server->writer->write(batch, {.unix_ms = wall_ms_, .monotonic_ms = mono_ms_});
  for (const auto& outcome : outcomes) {
    const auto& decision = static_cast<const Decision&>(*outcome.step);
    ++coverage_.ends[static_cast<size_t>(outcome.end)];
    if (trace_) {
      tell_trace(fmt::format("commit {} ({}): {} {}", decision.attempt.message->name(),
                             decision.attempt.message->about().subject,
                             static_cast<int>(outcome.end), outcome.reason));
      for (const auto& gauge : decision.changes.gauges) {
        tell_trace(fmt::format("  limit {}: {} hold, {} wait, version {}", gauge.name, gauge.held,
                               gauge.waiting, gauge.version));
      }
      for (const auto& place : decision.changes.places) {
        std::string_view how = place.gone                         ? "leaves"
                               : place.state == PlaceState::Waits ? "waits at"
                                                                  : "holds";
        tell_trace(fmt::format("  {} {} {}", place.execution.value, how, place.gauge));
      }
    }
    if (outcome.end != store::WriteEnd::Committed) continue;
    ledger_.committed(decision, at.shards, decided_at[outcome.step.get()]);
    for (const auto& message : decision.changes.messages) {
      if (message.kind == MessageKind::FinishRun) {
        handed_on_[message.subject].push_back(message.id.value);
      }
    }
  }
  if (at.server->writer->fatal()) {
    surprises_ = true;
    crash(at);
    return start(at);
  }
  if (dies_before_it_tells) {
    crash(at);
    return start(at);
  }
  engine::deliver(outcomes, *at.server->outlet, *at.server);
  for (auto& outcome : outcomes) at.server->written.push_back(std::move(outcome));
}

void World::settle(Place& at) {
  if (!at.server || at.server->written.empty()) return;
  at.server->partition->written(std::exchange(at.server->written, {}), now());
}

bool World::cycle(Place& at) {
  if (!at.server) start(at);
  if (!at.server) return false;
  int64_t before = messages_;
  settle(at);
  turn(at);
  bool any = at.server && !at.server->decided_steps.empty();
  commit(at, SIZE_MAX, false);
  settle(at);
  return any || messages_ > before || (at.server && at.server->partition->pause_ms(now()) == 0);
}

bool World::cycle_all() {
  bool any = false;
  for (auto& at : places_) any |= cycle(at);
  any |= pass_word();
  return any;
}

// What a commit tells reaches the workers, and what they answer is decided, before the partition
// hears of the commit itself.
void World::hasty_cycle(Place& at) {
  turn(at);
  commit(at, SIZE_MAX, false);
  for (auto& worker : workers_) {
    if (worker.home != at.number || !worker.session || worker.frozen) continue;
    take_orders(worker, SIZE_MAX);
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::Runs) end(worker, run, Dice(0));
    }
    tell_all(worker);
  }
  turn(at);
  settle(at);
}

// What a stop promises: nothing is started any more, everything in hand is seen to its end, and it
// does not take for ever.
void World::wind_up(Place& at) {
  if (!at.server) return;
  tell_trace(fmt::format("drains at {}", at.number));
  at.server->drains = true;
  int64_t lives = at.lives;
  at.server->partition->drain();
  for (int i = 0; i < 4; ++i) cycle(at);
  if (at.lives != lives) return;
  at.server->partition->wind_up();
  for (int i = 0; i < 60 && at.lives == lives && !at.server->partition->is_idle(); ++i) {
    read_news(at);
    cycle(at);
    if (at.lives == lives && !at.server->partition->is_idle()) {
      time_passes(std::clamp<int64_t>(at.server->partition->pause_ms(now()), 0, 60'000));
    }
  }
  if (at.lives != lives) return;
  if (!store_.is_ill() && !at.server->partition->is_idle()) {
    violate("K12", "a server that stops does not come to rest");
  }
  commit(at, SIZE_MAX, false);  // what the committer had been given
  if (at.lives != lives) return;
  at.server->partition->abandon(Error(ErrorKind::Unavailable, "SIM-0001", "the server stops"));
  crash(at);
}

void World::stop_in_time(Place& at) {
  if (!at.server) return;
  int64_t lives = at.lives;
  wind_up(at);
  if (at.lives == lives) start(at);
}

// What servers say

void World::ended(const ExecutionRow& row) {
  const auto* known = ledger_.find(row.id);
  if (!known || !is_final(known->row.status)) {
    violate("K1",
            fmt::format("the end of execution {} is told before it is durable", row.id.value));
  }
}

void World::Server::decided(std::string_view kind, int64_t) {
  if (kind == "sweep") {
    sweeps_ = sweeps_at_ms_ == world_.mono_ms_ ? sweeps_ + 1 : 1;
    sweeps_at_ms_ = world_.mono_ms_;
    if (sweeps_ > 100) world_.violate("K12", "sweeps follow each other without end");
  } else if (kind == "dispatch_queue") {
    dispatches_ = dispatched_at_ms_ == world_.mono_ms_ ? dispatches_ + 1 : 1;
    dispatched_at_ms_ = world_.mono_ms_;
    if (dispatches_ > 150) world_.violate("K12", "the queue is looked at without end");
  } else if (kind == "fire_timer" && ++fires_ > world_.ledger_.timers_made() + 4) {
    world_.violate("K12", "timers that are in hand are brought again and again");
  }
  auto& messages = world_.coverage_.messages;
  auto found = messages.find(kind);
  if (found == messages.end()) {
    messages.emplace(kind, 1);
  } else {
    ++found->second;
  }
}

void World::Server::met(engine::Trouble trouble, engine::Fate::What fate) {
  ++world_.coverage_.fates[static_cast<size_t>(trouble)][static_cast<size_t>(fate)];
}

}  // namespace millrace::sim
