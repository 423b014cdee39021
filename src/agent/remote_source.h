// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "agent/live_output.h"
#include "agent/messages.h"
#include "agent/upload.h"
#include "kernel/blobs.h"
#include "kernel/work.h"

namespace millrace::agent {

// The agent's end of the session: the server, as the worker of this machine sees it. A session
// lasts as long as its connection, at most: when that breaks the worker is told, opens the next
// session and names what its spawner still runs, so that whatever was on its way is settled there,
// by the server. Until there is a connection `open` waits.
//
// Thread-safe. It has no thread: callbacks and calls into the receiver come from whoever connects
// and receives, or from the caller. Calls into the receiver are made under its lock: they post, as
// the port wants it. Files are read under it, too.
class RemoteSource final : public kernel::WorkSource {
 public:
  struct Outside {
    std::function<int64_t()> mono_ms;  // CLOCK_MONOTONIC
    std::function<int64_t()> unix_ms;
    // What this machine adds to an order. May be empty.
    std::function<void(kernel::WorkOrder&)> equip = {};
    // A piece of a release that was asked for; see want_release.
    std::function<void(ReleasePiece)> release = {};
    // The session is over: what was asked for in it does not come.
    std::function<void()> session_over = {};
    // The server wants the agent to take its leave within so many ms.
    std::function<void(int64_t)> drain = {};
  };
  // `spool`: where the spawner of this machine leaves output and artifacts.
  RemoteSource(kernel::Blobs& spool, Outside outside);

  // The connection is there; `link` may be used until `disconnected` has returned.
  void connected(Link<FromAgent>& link);
  void disconnected();
  void received(ToAgent message);

  // The next piece of a release, from `offset` on; once it is there `Outside::release` is called.
  // False: there is no session to ask in.
  bool want_release(WantRelease release);

  // From now on, in each session, nothing more is granted.
  void drain();

  // WorkSource
  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override;
  void renew(SessionId session, std::function<void(Result<void>)> renewed) override;
  void close(SessionId session) override;
  void drain(SessionId session) override;
  void output(SessionId session, kernel::OutputChunk chunk) override;
  void preparing(SessionId session, TenantId tenant, const kernel::RunKey& key,
                 std::string what) override;
  void prepared(SessionId session, TenantId tenant, const kernel::RunKey& key,
                std::function<void(bool)> go) override;
  void finished(SessionId session, kernel::Completion completion,
                std::function<void()> done) override;

 private:
  struct Opening {
    kernel::WorkerHello hello;
    kernel::WorkReceiver* receiver;
    std::function<void(Result<kernel::Session>)> opened;
  };
  struct Finishing {
    kernel::Completion completion;
    std::function<void()> done;
    Upload upload;
    bool told = false;
  };

  // Does it under the lock, and gives the answers that it comes to without it: they may call back.
  template <typename Step>
  void locked(Step step) {
    std::unique_lock lock(mutex_);
    step();
    auto answers = std::exchange(answers_, {});
    lock.unlock();
    for (auto& answer : answers) answer();
  }
  void answer(std::function<void()> call) { answers_.push_back(std::move(call)); }
  void say(FromAgent message);
  void say_hello();
  bool is_current(SessionId session) const { return session_ && session_->id == session; }
  void end_session();
  void go_on(Finishing& run);

  // What the server says.
  void on(Welcome&& welcome);
  void on(Refused&& refused);
  void on(const Renewed& renewed);
  void on(const Over&);
  void on(Grant&& grant);
  void on(Cancel&& cancel);
  void on(const Go& go);
  void on(const OutputTaken& taken) { live_.taken(taken); }
  void on(const OutputWanted& wanted) { live_.wanted(wanted); }
  void on(const BlobTaken& taken);
  void on(const Acknowledged& acknowledged);
  void on(ReleasePiece&& piece);
  void on(const Drain& drain);

  kernel::Blobs& spool_;
  Outside outside_;
  std::mutex mutex_;
  std::vector<std::function<void()>> answers_;
  Link<FromAgent>* link_ = nullptr;
  std::optional<Opening> opening_;
  int hellos_ = 0;  // that were not answered on this connection
  int64_t hello_ms_ = 0;
  int64_t openings_ = 0;  // the last WorkerHello::opening: by the clock, so that restarts rise too
  int64_t ahead_ms_ = 0;
  std::optional<kernel::Session> session_;
  kernel::WorkReceiver* receiver_ = nullptr;  // of the session
  int64_t last_seq_ = 0;
  bool draining_ = false;
  std::map<int64_t, std::function<void(Result<void>)>> renewals_;
  std::map<kernel::RunKey, std::function<void(bool)>> preparations_;
  std::map<kernel::RunKey, Finishing> finishing_;
  LiveOutput live_;
};

}  // namespace millrace::agent
