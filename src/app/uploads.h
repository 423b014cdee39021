// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "kernel/blobs.h"
#include "kernel/work.h"

namespace millrace::app {

// Where blobs lie in a room that all servers share: what runs have left on this machine goes there
// before their end is told, so that it is not lost with the machine. As a source of work it stands
// before the engine. While the room cannot be reached runs end all the same; their blobs stay here,
// where other servers read them, and go up later (FileSweep).
//
// Thread-safe; a few threads of its own.
class Uploads final : public kernel::WorkSource {
 public:
  // All outlive it. Errors: Unavailable, ASY-0004.
  static Result<std::unique_ptr<Uploads>> start(kernel::WorkSource& source, kernel::Blobs& own,
                                                kernel::Blobs& room, int64_t threads);
  ~Uploads() override { stop(); }

  // What is on its way is given up; the runs are reported again to the next server.
  void stop();
  // Runs it on one of the threads; after `stop` never.
  void run(std::function<void()> job);

  // It could not be reached a moment ago.
  bool is_away() const;

  // Moves one blob that lies here into the room.
  Result<void> move(const std::string& ref);

  // WorkSource
  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override {
    source_.open(std::move(hello), receiver, std::move(opened));
  }
  void renew(SessionId session, std::function<void(Result<void>)> renewed) override {
    source_.renew(session, std::move(renewed));
  }
  void close(SessionId session) override { source_.close(session); }
  void drain(SessionId session) override { source_.drain(session); }
  void output(SessionId session, kernel::OutputChunk chunk) override {
    source_.output(session, std::move(chunk));
  }
  void preparing(SessionId session, TenantId tenant, const kernel::RunKey& key,
                 std::string what) override {
    source_.preparing(session, tenant, key, std::move(what));
  }
  void prepared(SessionId session, TenantId tenant, const kernel::RunKey& key,
                std::function<void(bool)> go) override {
    source_.prepared(session, tenant, key, std::move(go));
  }
  void finished(SessionId session, kernel::Completion completion,
                std::function<void()> done) override;

 private:
  Uploads(kernel::WorkSource& source, kernel::Blobs& own, kernel::Blobs& room)
      : source_(source), own_(own), room_(room) {}
  // What the run has left here.
  std::vector<std::string> left_by(const kernel::Completion& completion);
  Result<void> copy(const std::string& ref);
  bool copy_all(const std::vector<std::string>& refs);
  void remove(const std::vector<std::string>& refs);
  void work();

  kernel::WorkSource& source_;
  kernel::Blobs& own_;
  kernel::Blobs& room_;
  std::atomic<int64_t> away_until_ms_{0};  // monotonic: not tried before
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::app
