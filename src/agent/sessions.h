// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "agent/intake.h"
#include "agent/messages.h"
#include "kernel/blobs.h"
#include "kernel/work.h"

namespace millrace::agent {

// The server's end of the sessions of all agents. What an agent says is held against what it was
// given: it speaks of runs that were granted to it or that it was let adopt in this session, of
// their files, and of the releases that their orders name; of others nothing is heard (K6, K10).
//
// A connection that breaks ends nothing here: the session lasts until its lease is over, or until
// the agent is back and opens the next one.
//
// Thread-safe. Each connection is spoken for by one thread at a time; files are written there.
// Calls of the source come from wherever it makes them, and are quick.
class Sessions final : public kernel::WorkReceiver {
 public:
  // A piece of the archive of a release, from `offset` on. Called on the connection's thread;
  // answers once, from any thread.
  using ReadRelease =
      std::function<void(const WantRelease&, std::function<void(Result<ReleasePiece>)>)>;
  using ConnectionId = int64_t;
  // Whom a connection has proven to be.
  struct Peer {
    std::string worker;  // the name that it may open sessions under; empty: any
    std::string address;
  };

  // All of it outlives this, and the source is stopped before it is gone.
  Sessions(kernel::WorkSource& source, kernel::Blobs& blobs, ReadRelease read_release);

  ConnectionId connected(std::shared_ptr<Link<ToAgent>> link, Peer peer);
  void received(ConnectionId connection, FromAgent message);
  void disconnected(ConnectionId connection);
  // Asks this agent to take its leave, within so many ms. False: it is not connected.
  bool drain(const std::string& worker, int64_t within_ms);

  // WorkReceiver
  void grant(SessionId session, std::vector<kernel::WorkOrder> orders) override;
  void cancel(SessionId session, const Of<kernel::RunKey>& run, std::string reason) override;
  void over(SessionId session) override;

 private:
  struct Connection {
    std::shared_ptr<Link<ToAgent>> link;
    Peer peer;
    std::string worker;    // its name, of the last Hello
    std::string instance;  // of the last Hello
    int hellos = 0;
    SessionId session;                        // none: not yet, or over
    std::map<kernel::RunKey, TenantId> held;  // in this session
    // Packs and digests, of the orders of this connection.
    std::set<std::pair<std::string, std::string>> releases;
    std::shared_ptr<Intake> intake;
  };
  // What is needed of a connection without its lock.
  struct Current {
    SessionId session;
    std::shared_ptr<Link<ToAgent>> link;
    std::shared_ptr<Intake> intake;
    TenantId tenant;  // of the run; none: it is not one of this session
  };
  using Connections = std::map<ConnectionId, Connection>;

  // Nothing: it has no session.
  std::optional<Current> current(ConnectionId connection, const kernel::RunKey& run) const;
  Connections::iterator of(SessionId session);
  void end(Connection& connection);

  void on(ConnectionId id, Hello&& hello);
  void opened(ConnectionId id, int hello, Result<kernel::Session> session);
  std::shared_ptr<Intake> take_over(ConnectionId id, const Connection& next);
  void on(ConnectionId id, const Renew& renew);
  void renewed(ConnectionId id, SessionId session, int64_t seq, const Result<void>& answer);
  void on(ConnectionId id, Preparing&& preparing);
  void on(ConnectionId id, const Prepared& prepared);
  void on(ConnectionId id, Output&& output);
  void on(ConnectionId id, const Blob& blob);
  void on(ConnectionId id, Finished&& finished);
  void acknowledge(ConnectionId id, const kernel::RunKey& key);
  void on(ConnectionId id, const Draining&);
  void on(ConnectionId id, const Leave&);
  void on(ConnectionId id, WantRelease&& want);

  kernel::WorkSource& source_;
  kernel::Blobs& blobs_;
  ReadRelease read_release_;
  mutable std::mutex mutex_;
  ConnectionId last_connection_ = 0;
  Connections connections_;
  // What the runs of a worker have brought so far, by its name and its instance.
  std::map<std::string, std::pair<std::string, std::shared_ptr<Intake>>> intakes_;
};

}  // namespace millrace::agent
