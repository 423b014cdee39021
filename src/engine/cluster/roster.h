// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "engine/cluster/spread.h"
#include "kernel/servers.h"

namespace millrace::engine {

// Of one server as another one sees it.
struct ServerView {
  kernel::ServerRow row;
  kernel::ShardSet shards;
  bool is_self = false;
  bool lives = true;
};

// How long a server may be silent. Others see its beat change or not; no clocks are compared.
struct ClusterTimes {
  int64_t beat_ms = 3'000;
  // Its own: from the beginning of its last beat it decides for so long, ...
  int64_t owner_stops_ms = 8'000;
  // ... and others take its shards when they have seen no beat for so long, ...
  int64_t dead_ms = 10'000;
  // ... give up the runs of its workers after so long, which have been ended by their spawners, ...
  int64_t runs_lost_ms = 40'000;
  // ... and forget it.
  int64_t forgotten_ms = 3'600'000;
};

// What one server knows of all: who lives, who owns which shard, and what follows from that. Pure:
// it is told what the store says, and the time. Times are monotonic ms.
class Roster {
 public:
  Roster(kernel::ServerRow self, ClusterTimes times) : self_(std::move(self)), times_(times) {}

  void saw(kernel::Cluster cluster, int64_t now_ms);

  const kernel::Cluster& cluster() const { return cluster_; }
  std::vector<ServerView> servers(int64_t now_ms) const;
  int owner_of(int shard) const { return cluster_.shards[static_cast<size_t>(shard)].owner; }
  // What this server should own now: its part of a fair spread, without what others still have.
  kernel::ShardSet wanted(int64_t now_ms) const;
  // The epochs of those whose leases hold.
  std::vector<int64_t> living(int64_t now_ms) const;
  // The epochs of those whose workers' runs may still go on, also of processes that others have
  // taken the place of. Nothing: it has not looked for long enough to know.
  std::optional<std::vector<int64_t>> with_runs(int64_t now_ms) const;
  std::vector<kernel::ServerRow> to_forget(int64_t now_ms) const;
  // When any of these changes by time alone; INT64_MAX: never.
  int64_t next_change_ms(int64_t now_ms) const;

 private:
  struct Seen {
    int64_t beat = 0;
    int64_t at_ms = 0;  // when its beat was first seen
    bool is_there = true;
  };
  bool is_self(const kernel::ServerRow& server) const { return server.epoch == self_.epoch; }
  bool is_silent(const kernel::ServerRow& server, int64_t for_ms, int64_t now_ms) const;
  kernel::ServerRow self_;
  ClusterTimes times_;
  kernel::Cluster cluster_;
  std::map<int64_t, Seen> seen_;  // by epoch
  std::optional<int64_t> since_ms_;
};

}  // namespace millrace::engine
