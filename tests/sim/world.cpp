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

namespace millrace::sim {

using namespace kernel;
using engine::Decision;

World::World(SimStore& store, uint64_t seed, Coverage& coverage)
    : store_(store),
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
  start();
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
    case OpKind::Turn: return turn();
    case OpKind::Commit: return commit(1 + dice.below(6), dice.one_in(12));
    case OpKind::Settle: return settle();
    case OpKind::Cycle:
      for (uint64_t i = 0; i <= dice.below(4); ++i) {
        if (dice.one_in(3)) hasty_cycle();
        cycle();
      }
      return;
    case OpKind::Restart: return stop_in_time();
    case OpKind::Crash:
      if (dice.one_in(2)) turn();
      if (dice.one_in(2)) commit(SIZE_MAX, true);
      if (server_ && dice.one_in(3) && !server_->decided.empty()) {
        // It is not dead: it was cut off, and another one has taken its store.
        usurped_ = std::move(server_);
        server_ = std::make_unique<Server>();
      }
      crash();
      start();
      if (!server_) usurped_.reset();  // it has lost nothing yet
      return;
    case OpKind::Tick: return time_passes(static_cast<int64_t>(1 + dice.below(4'000)));
    case OpKind::Jump:
      if (server_) {
        time_passes(std::clamp<int64_t>(server_->partition->pause_ms(now()), 1, 70'000));
      }
      return;
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
  }
}

void World::fail_store(const Op& op, Dice dice) {
  static const std::vector<std::string> kReads = {
      "FROM execution WHERE id", "FROM workflow", "FROM queue", "FROM timer", "FROM message",
      "FROM execution",          "FROM worker",   "FROM dedupe"};
  static const std::vector<std::string> kWrites = {
      "INTO output",  "INTO execution", "UPDATE execution", "INTO workflow",   "INTO timer",
      "INTO message", "INTO event",     "INTO queue",       "INTO quarantine", "INTO worker"};
  int times = dice.one_in(4) ? -1 : static_cast<int>(1 + dice.below(24));
  switch (op.kind) {
    case OpKind::FailRead:
      harm_ = true;
      store_.add({.text = dice.pick(kReads), .times = times});
      break;
    case OpKind::FailWrite:
      harm_ = true;
      store_.add({.of_writer = true,
                  .text = dice.pick(kWrites),
                  .times = times,
                  .code = sql::kConstraint});
      break;
    case OpKind::Busy:
      store_.add({.of_writer = true,
                  .text = dice.one_in(2) ? "BEGIN" : "COMMIT",
                  .times = static_cast<int>(1 + dice.below(3))});
      break;
    case OpKind::Full:
      store_.add({.of_writer = true,
                  .text = dice.one_in(2) ? "COMMIT" : "INSERT INTO",
                  .times = -1,
                  .code = sql::kFull});
      break;
    case OpKind::SyncFails:
      store_.add({.of_writer = true,
                  .text = "COMMIT",
                  .code = sql::kSyncFailed,
                  .although_done = dice.one_in(2)});
      break;
    case OpKind::Damage: {
      harm_ = true;
      auto done = store_.inspector().run(
          dice.one_in(2) ? "UPDATE workflow SET head = x'7b'"
                         : "UPDATE event SET payload = x'7b' WHERE id IN (SELECT subject FROM "
                           "message WHERE kind = 0)");
      if (!done.ok()) violate("K1", "a commit is over and holds the store");
      break;
    }
    case OpKind::BadRow: {
      auto stands_alone = [](const Known& known) {
        return !is_final(known.row.status) && !known.row.parent && known.row.worker;
      };
      ExecutionId id = pick_execution(dice, stands_alone);
      // Its slot stays taken: there has to be another.
      bool fits = workers_.size() > 1 || workers_[0].slots > 1;
      if (!id || !stands_alone(*ledger_.find(id)) || !bad_rows_.empty() || !fits) return;
      harm_ = true;
      bad_rows_.insert(id.value);
      store_.add(
          {.text = "FROM execution WHERE id", .times = -1, .bound = id.value, .stays = true});
      break;
    }
    default: break;
  }
  tell_trace(fmt::format("{} {}", to_string(op.kind), times));
}

engine::PackSet World::pack_set(bool all_there) {
  engine::PackSet set;
  set.system = {core_pack()};
  set.own = {release(release_)};
  auto pinned = store::pinned_releases(store_.inspector());
  if (!pinned.ok()) {
    violate("K1", "a commit is over and holds the store");
    return set;
  }
  for (auto& row : *pinned) {
    if (row.pack != "ci" || row.digest == release(release_)->digest) continue;
    int number = row.digest.back() - '0';
    if (!all_there && lost_releases_.contains(number)) {
      set.missing.push_back(row);
    } else {
      set.retired.push_back(release(number));
    }
  }
  return set;
}

void World::start() {
  ++epoch_;
  if (epoch_ > 1) {
    ledger_.compare(store_.inspector(), surprises_, forgets_);
    surprises_ = false;
  }
  auto server = std::make_unique<Server>();
  auto begin = [&]() -> Result<void> {
    int64_t epoch = 0;
    {
      TRY(auto writer, store_.open_writer());
      TRY(epoch, store::claim_shards(*writer, fmt::format("server {}", epoch_), ShardSet::all()));
    }
    auto packs = pack_set(quiet_);
    auto catalog = catalog_of(release_);
    for (const auto& pack : packs.retired) {
      catalog = catalog->with_retired(kDefaultTenant, pack);
    }
    catalog = catalog->with_missing(kDefaultTenant, packs.missing);
    TRY(auto reader, store_.open_reader());
    TRY(catalog, engine::with_stored(catalog, *reader, nullptr));
    TRY(server->writer, store::Writer::open(store_, {.owner_epoch = epoch}));
    server->outlet = std::make_unique<engine::Outlet>([](WorkOrder&) {});
    TRY(server->partition,
        engine::Partition::open(
            std::move(reader), catalog, {*server->outlet, *this, nullptr},
            {.max_batch = max_batch_, .left_at_once = left_at_once_, .retention = retention()}));
    return {};
  };
  if (auto begun = begin(); !begun.ok()) {
    tell_trace("the server does not start: " + begun.error().describe());
    return;
  }
  tell_trace(fmt::format("server {} starts", epoch_));
  fires_ = 0;
  server_ = std::move(server);
  if (!load_first_packs()) return;
  for (auto& worker : workers_) open(worker);
}

// The releases are in the store before anybody asks for anything; without that it does not start.
bool World::load_first_packs() {
  bool loaded = false;
  offer(engine::command::load_packs({.tenant = kDefaultTenant}, pack_set(quiet_),
                                    [&loaded](const Result<int>& done) { loaded = done.ok(); }));
  int servers = epoch_;
  for (int i = 0; i < 8 && !loaded && epoch_ == servers; ++i) cycle();
  if (epoch_ != servers) return false;
  if (!loaded) crash();
  return loaded;
}

// What is in memory is lost: of what was asked nobody will hear.
void World::crash() {
  if (!server_) return;
  tell_trace("crash");
  server_.reset();
  for (auto& request : requests_) {
    request.lost |= request.open > 0;
    request.open = 0;
  }
  for (auto& worker : workers_) {
    worker.session.reset();
    worker.opens = false;
    worker.orders.clear();
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::AsksToBegin) run.state = WorkerRun::State::Building;
    }
  }
}

void World::offer(engine::Message message) {
  if (!server_) return;
  ++messages_;
  server_->partition->offer(std::move(message), now());
}

void World::turn() {
  if (!server_) return start();
  latest_ms_ = std::max(latest_ms_, wall_ms_);
  auto work = server_->partition->take(now());
  if (!work.ok()) return violate("K0", "the partition gives up: " + work.error().describe());
  for (auto& step : work->steps) {
    const auto& decision = static_cast<const Decision&>(*step);
    if (server_->drains && !decision.grants.empty()) {
      violate("K12", "work is handed out by a server that drains");
    }
    server_->decided.push_back({std::move(step), latest_ms_});
  }
}

engine::Retention World::retention() const {
  if (!forgets_) return {};
  return {.events = 90'000, .executions = 90'000, .changes = 90'000};
}

void World::write_as_usurped() {
  auto old = std::exchange(usurped_, nullptr);
  std::vector<std::unique_ptr<store::Step>> batch;
  for (auto& decided : old->decided) batch.push_back(std::move(decided.step));
  auto outcomes = old->writer->write(batch, {.unix_ms = wall_ms_, .monotonic_ms = mono_ms_});
  for (const auto& outcome : outcomes) {
    if (outcome.end == store::WriteEnd::Unavailable) continue;
    return violate("K6", "a server that has lost its shards writes");
  }
}

void World::commit(size_t most, bool dies_before_it_tells) {
  if (usurped_) write_as_usurped();
  if (!server_ || server_->decided.empty()) return;
  std::vector<std::unique_ptr<store::Step>> batch;
  std::map<const store::Step*, int64_t> decided_at;
  while (!server_->decided.empty() && batch.size() < most) {
    batch.push_back(std::move(server_->decided.front().step));
    decided_at[batch.back().get()] = server_->decided.front().wall_ms;
    server_->decided.pop_front();
  }
  auto outcomes = server_->writer->write(batch, {.unix_ms = wall_ms_, .monotonic_ms = mono_ms_});
  for (const auto& outcome : outcomes) {
    const auto& decision = static_cast<const Decision&>(*outcome.step);
    ++coverage_.ends[static_cast<size_t>(outcome.end)];
    if (trace_) {
      tell_trace(fmt::format("commit {} ({}): {} {}", decision.attempt.message->name(),
                             decision.attempt.message->about().subject,
                             static_cast<int>(outcome.end), outcome.reason));
    }
    if (outcome.end != store::WriteEnd::Committed) continue;
    ledger_.committed(decision, decided_at[outcome.step.get()]);
  }
  if (server_->writer->fatal()) {
    surprises_ = true;
    crash();
    return start();
  }
  if (dies_before_it_tells) {
    crash();
    return start();
  }
  engine::deliver(outcomes, *server_->outlet, *this);
  for (auto& outcome : outcomes) server_->written.push_back(std::move(outcome));
}

void World::settle() {
  if (!server_ || server_->written.empty()) return;
  server_->partition->written(std::exchange(server_->written, {}), now());
}

bool World::cycle() {
  if (!server_) start();
  if (!server_) return false;
  int64_t before = messages_;
  settle();
  turn();
  bool any = server_ && !server_->decided.empty();
  commit(SIZE_MAX, false);
  settle();
  return any || messages_ > before || (server_ && server_->partition->pause_ms(now()) == 0);
}

// What a commit tells reaches the workers, and what they answer is decided, before the partition
// hears of the commit itself.
void World::hasty_cycle() {
  turn();
  commit(SIZE_MAX, false);
  for (auto& worker : workers_) {
    if (!worker.session || worker.frozen) continue;
    take_orders(worker, SIZE_MAX);
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::Runs) end(worker, run, Dice(0));
    }
    tell_all(worker);
  }
  turn();
  settle();
}

// What a stop promises: nothing is started any more, everything in hand is seen to its end, and it
// does not take for ever.
void World::stop_in_time() {
  if (!server_) return;
  tell_trace("drains");
  server_->drains = true;
  int servers = epoch_;
  server_->partition->drain();
  for (int i = 0; i < 4; ++i) cycle();
  if (epoch_ != servers) return;
  server_->partition->wind_up();
  for (int i = 0; i < 60 && epoch_ == servers && !server_->partition->is_idle(); ++i) {
    cycle();
    if (epoch_ == servers && !server_->partition->is_idle()) {
      time_passes(std::clamp<int64_t>(server_->partition->pause_ms(now()), 0, 60'000));
    }
  }
  if (epoch_ != servers) return;
  if (!store_.is_ill() && !server_->partition->is_idle()) {
    violate("K12", "a server that stops does not come to rest");
  }
  commit(SIZE_MAX, false);  // what the committer had been given
  if (epoch_ != servers) return;
  server_->partition->abandon(Error(ErrorKind::Unavailable, "SIM-0001", "the server stops"));
  crash();
  start();
}

// Observer

void World::ended(const ExecutionRow& row) {
  const auto* known = ledger_.find(row.id);
  if (!known || !is_final(known->row.status)) {
    violate("K1",
            fmt::format("the end of execution {} is told before it is durable", row.id.value));
  }
}

void World::decided(std::string_view kind, int64_t) {
  if (kind == "sweep") {
    sweeps_ = sweeps_at_ms_ == mono_ms_ ? sweeps_ + 1 : 1;
    sweeps_at_ms_ = mono_ms_;
    if (sweeps_ > 100) violate("K12", "sweeps follow each other without end");
  } else if (kind == "dispatch_queue") {
    dispatches_ = dispatched_at_ms_ == mono_ms_ ? dispatches_ + 1 : 1;
    dispatched_at_ms_ = mono_ms_;
    if (dispatches_ > 150) violate("K12", "the queue is looked at without end");
  } else if (kind == "fire_timer" && ++fires_ > ledger_.timers_made() + 4) {
    violate("K12", "timers that are in hand are brought again and again");
  }
  auto found = coverage_.messages.find(kind);
  if (found == coverage_.messages.end()) {
    coverage_.messages.emplace(kind, 1);
  } else {
    ++found->second;
  }
}

void World::met(engine::Trouble trouble, engine::Fate::What fate) {
  ++coverage_.fates[static_cast<size_t>(trouble)][static_cast<size_t>(fate)];
}

}  // namespace millrace::sim
