// SPDX-License-Identifier: Apache-2.0
#include "agent/remote_source.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "kernel/limits.h"

namespace millrace::agent {

using namespace kernel;

namespace {

constexpr int64_t kDayMs = 86'400'000;

Error session_over() {
  return Error(ErrorKind::NotFound, "ENG-0004",
               "this session is over: the worker opens another one");
}

// A server takes 4 MiB in one message, and ends the connection of who sends more.
constexpr Limit kOutputToServer{"output of a run on an agent", 3 << 20, "bytes"};

// What was read from its stdout, the server reads again: that goes as a blob. What is not there has
// no other way: the run has failed.
void bound_output(Completion& completion) {
  if (completion.output.is_null()) return;
  auto size = static_cast<int64_t>(to_json(completion.output).size());
  if (size <= kOutputToServer.most) return;
  completion.output = Value();
  if (std::exchange(completion.is_read, false)) return;
  completion.exit_code = 1;
  completion.message = "EXE-0023: " + exceeds(kOutputToServer, size);
}

}  // namespace

RemoteSource::RemoteSource(Blobs& spool, Outside outside)
    : spool_(spool),
      outside_(std::move(outside)),
      live_(spool, [this](Output piece) { say(std::move(piece)); }) {}

void RemoteSource::say(FromAgent message) {
  if (link_) link_->send(std::move(message));
}

void RemoteSource::connected(Link<FromAgent>& link) {
  std::lock_guard lock(mutex_);
  link_ = &link;
  hellos_ = 0;
  if (opening_) say_hello();
}

void RemoteSource::disconnected() {
  locked([&] {
    link_ = nullptr;
    hellos_ = 0;
    end_session();
  });
}

void RemoteSource::received(ToAgent message) {
  locked([&] { std::visit([this](auto& one) { on(std::move(one)); }, message); });
}

// The session

void RemoteSource::say_hello() {
  ++hellos_;
  hello_ms_ = outside_.mono_ms();
  openings_ = std::max(openings_ + 1, outside_.unix_ms() + ahead_ms_);
  opening_->hello.opening = openings_;
  say(Hello{opening_->hello});
}

void RemoteSource::open(WorkerHello hello, WorkReceiver& receiver,
                        std::function<void(Result<Session>)> opened) {
  locked([&] {
    end_session();
    if (opening_) {
      answer([given_up = std::move(opening_->opened)] {
        given_up(Error(ErrorKind::Conflict, "AGT-0001", "its worker opens another session"));
      });
    }
    opening_ = {std::move(hello), &receiver, std::move(opened)};
    if (link_) say_hello();
  });
}

void RemoteSource::on(Welcome&& welcome) {
  // The last Hello counts; the server has ended what it opened before.
  if (--hellos_ > 0 || !opening_) return;
  Session session = std::move(welcome.session);
  session.since_ms = hello_ms_;
  session_ = session;
  receiver_ = opening_->receiver;
  auto opened = std::move(opening_->opened);
  opening_.reset();
  if (draining_) say(Draining{});
  answer([opened = std::move(opened), session] { opened(session); });
}

void RemoteSource::on(Refused&& refused) {
  if (--hellos_ > 0 || !opening_) return;
  // Its clock was set back, and it has forgotten how far it had counted: it counts ahead, further
  // each time.
  if (refused.code == kLateOpening) ahead_ms_ = std::max(kDayMs, 2 * ahead_ms_);
  auto opened = std::move(opening_->opened);
  opening_.reset();
  answer([opened = std::move(opened),
          why = Error(refused.kind, refused.code, std::move(refused.message))] { opened(why); });
}

// Whoever waits for an answer of it gets one.
void RemoteSource::end_session() {
  if (!session_) return;
  SessionId over = session_->id;
  session_.reset();
  for (auto& [seq, asked] : std::exchange(renewals_, {})) {
    answer([renewed = std::move(asked)] { renewed(session_over()); });
  }
  for (auto& [key, asked] : std::exchange(preparations_, {})) {
    answer([go = std::move(asked)] { go(false); });
  }
  finishing_.clear();
  live_.forget_all();
  receiver_->over(over);
  if (outside_.session_over) answer(outside_.session_over);
}

void RemoteSource::on(const Over&) { end_session(); }

void RemoteSource::renew(SessionId session, std::function<void(Result<void>)> renewed) {
  std::unique_lock lock(mutex_);
  if (!is_current(session)) {
    lock.unlock();
    return renewed(session_over());
  }
  renewals_[++last_seq_] = std::move(renewed);
  say(Renew{last_seq_});
}

void RemoteSource::on(const Renewed& renewed) {
  if (auto asked = renewals_.extract(renewed.seq)) {
    answer([answered = std::move(asked.mapped())] { answered({}); });
  }
}

void RemoteSource::close(SessionId session) {
  std::lock_guard lock(mutex_);
  if (!is_current(session)) return;
  say(Leave{});
  session_.reset();
  renewals_.clear();
  preparations_.clear();
  finishing_.clear();
  live_.forget_all();
}

void RemoteSource::drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
  if (session_) say(Draining{});
}

