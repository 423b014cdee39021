// SPDX-License-Identifier: Apache-2.0
#include "adapters/work_grpc/agent_connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <millrace/agent/v1/agent.pb.h>

#include <algorithm>
#include <deque>
#include <random>

#include "async/thread.h"
#include "base/log.h"
#include "rpc/agent_messages.h"
#include "rpc/channel.h"
#include "rpc/message.h"
#include "rpc/status.h"

namespace millrace::work_grpc {
namespace {

constexpr const char* kMethod = "/millrace.agent.v1.Agent/Session";
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLastPause{10'000};
constexpr std::chrono::milliseconds kLastWords{1'000};

}  // namespace

// One attempt: a call, from its start until gRPC is done with it.
class AgentConnection::Stream final
    : public agent::Link<agent::FromAgent>,
      private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(agent::RemoteSource& source, const Way& way)
      : source_(source), channel_(way.target, way.credentials) {
    if (!way.bearer.empty()) {
      context_.AddMetadata("authorization", "Bearer " + way.bearer.reveal());
    }
  }

  void start() {
    grpc::GenericStub stub(channel_.raw());
    stub.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    AddHold();  // writes come from outside, until the last read
    StartRead(&incoming_);
    StartCall();
    source_.connected(*this);
  }

  void send(agent::FromAgent message) override {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    outgoing_.push_back(rpc::to_bytes(rpc::to_proto(message)));
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }
  void close(const Error&) override { context_.TryCancel(); }

  // Waits until it is over. True: the server has answered on it.
  bool wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return over_; });
    return answered_;
  }
  // What was said arrives, if it does so in time: a call that is cancelled takes with it what the
  // other side has not read yet, so it is the server that ends it.
  void end(std::chrono::milliseconds within) {
    auto until = std::chrono::steady_clock::now() + within;
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return outgoing_.empty() || over_; });
    if (outgoing_.empty() && !closed_) {
      closed_ = true;
      StartWritesDone();
      changed_.wait_until(lock, until, [this] { return over_; });
    }
    lock.unlock();
    context_.TryCancel();
  }
  const grpc::Status& status() const { return status_; }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return no_more();
    {
      std::lock_guard lock(mutex_);
      answered_ = true;
    }
    agent::v1::ToAgent message;
    auto read = rpc::from_bytes(incoming_, message);
    auto said = read.ok() ? rpc::from_proto(message) : Result<agent::ToAgent>(read.error());
    if (!said.ok()) {
      log_error("agent.server_not_understood", said.error());
      context_.TryCancel();
      return no_more();
    }
    source_.received(*std::move(said));
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    outgoing_.pop_front();
    if (!ok || closed_) outgoing_.clear();
    if (!outgoing_.empty()) StartWrite(&outgoing_.front());
    changed_.notify_all();
  }
  // Nothing is read any more: whoever speaks through this is told first.
  void no_more() {
    source_.disconnected();
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    over_ = true;
    changed_.notify_all();
  }

  agent::RemoteSource& source_;
  rpc::Channel channel_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<grpc::ByteBuffer> outgoing_;  // the first one is under way
  bool closed_ = false;
  bool answered_ = false;
  bool over_ = false;
  grpc::Status status_;
};

AgentConnection::AgentConnection(agent::RemoteSource& source, FindWay find_way)
    : source_(source), find_way_(std::move(find_way)) {}

Result<void> AgentConnection::start() {
  TRY(thread_, async::start_thread("connection", [this] { run(); }));
  return {};
}

void AgentConnection::run() {
  for (int attempt = 0;; ++attempt) {
    auto way = find_way_();
    if (way.ok()) {
      auto stream = std::make_shared<Stream>(source_, *way);
      {
        std::lock_guard lock(mutex_);
        if (stopping_) return;
        stream_ = stream;
      }
      stream->start();
      if (stream->wait()) attempt = 0;
      log_warn("agent.not_connected", {{"server", way->target},
                                       {"code", static_cast<int>(stream->status().error_code())},
                                       {"why", stream->status().error_message()}});
    } else {
      log_warn("agent.not_connected", way.error());
    }
    std::unique_lock lock(mutex_);
    stream_.reset();
    if (stopping_) return;
    lock.unlock();
    pause(attempt);
  }
}

void AgentConnection::pause(int attempt) {
  static thread_local std::minstd_rand dice{std::random_device{}()};
  auto longest = std::min(kLastPause, kFirstPause * (1 << std::min(attempt, 10)));
  auto pause = longest / 2 +
               std::chrono::milliseconds(dice() % static_cast<unsigned>(longest.count() / 2 + 1));
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, pause, [this] { return stopping_; });
}

void AgentConnection::stop() {
  if (!thread_.joinable()) return;
  std::shared_ptr<Stream> stream;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stream = stream_;
    changed_.notify_all();
  }
  if (stream) stream->end(kLastWords);
  thread_.join();
}

}  // namespace millrace::work_grpc
