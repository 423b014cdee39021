// SPDX-License-Identifier: Apache-2.0
// Who serves a store. Of no tenant.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/shards.h"

namespace millrace::kernel {

inline constexpr int kMostServers = 1024;  // ids have 10 bits for the node
inline constexpr int kNobody = -1;         // owns a shard that is free

// One process that serves the store. Times are its own clock's, for people: whether it lives is
// told by its beat, which others see change or not.
struct ServerRow {
  int node = 0;       // of its ids; another one's once it is gone
  int64_t epoch = 0;  // of this process: never another one's
  std::string name;
  std::string home;   // of its data folder: a second process there means that the first is dead
  std::string roles;  // comma-separated
  std::string version;
  std::string http;      // where clients reach it
  std::string internal;  // where other servers do
  std::string config;    // hash of what must be equal among servers
  bool draining = false;
  int64_t since = 0;
  int64_t beat = 0;
  int64_t seen = 0;  // when it raised the beat

  bool has_role(std::string_view role) const;
};

struct ShardRow {
  int owner = kNobody;  // a node
  int64_t epoch = 0;    // of the claim, or of the release
};

// All servers by node, and who owns which shard, at one moment.
struct Cluster {
  std::vector<ServerRow> servers;
  std::array<ShardRow, kShards> shards;

  const ServerRow* server(int node) const;
  ShardSet shards_of(int node) const;
};

// What one of several servers does alone (runs a sensor). Free once its holder is dead or gone.
struct LeaseRow {
  std::string name;
  int64_t holder = 0;  // epoch of a server; 0: nobody
  int64_t epoch = 0;   // rises with each holder
};

}  // namespace millrace::kernel
