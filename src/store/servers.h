// SPDX-License-Identifier: Apache-2.0
// Who serves the store and who owns which shards. What one of several servers writes here it
// writes over a connection of its own, beside its committer.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "kernel/servers.h"
#include "store/sql.h"

namespace millrace::store {

inline constexpr std::string_view kNameTaken = "STO-0015";
// Topic of the hint (sql.h) that servers have come or gone, or shards have another owner.
inline constexpr std::string_view kServersTopic = "servers";

// Claims these shards, whoever has them, and returns the epoch, which every commit then checks. It
// is above all epochs that were ever given out. Who claims all of them serves the store alone:
// other servers end.
Result<int64_t> claim_shards(sql::Connection& writer, int node, kernel::ShardSet shards);
// A tool keeps servers out: whoever serves the store writes nothing from here on, and ends.
Result<void> fence(sql::Connection& writer);

// A process begins to serve the store: it gets a node and an epoch. A row of its name is taken
// over when it is of the same home, or of epoch `dead`; else Conflict, kNameTaken: whether that
// server lives its beat tells. Unavailable: there are as many servers as nodes.
Result<kernel::ServerRow> join(sql::Connection& writer, kernel::ServerRow server, int64_t dead = 0);
// It lives. False: its row is another process's by now, or gone.
Result<bool> beat(sql::Connection& writer, const kernel::ServerRow& server);
// The same, and others look at once: it is reached elsewhere than they know.
Result<bool> announce(sql::Connection& writer, const kernel::ServerRow& server);
// It is gone. Others see at once that nobody has its shards.
Result<void> leave(sql::Connection& writer, const kernel::ServerRow& server);
// One that others have not seen alive for long: unless it was taken over meanwhile.
Result<void> forget(sql::Connection& writer, const kernel::ServerRow& dead);

// Shards that are free are nobody's.
Result<kernel::Cluster> look(sql::Connection& reader);

// What a server wants of the shards, as it has seen them.
struct Reassign {
  kernel::Cluster seen;
  kernel::ShardSet held;  // under `held_epoch`, by a partition that has ended
  int64_t held_epoch = 0;
  kernel::ShardSet wanted;  // held ones that are not wanted become free
};
struct Owned {
  kernel::ShardSet shards;  // of the wanted ones those that nobody has claimed since
  int64_t epoch = 0;
};
// In one transaction that waits for all commits under the old epochs. Stale: the server's own row
// is gone; nothing was changed.
Result<Owned> reassign(sql::Connection& writer, const kernel::ServerRow& server,
                       const Reassign& wish);

// The epoch under which the server holds the lease now; nothing: another one that lives has it.
// `living`: epochs of servers.
Result<std::optional<int64_t>> take_lease(sql::Connection& writer, const std::string& name,
                                          const kernel::ServerRow& server,
                                          std::span<const int64_t> living);
Result<void> give_lease(sql::Connection& writer, const std::string& name,
                        const kernel::ServerRow& server);
Result<std::optional<kernel::LeaseRow>> find_lease(sql::Connection& reader,
                                                   const std::string& name);

}  // namespace millrace::store
