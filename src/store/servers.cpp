// SPDX-License-Identifier: Apache-2.0
#include "store/servers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutants.h"
#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

void read_server(RowReader read, ServerRow& row) {
  read >> row.node >> row.epoch >> row.name >> row.home >> row.roles >> row.version >> row.http >>
      row.internal >> row.config >> row.draining >> row.since >> row.beat >> row.seen;
}

struct NumberedShard {
  int shard = 0;
  ShardRow row;
};

Result<std::vector<ServerRow>> all_servers(sql::Connection& db) {
  return query<ServerRow>(db,
                          "SELECT node, epoch, name, home, roles, version, http, internal, config, "
                          "draining, since, beat, seen FROM server ORDER BY node",
                          read_server);
}

Result<Cluster> cluster_of(sql::Connection& db) {
  Cluster cluster;
  TRY(cluster.servers, all_servers(db));
  auto read = [](RowReader from, NumberedShard& to) {
    from >> to.shard >> to.row.owner >> to.row.epoch;
  };
  TRY(auto shards,
      query<NumberedShard>(db, "SELECT shard, owner, epoch FROM shard ORDER BY shard", +read));
  for (const auto& each : shards) {
    if (each.shard < 0 || each.shard >= kShards) continue;  // doctor tells
    auto& row = cluster.shards[static_cast<size_t>(each.shard)] = each.row;
    // A process claims what it owns: what stands under its node from before is free.
    const auto* owner = cluster.server(row.owner);
    if (!owner || row.epoch < owner->epoch) row.owner = kNobody;
  }
  return cluster;
}

Result<int64_t> new_epoch(sql::Connection& db) {
  TRY(int64_t of_shards, query_int(db, "SELECT coalesce(max(epoch), 0) FROM shard"));
  TRY(int64_t of_servers, query_int(db, "SELECT coalesce(max(epoch), 0) FROM server"));
  return std::max(of_shards, of_servers) + 1;
}

Result<void> put_shard(sql::Connection& db, int shard, int owner, int64_t epoch) {
  TRY(auto* put, db.prepare("INSERT INTO shard (shard, owner, epoch) VALUES ($1, $2, $3) "
                            "ON CONFLICT (shard) DO UPDATE SET owner = $2, epoch = $3"));
  TRY(put->execute(shard, owner, epoch));
  return {};
}

// All or nothing, and alone: `work` runs when every transaction that was begun before has ended.
template <typename Work>
auto exclusively(sql::Connection& db, Work work) -> decltype(work()) {
  auto done = [&]() -> decltype(work()) {
    TRY(db.run("BEGIN EXCLUSIVE"));
    auto result = work();
    if (!result.ok()) return result;
    db.notify({kServersTopic, {}});
    TRY(db.run("COMMIT"));
    return result;
  }();
  if (!done.ok() && db.in_transaction()) (void)db.run("ROLLBACK");
  return done;
}

// The lowest that nobody has.
Result<int> free_node(const std::vector<ServerRow>& servers) {
  int node = 0;
  for (const auto& server : servers) {
    if (server.node == node) ++node;
  }
  if (node < kMostServers) return node;
  return Error(ErrorKind::Unavailable, sql::kBusy,
               fmt::format("{} servers serve this store, and there are no more numbers for ids: "
                           "`millrace server list` shows which of them are gone",
                           kMostServers));
}

Result<int> node_for(const std::vector<ServerRow>& servers, const ServerRow& server, int64_t dead) {
  auto same = std::ranges::find(servers, server.name, &ServerRow::name);
  if (same == servers.end()) return free_node(servers);
  if (same->home == server.home || same->epoch == dead) return same->node;
  return Error(ErrorKind::Conflict, kNameTaken,
               fmt::format("another server is named '{}' and serves this store ({}): give each "
                           "one a name of its own (server.name)",
                           server.name, same->http.empty() ? "no address" : same->http));
}

}  // namespace

Result<int64_t> claim_shards(sql::Connection& writer, int node, ShardSet shards) {
  return exclusively(writer, [&]() -> Result<int64_t> {
    TRY(int64_t epoch, new_epoch(writer));
    if (mutant(Mutant::ClaimNotRaised)) epoch = 1;
    if (shards == ShardSet::all()) {
      TRY(auto* erase, writer.prepare("DELETE FROM server"));
      TRY(erase->execute());
    }
    for (int shard = 0; shard < kShards; ++shard) {
      if (shards.has(shard)) TRY(put_shard(writer, shard, node, epoch));
    }
    return epoch;
  });
}

Result<void> fence(sql::Connection& writer) {
  TRY(claim_shards(writer, kNobody, ShardSet::all()));
  return {};
}

