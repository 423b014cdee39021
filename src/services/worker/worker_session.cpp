// SPDX-License-Identifier: Apache-2.0
//
// The worker's session: its lease on what it runs. In the server's own process it lasts; on
// another machine it is renewed, and who cannot renew it ends his runs before somebody else may
// start them.
#include <algorithm>

#include "base/log.h"
#include "services/worker/child.h"
#include "services/worker/http_runs.h"
#include "services/worker/worker.h"

namespace millrace::worker {
namespace {

std::vector<std::string> installed_runtimes(const RunDefaults& run) {
  std::string path;
  for (const auto& [name, value] : run.env) {
    if (name == "PATH") path = value;
  }
  std::vector<std::string> runtimes = {"shell", "native"};
  if (!find_program("python3", path).empty()) runtimes.push_back("python");
  if (!find_program("node", path).empty()) runtimes.push_back("node");
  return runtimes;
}

}  // namespace

// What the spawner holds is from an earlier session, or an earlier server.
Result<void> Worker::open_session(const Hello& hello) {
  kernel::WorkerHello own{.name = config_.name,
                          .slots = config_.slots,
                          .runtimes = installed_runtimes(config_.run),
                          .instance = hello.instance(),
                          .labels = config_.labels};
  runs_.clear();
  counters_.reported = 0;
  for (const HeldRun& held : hello.runs) {
    runs_[held.key] = {.tenant = held.tenant, .state = Run::State::Sent};
    own.adopted.push_back(held.key);
  }
  counters_.running = static_cast<int64_t>(runs_.size());
  greeted_ = true;
  opened_.reset();
  session_over_ = false;
  renewed_ms_ = asked_ms_ = monotonic_ms();
  source_.open(std::move(own), *this,
               [mailbox = mailbox_, &source = source_](Result<kernel::Session> session) {
                 SessionId id = session.ok() ? session->id : SessionId();
                 if (!mailbox->put(Opened{std::move(session)}) && id) source.close(id);
               });
  while (!opened_ && !stopping_) wait_for_mail(-1);
  if (!opened_) return {};
  TRY(std::move(*opened_));
  log_info("worker.opened", {{"worker", config_.name},
                             {"session", session_->id.value},
                             {"slots", config_.slots},
                             {"adopted", hello.runs.size()},
                             {"spawner_pid", hello.pid}});
  return {};
}

// Without a lease they go on as long as they like: also those that an earlier session, which had
// one, has left.
void Worker::lease_runs() {
  bool has_lease = session_->ttl_ms > 0;
  encode(out_, Lease{has_lease ? renewed_ms_ + session_->fence_ms : 0});
}

void Worker::on(Over& note) {
  if (session_ && session_->id == note.session) session_over_ = true;
}

void Worker::on(Renewed& note) {
  if (!session_ || session_->id != note.session) return;
  if (note.answer.ok()) {
    renewed_ms_ = std::max(renewed_ms_, note.asked_ms);
    if (greeted_) lease_runs();
  } else if (note.answer.error().kind() == ErrorKind::NotFound) {
    session_over_ = true;
  } else {
    log_warn("worker.not_renewed", note.answer.error(), {{"worker", config_.name}});
  }
}

// Asks for a renewal that is due. False when the session is over.
bool Worker::keep_session() {
  if (!session_) return true;
  if (session_over_) {
    log_warn("worker.session_over", {{"worker", config_.name}, {"runs", runs_.size()}});
    end_session();
    return false;
  }
  if (session_->ttl_ms == 0) return true;
  int64_t now = monotonic_ms();
  if (now - renewed_ms_ >= session_->fence_ms) {
    // The spawner has ended its processes by now, whatever this thread was at.
    log_error("worker.fenced",
              {{"worker", config_.name}, {"runs", runs_.size()}, {"silent_ms", now - renewed_ms_}});
    end_session();
    return false;
  }
  if (now - asked_ms_ >= session_->renew_ms) {
    asked_ms_ = now;
    source_.renew(session_->id, [mailbox = mailbox_, id = session_->id, now](Result<void> answer) {
      mailbox->put(Renewed{id, now, std::move(answer)});
    });
  }
  return true;
}

// Between two waits, whatever for.
bool Worker::may_go_on() {
  read_mail();
  return keep_session() && !stopping_;
}

// -1: none.
int64_t Worker::next_renewal_ms() const {
  if (!session_ || session_->ttl_ms == 0) return -1;
  int64_t due = std::min(asked_ms_ + session_->renew_ms, renewed_ms_ + session_->fence_ms);
  return std::max<int64_t>(0, due - monotonic_ms());
}

// The next session ends this one, and adopts what the spawner holds. What never began is granted
// again.
void Worker::end_session() {
  for (const auto& [key, run] : runs_) {
    if (run.state == Run::State::InHouse) http_->cancel(key);
  }
  session_.reset();
  runs_.clear();
  counters_.reported = 0;
  counters_.running = 0;
}

// Goodbye. Without a lease the spawner keeps the runs for the next session; with one they are
// somebody else's from now on.
void Worker::close_session() {
  read_mail();  // what has ended is reported while there is a session to report it in
  if (!session_) return;
  if (session_->ttl_ms > 0) kill_runs();
  source_.close(std::exchange(session_, {})->id);
}

void Worker::kill_runs() {
  for (const auto& [key, run] : runs_) {
    if (run.state == Run::State::Sent && greeted_) encode(out_, Kill{key});
  }
  flush();
}

}  // namespace millrace::worker
