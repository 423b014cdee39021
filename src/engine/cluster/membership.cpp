// SPDX-License-Identifier: Apache-2.0
#include "engine/cluster/membership.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/thread.h"
#include "base/log.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int64_t kTryAgainMs = 500;
constexpr int64_t kLongestRestMs = 60'000;

}  // namespace

Membership::Membership(ServerRow self, ClusterTimes times, Outside outside)
    : self_(std::move(self)),
      times_(times),
      outside_(std::move(outside)),
      roster_(self_, times),
      http_(self_.http),
      internal_(self_.internal) {}

Membership::~Membership() { stop(); }

Result<std::unique_ptr<Membership>> Membership::join(sql::Store& store, ServerRow self,
                                                     ClusterTimes times, Outside outside) {
  std::unique_ptr<Membership> made(new Membership(std::move(self), times, std::move(outside)));
  TRY(made->writer_, store.open_writer());
  TRY(made->reader_, store.open_reader());
  TRY(made->enter());
  return made;
}

// Who had the name before is watched for as long as it takes to know that it is dead.
Result<void> Membership::enter() {
  std::optional<ServerRow> other;
  int64_t since_ms = 0;
  for (int64_t dead = 0;;) {
    auto joined = store::join(*writer_, self_, dead);
    if (joined.ok()) {
      self_ = std::move(*joined);
      roster_ = Roster(self_, times_);
      TRY(auto cluster, store::look(*reader_));
      publish(std::move(cluster));
      return {};
    }
    if (joined.error().code() != store::kNameTaken) return std::move(joined).error();
    TRY(auto cluster, store::look(*reader_));
    auto found = std::ranges::find(cluster.servers, self_.name, &ServerRow::name);
    if (found == cluster.servers.end()) continue;  // it has just gone
    if (!other || other->epoch != found->epoch) {
      other = *found;
      since_ms = outside_.mono_ms();
      log_info("server.name_taken", {{"name", self_.name}, {"waits_ms", times_.dead_ms}});
    }
    if (other->beat != found->beat) return std::move(joined).error();
    if (outside_.mono_ms() - since_ms >= times_.dead_ms) dead = other->epoch;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::milliseconds(std::min(kTryAgainMs, times_.beat_ms)));
  }
}

Result<void> Membership::start() {
  TRY(keep_place(outside_.mono_ms()));
  TRY(thread_, async::start_thread("member", [this] { run(); }));
  return {};
}

void Membership::run() {
  for (;;) {
    int64_t next = tick();
    std::unique_lock lock(mutex_);
    while (!stopping_ && !look_ && outside_.mono_ms() < next) {
      int64_t pause = std::min(next - outside_.mono_ms(), kLongestRestMs);
      wake_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(pause, 1)));
    }
    if (stopping_) return;
    look_ = false;
  }
}

int64_t Membership::tick() {
  int64_t begun = outside_.mono_ms();
  auto kept = keep_place(begun);
  if (!kept.ok() && kept.error().code() == sql::kOwned) {
    outside_.fatal(kept.error());
    return INT64_MAX;
  }
  if (!kept.ok()) log_warn("server.place_not_kept", {{"error", kept.error().message()}});
  int64_t next = begun + (kept.ok() ? times_.beat_ms : kTryAgainMs);
  std::lock_guard lock(mutex_);
  return std::min(next, std::max(roster_.next_change_ms(begun), begun + 1));
}

Result<void> Membership::keep_place(int64_t begun_ms) {
  bool has_moved = false;
  {
    std::lock_guard lock(mutex_);
    has_moved = told_address_ != internal_;
    self_.seen = outside_.unix_ms();
    self_.draining = draining_;
    self_.http = http_;
    self_.internal = internal_;
  }
  TRY(bool lives, has_moved ? store::announce(*writer_, self_) : store::beat(*writer_, self_));
  told_address_ = self_.internal;
  if (!lives) {
    return Error(ErrorKind::Unavailable, sql::kOwned,
                 "another process serves the store in this server's place");
  }
  TRY(auto cluster, store::look(*reader_));
  publish(std::move(cluster));
  ShardSet wanted;
  {
    std::lock_guard lock(mutex_);
    if (!draining_) wanted = roster_.wanted(outside_.mono_ms());
  }
  if (wanted != owned().shards || has_lost_some()) TRY(reassign());
  // Well before others do it: to open a session again costs nothing.
  if (kept_ms_ && begun_ms - *kept_ms_ >= times_.runs_lost_ms / 2) outside_.was_away();
  kept_ms_ = begun_ms;
  outside_.may_decide_until(begun_ms + times_.owner_stops_ms);
  if (owned().shards.has(0)) {
    for (const auto& dead : roster_.to_forget(outside_.mono_ms())) {
      log_info("server.forgotten", {{"node", dead.node}, {"name", dead.name}});
      TRY(store::forget(*writer_, dead));
    }
  }
  return {};
}

