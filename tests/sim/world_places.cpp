// SPDX-License-Identifier: Apache-2.0
// Several servers: who has which shards, and how they change hands.
#include <fmt/format.h>

#include <algorithm>

#include "engine/transitions/messages.h"
#include "packs.h"
#include "store/read.h"
#include "world.h"

namespace millrace::sim {

using namespace kernel;

void World::make_places(Dice dice) {
  if (!several_) {
    places_.push_back({.number = 0, .shards = ShardSet::all()});
    return;
  }
  size_t count = 2 + dice.below(3);
  places_.resize(count);
  for (size_t i = 0; i < count; ++i) places_[i].number = i;
  for (int shard = 0; shard < kShards; ++shard) {
    size_t at = shard < static_cast<int>(count) ? static_cast<size_t>(shard) : dice.below(count);
    places_[at].shards.add(shard);
  }
  // Each server has workers of its own; they move with its shards.
  workers_.clear();
  for (size_t i = 0; i < count + dice.below(2); ++i) {
    workers_.push_back({.name = fmt::format("worker{}", i),
                        .home = i % count,
                        .slots = static_cast<int>(1 + dice.below(3)),
                        .remote = ttl_ms_ > 0});
  }
}

void World::start_all() {
  for (auto& at : places_) start(at);
}

World::Place& World::some_place(Dice& dice) {
  std::vector<Place*> needed;
  for (auto& at : places_) {
    if (at.is_needed()) needed.push_back(&at);
  }
  return needed.size() == 1 ? *needed.front() : *dice.pick(needed);
}

World::Place& World::owner_of(ExecutionId id) {
  const auto* known = ledger_.find(id);
  int shard = known ? shard_of(known->row.tenant, known->row.root.value) : 0;
  return *std::ranges::find_if(places_, [&](const auto& at) { return at.shards.has(shard); });
}

void World::hand_over(Dice dice) {
  if (!several_) return;
  Place& from = some_place(dice);
  std::vector<Place*> others;
  for (auto& at : places_) {
    if (&at != &from) others.push_back(&at);
  }
  Place& to = *dice.pick(others);
  if (!to.is_needed() && dice.one_in(2) && give_part(from, to, dice)) return;
  give_all(from, to, dice);
}

void World::give_all(Place& from, Place& to, Dice dice) {
  tell_trace(fmt::format("{} hands over to {}", from.number, to.number));
  if (dice.one_in(2)) wind_up(to);
  crash(to);
  switch (dice.below(3)) {
    case 0: wind_up(from); break;
    case 1:
      if (from.server && !from.server->decided_steps.empty()) cut_off(from);
      break;
    default: break;
  }
  crash(from);
  for (int shard = 0; shard < kShards; ++shard) {
    if (from.shards.has(shard)) to.shards.add(shard);
  }
  from.shards = {};
  for (auto& worker : workers_) {
    if (worker.home == from.number) worker.home = to.number;
  }
  start(to);
  if (!to.server) from.usurped.reset();  // it has lost nothing yet
}

// A worker goes along, and with it the shards of what it runs. False: it does not fit.
bool World::give_part(Place& from, Place& to, Dice dice) {
  std::vector<Worker*> there;
  for (auto& worker : workers_) {
    if (worker.home == from.number && !worker.gone) there.push_back(&worker);
  }
  if (there.size() < 2 || from.shards.size() < 2) return false;
  Worker& goes = *there.back();
  wind_up(from);
  crash(from);
  ShardSet stay;
  ShardSet go;
  for (const auto& [id, known] : ledger_.executions()) {
    const auto& row = known.row;
    int shard = shard_of(row.tenant, row.root.value);
    if (!row.worker || is_final(row.status) || !from.shards.has(shard)) continue;
    (row.worker == goes.id ? go : stay).add(shard);
  }
  for (int shard = 0; shard < kShards; ++shard) {
    bool bound = stay.has(shard) || go.has(shard);
    if (from.shards.has(shard) && !bound) (dice.one_in(2) ? go : stay).add(shard);
  }
  bool fits = !stay.empty() && !go.empty();
  for (int shard = 0; fits && shard < kShards; ++shard) {
    fits = !(stay.has(shard) && go.has(shard));
  }
  if (fits) {
    tell_trace(fmt::format("{} gives {} shards to {}", from.number, go.size(), to.number));
    from.shards = stay;
    to.shards = go;
    goes.home = to.number;
    start(to);
  }
  start(from);
  return fits;
}

// A hint may be lost, come late, or twice.
void World::bring_hints(Dice dice) {
  for (const auto& hint : std::exchange(hints_, {})) {
    if (dice.one_in(4)) continue;
    if (dice.one_in(4)) hints_.push_back(hint);
    for (auto& at : places_) {
      if (at.shards.has(hint.shard)) offer(at, engine::stored_message(hint));
    }
  }
}

std::unique_ptr<engine::FeedReader> World::feed_of(Place& at,
                                                   std::unique_ptr<sql::Connection> reader,
                                                   int64_t after) {
  return std::make_unique<engine::FeedReader>(
      std::move(reader), after,
      engine::FeedReader::Outside{
          .is_awaited = [](Of<ExecutionId>) { return true; },
          .ended = [this](const ExecutionRow& row) { ended(row); },
          .canceling =
              [this, &at](const ExecutionRow& row) {
                offer(at, engine::stop_run(row.worker, {row.tenant, row.key()}));
              },
          .given =
              [this, &at](engine::RunGiven given) {
                given.self = at.server->life;
                offer(at, engine::take_run(given));
              },
          .catalog =
              [this, &at](engine::CatalogNews news) {
                offer(at, engine::refresh_catalog(std::move(news)));
              },
          .token = [](TenantId, TokenId, const TokenRow*) {},
          .packs =
              [this, &at] {
                auto set = pack_set(quiet_);
                set.own = packs_in_force();
                offer(at, engine::command::load_packs({.tenant = kDefaultTenant}, std::move(set),
                                                      [](const Result<int>&) {}));
              },
          .changed = [] {},
          .in_hand = nullptr});
}

// Who was not asked loads what the store says.
std::vector<std::shared_ptr<const Pack>> World::packs_in_force() {
  auto current = store::current_releases(store_.inspector());
  ASSERT_MSG(current.ok(), current.error().describe());
  std::vector<std::shared_ptr<const Pack>> packs;
  for (const auto& row : current->rows) {
    if (row.pack == "ci") packs.push_back(release(row.digest.back() - '0', limited_));
  }
  return packs;
}

bool World::read_news(Place& at) {
  if (!at.server || !at.server->feed) return false;
  int64_t before = messages_;
  for (bool more = true; more;) {
    auto read = at.server->feed->read();
    if (!read.ok() && read.error().code() == engine::FeedReader::kMissed) {
      crash(at);
      start(at);
      return true;
    }
    if (!read.ok() && quiet_) violate("K3", read.error().describe());
    more = read.ok() && *read;
  }
  return messages_ > before;
}

bool World::something_is_due() {
  return std::ranges::any_of(places_, [&](const auto& at) {
    return at.server && (at.server->partition->pause_ms(now()) == 0 ||
                         !at.server->decided_steps.empty() || !at.server->written.empty());
  });
}

bool World::all_up() const {
  return std::ranges::all_of(places_, [](const auto& at) { return !at.is_needed() || at.server; });
}

bool World::is_idle() const {
  return std::ranges::all_of(
      places_, [](const auto& at) { return !at.server || at.server->partition->is_idle(); });
}

int64_t World::pause_ms() const {
  int64_t pause = INT64_MAX;
  for (const auto& at : places_) {
    if (at.server) pause = std::min(pause, at.server->partition->pause_ms(now()));
  }
  return pause;
}

}  // namespace millrace::sim
