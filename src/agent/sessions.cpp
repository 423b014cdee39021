// SPDX-License-Identifier: Apache-2.0
#include "agent/sessions.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/upload.h"
#include "base/log.h"

namespace millrace::agent {

using namespace kernel;

namespace {

Error not_whole(const Completion& completion, std::string_view part) {
  return Error(ErrorKind::Invalid, "AGT-0003",
               fmt::format("file '{}' of execution {}: the run has ended, and it has not come",
                           part, completion.key.execution.value));
}

Refused refusal(const Error& why) { return {why.kind(), why.code(), why.message()}; }

}  // namespace

Sessions::Sessions(WorkSource& source, Blobs& blobs, ReadRelease read_release)
    : source_(source), blobs_(blobs), read_release_(std::move(read_release)) {}

Sessions::ConnectionId Sessions::connected(std::shared_ptr<Link<ToAgent>> link, Peer peer) {
  std::lock_guard lock(mutex_);
  connections_[++last_connection_] = {.link = std::move(link), .peer = std::move(peer)};
  return last_connection_;
}

// What it runs is its own until its lease is over. It is given nothing more: it would not hear of
// it, and what may run once would have to be decided by a person.
void Sessions::disconnected(ConnectionId connection) {
  SessionId session;
  {
    std::lock_guard lock(mutex_);
    auto gone = connections_.extract(connection);
    if (!gone || !gone.mapped().session) return;
    session = gone.mapped().session;
    log_warn("agent.disconnected", {{"worker", gone.mapped().worker},
                                    {"address", gone.mapped().peer.address},
                                    {"runs", gone.mapped().held.size()}});
  }
  source_.drain(session);
}

void Sessions::received(ConnectionId connection, FromAgent message) {
  std::visit([&](auto& one) { on(connection, std::move(one)); }, message);
}

std::optional<Sessions::Current> Sessions::current(ConnectionId connection,
                                                   const RunKey& run) const {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(connection);
  if (at == connections_.end() || !at->second.session) return std::nullopt;
  const Connection& c = at->second;
  auto held = c.held.find(run);
  return Current{c.session, c.link, c.intake, held == c.held.end() ? TenantId() : held->second};
}

Sessions::Connections::iterator Sessions::of(SessionId session) {
  return std::ranges::find_if(connections_,
                              [&](const auto& one) { return one.second.session == session; });
}

// Of its runs nothing is heard until it has said again which they are.
void Sessions::end(Connection& connection) {
  connection.session = {};
  connection.held.clear();
}

// The session

void Sessions::on(ConnectionId id, Hello&& hello) {
  int number = 0;
  {
    std::lock_guard lock(mutex_);
    auto at = connections_.find(id);
    if (at == connections_.end()) return;
    Connection& connection = at->second;
    end(connection);
    if (!connection.peer.worker.empty() && connection.peer.worker != hello.worker.name) {
      return connection.link->send(
          refusal(Error(ErrorKind::Forbidden, "AGT-0002",
                        fmt::format("this agent is '{}' by its certificate, and calls itself '{}'",
                                    connection.peer.worker, hello.worker.name))));
    }
    auto other = std::ranges::find_if(connections_, [&](const auto& one) {
      return one.second.session && one.second.worker == hello.worker.name &&
             one.second.instance != hello.worker.instance;
    });
    if (other != connections_.end()) {
      return connection.link->send(refusal(
          Error(ErrorKind::Conflict, "AGT-0001",
                fmt::format("an agent '{}' is connected already, from {}: give each its own --name",
                            hello.worker.name, other->second.peer.address))));
    }
    connection.worker = hello.worker.name;
    connection.instance = hello.worker.instance;
    number = ++connection.hellos;
  }
  hello.worker.elsewhere = true;
  source_.open(std::move(hello.worker), *this, [this, id, number](Result<Session> session) {
    opened(id, number, std::move(session));
  });
}

// What it has brought goes on where it was, if its spawner is the same. Its connection before this
// one may not know yet that it is broken.
std::shared_ptr<Intake> Sessions::take_over(ConnectionId id, const Connection& next) {
  for (auto& [other, connection] : connections_) {
    if (other == id || connection.worker != next.worker) continue;
    end(connection);
    connection.link->close(
        Error(ErrorKind::Conflict, "AGT-0001", "the agent has opened another session"));
  }
  auto& [instance, intake] = intakes_[next.worker];
  if (!intake || instance != next.instance) {
    instance = next.instance;
    intake = std::make_shared<Intake>(blobs_);
  }
  return intake;
}

void Sessions::opened(ConnectionId id, int hello, Result<Session> session) {
  std::unique_lock lock(mutex_);
  auto at = connections_.find(id);
  // Gone, or it has said another Hello: then that ends this session, or its lease does.
  if (at == connections_.end() || at->second.hellos != hello) {
    // Each Hello is answered: the agent counts them, and the last answer is the one that it takes.
    if (at != connections_.end()) {
      at->second.link->send(refusal(
          Error(ErrorKind::Conflict, "AGT-0001", "the agent has asked for another session")));
    }
    lock.unlock();
    if (session.ok()) source_.drain(session->id);
    return;
  }
  Connection& connection = at->second;
  if (!session.ok()) return connection.link->send(refusal(session.error()));
  connection.intake = take_over(id, connection);
  connection.session = session->id;
  for (const auto& run : session->adopted) connection.held[run.key] = run.tenant;
  log_info("agent.connected", {{"worker", connection.worker},
                               {"address", connection.peer.address},
                               {"session", session->id.value},
                               {"adopted", session->adopted.size()}});
  connection.link->send(Welcome{*std::move(session)});
}

void Sessions::on(ConnectionId id, const Renew& renew) {
  auto now = current(id, {});
  if (!now) return;  // it has been told
  source_.renew(now->session, [this, id, session = now->session, seq = renew.seq](
                                  Result<void> answer) { renewed(id, session, seq, answer); });
}

void Sessions::renewed(ConnectionId id, SessionId session, int64_t seq,
                       const Result<void>& answer) {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(id);
  if (at == connections_.end() || at->second.session != session) return;
  if (answer.ok()) return at->second.link->send(Renewed{seq});
  if (answer.error().kind() != ErrorKind::NotFound) return;  // it asks again
  end(at->second);
  at->second.link->send(Over{});
}

void Sessions::over(SessionId session) {
  std::lock_guard lock(mutex_);
  auto at = of(session);
  if (at == connections_.end()) return;
  end(at->second);
  at->second.link->send(Over{});
}

void Sessions::on(ConnectionId id, const Draining&) {
  auto now = current(id, {});
  if (now) source_.drain(now->session);
}

void Sessions::on(ConnectionId id, const Leave&) {
  auto now = current(id, {});
  if (!now) return;
  {
    std::lock_guard lock(mutex_);
    auto at = connections_.find(id);
    if (at != connections_.end()) end(at->second);
  }
  source_.close(now->session);
}

bool Sessions::drain(const std::string& worker, int64_t within_ms) {
  std::lock_guard lock(mutex_);
  auto at = std::ranges::find_if(connections_, [&](const auto& one) {
    return one.second.session && one.second.worker == worker;
  });
  if (at == connections_.end()) return false;
  at->second.link->send(Drain{within_ms});
  return true;
}

// Runs

void Sessions::grant(SessionId session, std::vector<WorkOrder> orders) {
  std::lock_guard lock(mutex_);
  auto at = of(session);
  if (at == connections_.end()) return;  // it is settled when the agent is back
  for (auto& order : orders) {
    at->second.held[order.key] = order.tenant;
    at->second.releases.emplace(order.pack, order.release);
    at->second.link->send(Grant{std::move(order)});
  }
}

void Sessions::cancel(SessionId session, const Of<RunKey>& run, std::string reason) {
  std::lock_guard lock(mutex_);
  auto at = of(session);
  if (at != connections_.end()) at->second.link->send(Cancel{run, std::move(reason)});
}

void Sessions::on(ConnectionId id, Preparing&& preparing) {
  auto now = current(id, preparing.key);
  if (!now || !now->tenant) return;
  source_.preparing(now->session, now->tenant, preparing.key, std::move(preparing.what));
}

void Sessions::on(ConnectionId id, const Prepared& prepared) {
  auto now = current(id, prepared.key);
  if (!now) return;
  if (!now->tenant) return now->link->send(Go{prepared.key, false});
  source_.prepared(now->session, now->tenant, prepared.key,
                   [link = now->link, key = prepared.key](bool go) { link->send(Go{key, go}); });
}

void Sessions::on(ConnectionId id, Output&& output) {
  auto now = current(id, output.key);
  if (!now || !now->tenant) return;
  auto heard = now->intake->take(now->tenant, std::move(output));
  if (heard.chunk) source_.output(now->session, *std::move(heard.chunk));
  now->link->send(std::move(heard.answer));
}

void Sessions::on(ConnectionId id, const Blob& blob) {
  auto now = current(id, blob.key);
  if (!now) return;
  if (!now->tenant) return acknowledge(id, blob.key);
  auto taken = now->intake->take(now->tenant, blob);
  if (taken.ok()) return now->link->send(*std::move(taken));
  log_error("agent.file_not_taken", taken.error(), {{"execution", blob.key.execution.value}});
  now->link->close(taken.error());
}

void Sessions::on(ConnectionId id, Finished&& finished) {
  Completion& completion = finished.completion;
  RunKey key = completion.key;
  auto now = current(id, key);
  if (!now) return;
  if (!now->tenant) return acknowledge(id, key);
  completion.tenant = now->tenant;
  for (auto [stream, part] :
       {std::pair{&completion.out, kOutPart}, std::pair{&completion.err, kErrPart}}) {
    if (stream->blob.empty()) continue;
    if (!now->intake->has(key, part)) return now->link->close(not_whole(completion, part));
    stream->blob = ref_of_part(now->tenant, key, part);
  }
  source_.finished(now->session, std::move(completion), [this, id, key] { acknowledge(id, key); });
}

void Sessions::acknowledge(ConnectionId id, const RunKey& key) {
  std::shared_ptr<Intake> intake;
  {
    std::lock_guard lock(mutex_);
    auto at = connections_.find(id);
    if (at == connections_.end()) return;
    at->second.held.erase(key);
    at->second.link->send(Acknowledged{key});
    intake = at->second.intake;
  }
  if (intake) intake->forget(key);
}

void Sessions::on(ConnectionId id, WantRelease&& want) {
  std::shared_ptr<Link<ToAgent>> link;
  bool may = false;
  {
    std::lock_guard lock(mutex_);
    auto at = connections_.find(id);
    if (at == connections_.end()) return;
    link = at->second.link;
    may = at->second.releases.contains({want.pack, want.digest});
  }
  auto answer = [link, pack = want.pack, digest = want.digest](Result<ReleasePiece> piece) {
    if (piece.ok()) return link->send(*std::move(piece));
    link->send(ReleasePiece{.pack = pack, .digest = digest, .error = piece.error().message()});
  };
  if (may) return read_release_(want, answer);
  answer(Error(ErrorKind::Forbidden, "AGT-0004", "no order of this agent names this release"));
}

}  // namespace millrace::agent
