// SPDX-License-Identifier: Apache-2.0
#include "engine/cluster/roster.h"

#include <algorithm>

namespace millrace::engine {

using kernel::ServerRow;

void Roster::saw(kernel::Cluster cluster, int64_t now_ms) {
  if (!since_ms_) since_ms_ = now_ms;
  for (auto& [epoch, seen] : seen_) seen.is_there = false;
  for (const auto& server : cluster.servers) {
    auto [at, is_new] = seen_.try_emplace(server.epoch, Seen{server.beat, now_ms});
    at->second.is_there = true;
    if (is_new || at->second.beat == server.beat) continue;
    at->second.beat = server.beat;
    at->second.at_ms = now_ms;
  }
  std::erase_if(seen_, [&](const auto& each) {
    return !each.second.is_there && now_ms - each.second.at_ms >= times_.runs_lost_ms;
  });
  cluster_ = std::move(cluster);
}

bool Roster::is_silent(const ServerRow& server, int64_t for_ms, int64_t now_ms) const {
  auto seen = seen_.find(server.epoch);
  return !is_self(server) && seen != seen_.end() && now_ms - seen->second.at_ms >= for_ms;
}

std::vector<ServerView> Roster::servers(int64_t now_ms) const {
  std::vector<ServerView> views;
  for (const auto& server : cluster_.servers) {
    views.push_back({.row = server,
                     .shards = cluster_.shards_of(server.node),
                     .is_self = is_self(server),
                     .lives = !is_silent(server, times_.dead_ms, now_ms)});
  }
  return views;
}

kernel::ShardSet Roster::wanted(int64_t now_ms) const {
  std::vector<int> executors;
  Owners owners;
  std::ranges::transform(cluster_.shards, owners.begin(), &kernel::ShardRow::owner);
  for (const auto& server : cluster_.servers) {
    if (is_silent(server, times_.dead_ms, now_ms)) {
      std::ranges::replace(owners, server.node, kernel::kNobody);
    } else if (server.has_role("executor") && !server.draining) {
      executors.push_back(server.node);
    }
  }
  auto target = spread(executors, owners);
  kernel::ShardSet wanted;
  for (int shard = 0; shard < kernel::kShards; ++shard) {
    auto at = static_cast<size_t>(shard);
    bool may_have = owners[at] == self_.node || owners[at] == kernel::kNobody;
    if (target[at] == self_.node && may_have) wanted.add(shard);
  }
  return wanted;
}

std::vector<int64_t> Roster::living(int64_t now_ms) const {
  std::vector<int64_t> epochs;
  for (const auto& server : cluster_.servers) {
    if (!is_silent(server, times_.dead_ms, now_ms)) epochs.push_back(server.epoch);
  }
  return epochs;
}

std::optional<std::vector<int64_t>> Roster::with_runs(int64_t now_ms) const {
  if (!since_ms_ || now_ms - *since_ms_ < times_.runs_lost_ms) return std::nullopt;
  std::vector<int64_t> epochs;
  for (const auto& [epoch, seen] : seen_) {
    bool is_self = epoch == self_.epoch;
    if (is_self || now_ms - seen.at_ms < times_.runs_lost_ms) epochs.push_back(epoch);
  }
  return epochs;
}

std::vector<ServerRow> Roster::to_forget(int64_t now_ms) const {
  std::vector<ServerRow> rows;
  for (const auto& server : cluster_.servers) {
    if (is_silent(server, times_.forgotten_ms, now_ms)) rows.push_back(server);
  }
  return rows;
}

int64_t Roster::next_change_ms(int64_t now_ms) const {
  int64_t next = INT64_MAX;
  auto until = [&](int64_t at) {
    if (at > now_ms) next = std::min(next, at);
  };
  if (since_ms_) until(*since_ms_ + times_.runs_lost_ms);
  for (const auto& [epoch, seen] : seen_) {
    if (epoch == self_.epoch) continue;
    for (int64_t limit : {times_.dead_ms, times_.runs_lost_ms, times_.forgotten_ms}) {
      until(seen.at_ms + limit);
    }
  }
  return next;
}

}  // namespace millrace::engine
