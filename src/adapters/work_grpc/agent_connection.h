// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/remote_source.h"
#include "base/result.h"
#include "base/secret.h"

namespace grpc {
class ChannelCredentials;
}

namespace millrace::work_grpc {

// Keeps an agent connected to its server: opens the stream of its session, and the next one when it
// breaks, after pauses that grow up to 10 s with chance in them, so that many agents do not come
// back at once. One thread of its own, which waits; messages come on threads of gRPC.
class AgentConnection {
 public:
  // How the next connection proves who calls. Asked anew each time: certificates are renewed.
  struct Way {
    std::string target;                                     // "192.0.2.1:9090"
    std::shared_ptr<grpc::ChannelCredentials> credentials;  // none: in the clear
    Secret bearer;                                          // empty: the certificate says it
  };
  // Errors: tried again later.
  using FindWay = std::function<Result<Way>()>;

  // `source` outlives it.
  AgentConnection(agent::RemoteSource& source, FindWay find_way);
  ~AgentConnection() { stop(); }

  // Errors: Unavailable, ASY-0004: there is no thread for it.
  Result<void> start();
  // What is on its way has a second to arrive. Afterwards nothing comes.
  void stop();

 private:
  class Stream;
  void run();
  // How long it pauses before the next attempt, which is the `attempt`th without an answer.
  void pause(int attempt);

  agent::RemoteSource& source_;
  FindWay find_way_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::shared_ptr<Stream> stream_;
  std::thread thread_;
};

}  // namespace millrace::work_grpc