void RemoteSource::drain(SessionId session) {
  std::lock_guard lock(mutex_);
  if (is_current(session)) say(Draining{});
}

// Runs

void RemoteSource::on(Grant&& grant) {
  if (!session_) return;
  if (outside_.equip) outside_.equip(grant.order);
  std::vector<WorkOrder> orders;
  orders.push_back(std::move(grant.order));
  receiver_->grant(session_->id, std::move(orders));
}

void RemoteSource::on(Cancel&& cancel) {
  if (session_) receiver_->cancel(session_->id, cancel.run, std::move(cancel.reason));
}

void RemoteSource::output(SessionId session, OutputChunk chunk) {
  std::lock_guard lock(mutex_);
  if (is_current(session)) live_.came(std::move(chunk));
}

void RemoteSource::preparing(SessionId session, TenantId, const RunKey& key, std::string what) {
  std::lock_guard lock(mutex_);
  if (is_current(session)) say(Preparing{key, std::move(what)});
}

void RemoteSource::prepared(SessionId session, TenantId, const RunKey& key,
                            std::function<void(bool)> go) {
  std::unique_lock lock(mutex_);
  if (!is_current(session)) {
    lock.unlock();
    return go(false);
  }
  preparations_[key] = std::move(go);
  say(Prepared{key});
}

void RemoteSource::on(const Go& go) {
  if (auto asked = preparations_.extract(go.key)) {
    answer([told = std::move(asked.mapped()), may = go.go] { told(may); });
  }
}

void RemoteSource::finished(SessionId session, Completion completion, std::function<void()> done) {
  std::lock_guard lock(mutex_);
  if (!is_current(session) || finishing_.contains(completion.key)) return;
  RunKey key = completion.key;
  bound_output(completion);
  live_.forget(key);
  Upload upload(spool_, completion, [this](Blob piece) { say(std::move(piece)); });
  auto at = finishing_.try_emplace(key, std::move(completion), std::move(done), std::move(upload));
  at.first->second.upload.begin();
  go_on(at.first->second);
}

void RemoteSource::go_on(Finishing& run) {
  if (!run.upload.is_done() || std::exchange(run.told, true)) return;
  run.upload.settle(run.completion);
  say(Finished{run.completion});
}

void RemoteSource::on(const BlobTaken& taken) {
  auto at = finishing_.find(taken.key);
  if (at == finishing_.end()) return;
  at->second.upload.taken(taken);
  go_on(at->second);
}

// Durable, or nobody waits for it: what it has left here has come, or is of no use.
void RemoteSource::on(const Acknowledged& acknowledged) {
  auto run = finishing_.extract(acknowledged.key);
  if (!run) return;
  const Completion& c = run.mapped().completion;
  for (auto stream : {Stream::Stdout, Stream::Stderr}) {
    auto removed = spool_.remove(output_ref(c.tenant, c.key, stream));
    if (!removed.ok()) log_warn("agent.spool_not_emptied", removed.error());
  }
  auto removed = spool_.remove_all(artifacts_prefix(c.tenant, c.key));
  if (!removed.ok()) log_warn("agent.spool_not_emptied", removed.error());
  answer(std::move(run.mapped().done));
}

// Releases, and leaving

bool RemoteSource::want_release(WantRelease release) {
  std::lock_guard lock(mutex_);
  if (!session_) return false;
  say(std::move(release));
  return true;
}

void RemoteSource::on(ReleasePiece&& piece) {
  if (!outside_.release) return;
  answer([this, piece = std::move(piece)] { outside_.release(piece); });
}

void RemoteSource::on(const Drain& drain) {
  if (!outside_.drain) return;
  answer([this, within_ms = drain.deadline_ms] { outside_.drain(within_ms); });
}

}  // namespace millrace::agent