bool Membership::has_lost_some() const {
  std::lock_guard lock(mutex_);
  const auto& shards = roster_.cluster().shards;
  for (int shard = 0; shard < kShards; ++shard) {
    if (!owned_.shards.has(shard)) continue;
    if (shards[static_cast<size_t>(shard)].epoch != owned_.epoch) return true;
  }
  return false;
}

// Between the end of the one partition and the beginning of the next nothing is decided for the
// shards that stay: as long as two small transactions take.
Result<void> Membership::reassign() {
  auto before = owned();
  auto as_before = [&] { return outside_.go_on(std::nullopt); };
  if (!outside_.hold()) {
    TRY(as_before());
    return Error(ErrorKind::Unavailable, sql::kBusy, "a commit is under way for long");
  }
  store::Reassign wish{.held = before.shards, .held_epoch = before.epoch};
  {
    std::lock_guard lock(mutex_);
    wish.seen = roster_.cluster();
    if (!draining_) wish.wanted = roster_.wanted(outside_.mono_ms());
  }
  auto after = store::reassign(*writer_, self_, wish);
  if (!after.ok()) {
    TRY(as_before());
    return std::move(after).error();
  }
  log_info("server.shards", {{"node", self_.node},
                             {"had", before.shards.size()},
                             {"has", after->shards.size()},
                             {"epoch", after->epoch}});
  TRY(outside_.go_on(*after));  // else they count as lost, and are claimed again
  {
    std::lock_guard lock(mutex_);
    owned_ = *after;
  }
  TRY(auto cluster, store::look(*reader_));
  publish(std::move(cluster));
  return {};
}

void Membership::publish(Cluster cluster) {
  bool is_new = false;
  {
    std::lock_guard lock(mutex_);
    int64_t now = outside_.mono_ms();
    auto owners = [](const Cluster& of) {
      std::array<int, kShards> nodes{};
      std::ranges::transform(of.shards, nodes.begin(), &ShardRow::owner);
      return nodes;
    };
    is_new = owners(cluster) != owners(roster_.cluster());
    roster_.saw(std::move(cluster), now);
    auto living = roster_.living(now);
    auto with_runs = roster_.with_runs(now);
    is_new |= living != told_living_ || with_runs != told_with_runs_;
    told_living_ = std::move(living);
    told_with_runs_ = std::move(with_runs);
  }
  if (is_new && outside_.changed) outside_.changed();
}

void Membership::look() {
  std::lock_guard lock(mutex_);
  look_ = true;
  wake_.notify_one();
}

void Membership::drain() {
  std::lock_guard lock(mutex_);
  draining_ = look_ = true;
  wake_.notify_one();
}

void Membership::set_addresses(std::string http, std::string internal) {
  std::lock_guard lock(mutex_);
  http_ = std::move(http);
  internal_ = std::move(internal);
  look_ = true;
  wake_.notify_one();
}

void Membership::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<void> Membership::leave() { return store::leave(*writer_, self_); }

store::Owned Membership::owned() const {
  std::lock_guard lock(mutex_);
  return owned_;
}

std::vector<ServerView> Membership::servers() const {
  std::lock_guard lock(mutex_);
  return roster_.servers(outside_.mono_ms());
}

int Membership::owner_of(int shard) const {
  std::lock_guard lock(mutex_);
  return roster_.owner_of(shard);
}

std::vector<int64_t> Membership::living() const {
  std::lock_guard lock(mutex_);
  return roster_.living(outside_.mono_ms());
}

std::optional<std::vector<int64_t>> Membership::with_runs() const {
  std::lock_guard lock(mutex_);
  return roster_.with_runs(outside_.mono_ms());
}

}  // namespace millrace::engine