Result<ServerRow> join(sql::Connection& writer, ServerRow server, int64_t dead) {
  return exclusively(writer, [&]() -> Result<ServerRow> {
    TRY(auto servers, all_servers(writer));
    TRY(server.node, node_for(servers, server, dead));
    TRY(server.epoch, new_epoch(writer));
    TRY(auto* put,
        writer.prepare(
            "INSERT INTO server (node, epoch, name, home, roles, version, http, internal, config, "
            "draining, since, beat, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, "
            "$10) ON CONFLICT (node) DO UPDATE SET epoch = $2, name = $3, home = $4, roles = $5, "
            "version = $6, http = $7, internal = $8, config = $9, draining = 0, since = $10, "
            "beat = 0, seen = $10"));
    TRY(put->execute(server.node, server.epoch, server.name, server.home, server.roles,
                     server.version, server.http, server.internal, server.config, server.since));
    server.beat = 0;
    server.seen = server.since;
    return server;
  });
}

Result<bool> beat(sql::Connection& writer, const ServerRow& server) {
  TRY(auto* raise, writer.prepare("UPDATE server SET beat = beat + 1, seen = $1, draining = $2, "
                                  "http = $3, internal = $4 WHERE node = $5 AND epoch = $6"));
  TRY(int64_t touched, raise->execute(server.seen, server.draining ? 1 : 0, server.http,
                                      server.internal, server.node, server.epoch));
  return touched == 1;
}

Result<bool> announce(sql::Connection& writer, const ServerRow& server) {
  auto told = [&]() -> Result<bool> {
    TRY(writer.run("BEGIN IMMEDIATE"));
    TRY(bool lives, beat(writer, server));
    writer.notify({kServersTopic, {}});
    TRY(writer.run("COMMIT"));
    return lives;
  }();
  if (!told.ok() && writer.in_transaction()) (void)writer.run("ROLLBACK");
  return told;
}

Result<void> leave(sql::Connection& writer, const ServerRow& server) {
  return exclusively(writer, [&]() -> Result<void> {
    TRY(auto* erase, writer.prepare("DELETE FROM server WHERE node = $1 AND epoch = $2"));
    TRY(erase->execute(server.node, server.epoch));
    return {};
  });
}

Result<void> forget(sql::Connection& writer, const ServerRow& dead) {
  TRY(auto* erase,
      writer.prepare("DELETE FROM server WHERE node = $1 AND epoch = $2 AND beat = $3"));
  TRY(erase->execute(dead.node, dead.epoch, dead.beat));
  return {};
}

Result<Cluster> look(sql::Connection& reader) {
  TRY(begin_snapshot(reader));
  auto cluster = cluster_of(reader);
  auto ended = end_snapshot(reader);
  if (cluster.ok() && !ended.ok()) return std::move(ended).error();
  return cluster;
}

Result<Owned> reassign(sql::Connection& writer, const ServerRow& server, const Reassign& wish) {
  return exclusively(writer, [&]() -> Result<Owned> {
    TRY(auto now, cluster_of(writer));
    const auto* self = now.server(server.node);
    if (!self || self->epoch != server.epoch) {
      return Error(ErrorKind::Stale, sql::kStale, "this server's row is another one's by now");
    }
    TRY(int64_t epoch, new_epoch(writer));
    Owned owned{.epoch = epoch};
    for (int shard = 0; shard < kShards; ++shard) {
      auto at = static_cast<size_t>(shard);
      bool is_held = wish.held.has(shard) && now.shards[at].epoch == wish.held_epoch &&
                     now.shards[at].owner == server.node;
      bool is_as_seen = now.shards[at].epoch == wish.seen.shards[at].epoch;
      if (wish.wanted.has(shard) && (is_held || is_as_seen)) {
        TRY(put_shard(writer, shard, server.node, epoch));
        owned.shards.add(shard);
      } else if (is_held) {
        TRY(put_shard(writer, shard, kNobody, epoch));
      }
    }
    return owned;
  });
}

Result<std::optional<int64_t>> take_lease(sql::Connection& writer, const std::string& name,
                                          const ServerRow& server,
                                          std::span<const int64_t> living) {
  TRY(auto lease, find_lease(writer, name));
  std::optional<int64_t> nobody;
  if (lease && lease->holder == server.epoch) return std::optional(lease->epoch);
  if (lease && std::ranges::find(living, lease->holder) != living.end()) return nobody;
  int64_t before = lease ? lease->epoch : 0;
  // Of two that come at once one finds the epoch that it has read.
  TRY(auto* take, writer.prepare("INSERT INTO lease (name, holder, epoch) VALUES ($1, $2, $3) "
                                 "ON CONFLICT (name) DO UPDATE SET holder = $2, epoch = $3 "
                                 "WHERE lease.epoch = $4"));
  TRY(int64_t touched, take->execute(name, server.epoch, before + 1, before));
  return touched == 1 ? std::optional(before + 1) : nobody;
}

Result<void> give_lease(sql::Connection& writer, const std::string& name, const ServerRow& server) {
  TRY(auto* give, writer.prepare("UPDATE lease SET holder = 0 WHERE name = $1 AND holder = $2"));
  TRY(give->execute(name, server.epoch));
  return {};
}

Result<std::optional<LeaseRow>> find_lease(sql::Connection& reader, const std::string& name) {
  auto read = [](RowReader from, LeaseRow& to) { from >> to.name >> to.holder >> to.epoch; };
  return query_one<LeaseRow>(reader, "SELECT name, holder, epoch FROM lease WHERE name = $1", +read,
                             name);
}

}  // namespace millrace::store
