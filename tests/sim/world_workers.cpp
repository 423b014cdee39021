// SPDX-License-Identifier: Apache-2.0
// Workers: they take orders, run, tell, freeze, die and come back.
#include <fmt/format.h>

#include <algorithm>

#include "engine/transitions/messages.h"
#include "world.h"

namespace millrace::sim {

using namespace kernel;
using namespace engine;

namespace {

constexpr int64_t kFenceMs = 7'000;  // of a lease of 10 s

}  // namespace

Worker* World::worker_of(SessionId session) {
  for (auto& worker : workers_) {
    if (worker.session && worker.session->id == session) return &worker;
  }
  return nullptr;
}

// WorkReceiver

void World::grant(SessionId session, std::vector<WorkOrder> orders) {
  for (auto& order : orders) {
    const auto* known = ledger_.find(order.key.execution);
    bool durable =
        known && known->row.key() == order.key && known->row.worker && known->row.started > 0;
    if (!durable) {
      violate("K7", fmt::format("the order for execution {} leaves before it is durable",
                                order.key.execution.value));
    }
    if (!granted_.insert(order.key).second) {
      violate("K6", fmt::format("the order for execution {} attempt {} epoch {} goes out twice",
                                order.key.execution.value, order.key.attempt, order.key.epoch));
    }
    tell_trace(fmt::format("order {} epoch {} in session {}", order.key.execution.value,
                           order.key.epoch, session.value));
    // One that another server has given it is leased before its home has it.
    auto is_leased = [&](const auto& each) {
      const auto& row = each.second.row;
      return row.worker == known->row.worker && !is_final(row.status) && !is_handed_on(row.id) &&
             (!lends_ || granted_.contains(row.key()));
    };
    Worker* worker = worker_of(session);
    auto leased = known ? std::ranges::count_if(ledger_.executions(), is_leased) : 0;
    if (worker) {  // what has ended at the worker takes none of its slots
      leased -= std::ranges::count_if(worker->runs, [&](const auto& run) {
        return run.second.state == WorkerRun::State::Ended && !is_handed_on(run.first.execution);
      });
    }
    // What a server that it has left has given it since never comes to it.
    if (worker && worker->moved) leased = static_cast<int64_t>(worker->load()) + 1;
    if (worker && leased > worker->slots) {
      violate("K6", fmt::format("worker {} has {} slots and {} runs", worker->name, worker->slots,
                                leased));
    }
    if (worker) worker->orders.push_back(std::move(order));
  }
}

void World::cancel(SessionId session, const Of<RunKey>& of, std::string) {
  const RunKey& key = of.id;
  Worker* worker = worker_of(session);
  if (!worker || worker->frozen) return;
  std::erase_if(worker->orders, [&](const auto& order) { return order.key == key; });
  auto run = worker->runs.find(key);
  Completion completion{.tenant = kDefaultTenant, .key = key, .end = RunEnd::Lost};
  if (run != worker->runs.end()) {
    if (run->second.state == WorkerRun::State::Ended) return;  // told anyhow
    completion.end = RunEnd::Canceled;
    run->second.state = WorkerRun::State::Ended;
    run->second.end = completion;
  } else {
    worker->runs[key] = {.order = {.tenant = kDefaultTenant, .key = key},
                         .state = WorkerRun::State::Ended,
                         .end = completion};
  }
}

void World::open(Worker& worker) {
  if (!home_of(worker) || worker.opens || worker.frozen || worker.gone) return;
  worker.opens = true;
  ++worker.opening;
  worker.session.reset();
  // Nothing of these has happened yet, and they are not named: the server orders them again.
  worker.orders.clear();
  std::erase_if(worker.runs, [](const auto& run) {
    return run.second.state == WorkerRun::State::Building ||
           run.second.state == WorkerRun::State::AsksToBegin;
  });
  std::string name = worker.name;
  auto opened = [this, name, instance = worker.instance, opening = worker.opening,
                 life = home_of(worker)->life](Result<Session> session) {
    auto& asked = *std::ranges::find(workers_, name, &Worker::name);
    Server* server = home_of(asked);
    if (!server || server->life != life) return;  // who answers is cut off
    if (asked.opening != opening) return;         // the answer to its last question counts
    asked.opens = false;
    if (asked.instance != instance) return;  // who has asked is dead
    if (!session.ok()) return;
    server->outlet->attach(*session, *this);
    asked.session = *session;
    asked.id = session->worker;
    asked.renewed_ms = mono_ms_;
    tell_trace(fmt::format("worker {} opens session {}", name, session->id.value));
  };
  SessionTerms terms;
  if (worker.remote) terms = {.ttl_ms = ttl_ms_, .renew_ms = 3'000, .fence_ms = kFenceMs};
  if (several_) terms.home = home_of(worker)->life;
  offer(places_[worker.home], open_worker(worker.hello(), terms, std::move(opened)));
}

// An agent goes to another server, with what it runs: the one before is told nothing, and what it
// still has to say to this worker is cut off.
void World::move(Worker& worker, Dice& dice) {
  auto& to = places_[dice.below(places_.size())];
  if (!lends_ || !worker.remote || !to.server || to.number == worker.home) return;
  go_to(worker, to);
}

void World::go_to(Worker& worker, const Place& to) {
  tell_trace(fmt::format("worker {} goes from {} to {}", worker.name, worker.home, to.number));
  worker.home = to.number;
  worker.moved = true;
  worker.opens = false;
  worker.session.reset();
  worker.orders.clear();
}

void World::take_orders(Worker& worker, size_t most) {
  for (; most > 0 && !worker.orders.empty(); --most) {
    WorkOrder order = std::move(worker.orders.front());
    worker.orders.erase(worker.orders.begin());
    WorkerRun run{.order = std::move(order)};
    auto& there = worker.runs[run.order.key] = std::move(run);
    begin(worker, there);
  }
}

// A process begins: what K6 and K7 are about.
void World::begin(Worker& worker, WorkerRun& run) {
  run.state = WorkerRun::State::Runs;
  ExecutionId id = run.order.key.execution;
  for (const auto& other : workers_) {
    for (const auto& [key, each] : other.runs) {
      if (key.execution != id || key == run.order.key) continue;
      if (each.state == WorkerRun::State::Runs && !other.frozen) {
        violate("K6", fmt::format("execution {} runs twice at a time", id.value));
      }
    }
  }
  int begun = ++begun_[id.value];
  const auto* known = ledger_.find(id);
  if (known && known->row.effect_class == EffectClass::AtMostOnce &&
      begun > 1 + allowed_again_[id.value]) {
    violate("K7", fmt::format("execution {} may run once and has begun {} times", id.value, begun));
  }
  tell_trace(fmt::format("worker {} begins {}", worker.name, id.value));
}

void World::build(Worker& worker, Dice dice) {
  if (worker.orders.empty()) {
    for (auto& [key, run] : worker.runs) {
      if (run.state == WorkerRun::State::Building && run.known) return ask_to_begin(worker, key);
    }
    return;
  }
  WorkOrder order = std::move(worker.orders.front());
  worker.orders.erase(worker.orders.begin());
  RunKey key = order.key;
  worker.runs[key] = {.order = std::move(order), .state = WorkerRun::State::Building};
  // As the engine does: it is not said to be ready before that is known.
  auto known = [this, name = worker.name, key, at_once = dice.one_in(3)] {
    auto& builder = *std::ranges::find(workers_, name, &Worker::name);
    auto run = builder.runs.find(key);
    if (run == builder.runs.end()) return;
    run->second.known = true;
    if (at_once) ask_to_begin(builder, key);
  };
  WorkerId of = worker.session ? worker.session->worker : WorkerId();
  offer(places_[worker.home],
        prepare_run(of, kDefaultTenant, key, "an environment", std::move(known)));
}

void World::ask_to_begin(Worker& worker, RunKey key) {
  if (!home_of(worker) || !worker.session) return;
  worker.runs[key].state = WorkerRun::State::AsksToBegin;
  auto go = [this, name = worker.name, key](bool may) {
    auto& asked = *std::ranges::find(workers_, name, &Worker::name);
    auto run = asked.runs.find(key);
    if (run == asked.runs.end() || run->second.state != WorkerRun::State::AsksToBegin) return;
    if (!may) {
      asked.runs.erase(run);
      return;
    }
    const auto* known = ledger_.find(key.execution);
    // A cancel in the same commit follows it.
    bool may_run = known && (known->row.status == ExecutionStatus::Running ||
                             known->row.status == ExecutionStatus::Canceling);
    if (!may_run || known->row.started == 0 || known->row.key() != key) {
      violate("K7",
              fmt::format("execution {} may begin before that is durable", key.execution.value));
    }
    begin(asked, run->second);
  };
  offer(places_[worker.home], run_is_prepared(worker.session->worker, kDefaultTenant, key, go));
}

void World::end(Worker& worker, WorkerRun& run, Dice dice) {
  run.state = WorkerRun::State::Ended;
  const RunKey& key = run.order.key;
  Completion completion{.tenant = run.order.tenant, .key = key};
  completion.started_ms = wall_ms_;
  completion.ended_ms = wall_ms_;
  completion.out.bytes = fmt::format("{{\"n\": 1, \"run\": \"{}.{}\"}}", key.attempt, key.epoch);
  uint64_t how = quiet_ ? 0 : dice.below(12);
  switch (how) {
    case 8:
    case 9: completion.exit_code = 1; break;
    case 10: completion.end = dice.one_in(2) ? RunEnd::TimedOut : RunEnd::Signaled; break;
    case 11: completion.end = dice.one_in(2) ? RunEnd::Lost : RunEnd::SpawnFailed; break;
    default: break;
  }
  completion.out.size = static_cast<int64_t>(completion.out.bytes.size());
  run.end = std::move(completion);
  tell_all(worker);
}

void World::tell(Worker& worker, const Completion& completion) {
  Server* server = home_of(worker);
  if (!server || !worker.session) return;
  // As the server does with what a session that is over says.
  if (!server->outlet->worker_of(worker.session->id)) return;
  tell_trace(
      fmt::format("worker {} tells the end of {}", worker.name, completion.key.execution.value));
  auto done = [this, name = worker.name, key = completion.key] { acknowledged(name, key); };
  offer(places_[worker.home], finish_run(worker.session->worker, completion, {}, done));
}

// Its end is a stored message, for the owner of its shard.
bool World::is_handed_on(ExecutionId id) const {
  auto ends = handed_on_.find(id.value);
  return ends != handed_on_.end() && std::ranges::any_of(ends->second, [&](int64_t end) {
           return ledger_.messages().contains(end);
         });
}

// K1: the worker forgets the run, so somebody else has to remember it.
void World::acknowledged(const std::string& name, const RunKey& key) {
  const auto* known = ledger_.find(key.execution);
  bool remembered = known && (is_handed_on(key.execution) || is_final(known->row.status) ||
                              known->row.key() != key || !known->row.worker ||
                              ledger_.is_quarantined(key.execution));
  if (!remembered) {
    violate("K1", fmt::format("the end of execution {} is acknowledged and not durable",
                              key.execution.value));
  }
  auto& worker = *std::ranges::find(workers_, name, &Worker::name);
  auto run = worker.runs.find(key);
  if (run == worker.runs.end()) return;
  if (run->second.end) worker.told.push_back(*run->second.end);
  worker.runs.erase(run);
}

// Once in each session.
void World::tell_all(Worker& worker) {
  for (auto& [key, run] : worker.runs) {
    if (run.state != WorkerRun::State::Ended || !worker.session) continue;
    if (std::exchange(run.told, worker.session->id) != worker.session->id) tell(worker, *run.end);
  }
}

// It was not renewed in time: the worker ends all its runs, before somebody else may start them.
void World::lose_session(Worker& worker) {
  worker.session.reset();
  worker.orders.clear();
  ++worker.instance;
  std::erase_if(worker.runs,
                [](const auto& run) { return run.second.state != WorkerRun::State::Ended; });
}

void World::time_passes(int64_t ms) {
  while (ms > 0) {
    int64_t step = std::min<int64_t>(ms, ttl_ms_ > 0 ? 2'500 : ms);
    ms -= step;
    wall_ms_ += step;
    mono_ms_ += step;
    for (auto& worker : workers_) {
      if (!worker.session || !worker.remote || worker.frozen) continue;
      Server* server = home_of(worker);
      bool known = server && server->outlet->worker_of(worker.session->id).has_value();
      if (known && mono_ms_ - worker.renewed_ms >= 2'500 &&
          mono_ms_ - worker.renewed_ms < kFenceMs) {
        if (server->partition->renew(worker.session->id, now())) worker.renewed_ms = mono_ms_;
      }
      if (mono_ms_ - worker.renewed_ms >= kFenceMs) lose_session(worker);
    }
  }
}

void World::work(const Op& op, Dice dice) {
  Worker& worker = workers_[dice.below(workers_.size())];
  bool comes_to = op.kind == OpKind::Open && worker.frozen;
  if (comes_to) {
    worker.frozen = false;
    if (worker.remote && mono_ms_ - worker.renewed_ms >= kFenceMs) lose_session(worker);
  }
  if (worker.frozen) return;
  switch (op.kind) {
    case OpKind::Start: return take_orders(worker, 1 + dice.below(4));
    case OpKind::Build: return build(worker, dice);
    case OpKind::Finish: {
      std::vector<RunKey> running;
      for (const auto& [key, run] : worker.runs) {
        if (run.state == WorkerRun::State::Runs) running.push_back(key);
      }
      if (running.empty()) return take_orders(worker, 1);
      return end(worker, worker.runs[dice.pick(running)], dice);
    }
    case OpKind::Repeat:
      for (auto& [key, run] : worker.runs) {
        if (run.end) tell(worker, *run.end);
      }
      if (!worker.told.empty()) tell(worker, dice.pick(worker.told));
      return;
    case OpKind::Freeze:
      if (!worker.remote) return;
      worker.frozen = true;
      time_passes(static_cast<int64_t>(dice.below(15'000)));
      return;
    case OpKind::Die:
      tell_trace("worker " + worker.name + " dies");
      if (home_of(worker) && worker.session) home_of(worker)->outlet->end(worker.session->id);
      lose_session(worker);
      worker.runs.clear();
      if (dice.one_in(2)) open(worker);
      return;
    case OpKind::Open:
      if (worker.session && !dice.one_in(4)) return tell_all(worker);
      if (dice.one_in(3)) move(worker, dice);
      return open(worker);
    default: return;
  }
}

}  // namespace millrace::sim
