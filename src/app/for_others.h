// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "app/release_archives.h"
#include "async/loop.h"
#include "async/pool.h"
#include "async/scope.h"
#include "engine/engine.h"
#include "kernel/blobs.h"
#include "services/api/api.h"
#include "services/grpc/command_service.h"

namespace millrace::app {

// What other servers ask of this one, brought from gRPC's threads to its loop. Before `begin` and
// after `end` they are told to ask somebody else, or again.
class ForOthers {
 public:
  // All outlive it.
  ForOthers(async::Loop& loop, async::Pool& pool, engine::Engine& engine, kernel::Blobs& blobs,
            ReleaseArchives& releases)
      : loop_(loop), pool_(pool), engine_(engine), blobs_(blobs), releases_(releases) {}

  rpc::CommandHandlers handlers();
  // Loop thread.
  void begin(api::Api& api);
  Task<void> end();

 private:
  using Reply = std::function<void(Result<rpc::ForwardedAnswer>)>;
  Task<void> answer(rpc::Forwarded request, Reply reply);
  using Job = std::function<void(Result<void> may)>;
  Task<void> run(Job job);

  async::Loop& loop_;
  async::Pool& pool_;
  engine::Engine& engine_;
  kernel::Blobs& blobs_;
  ReleaseArchives& releases_;
  api::Api* api_ = nullptr;
  std::optional<async::Scope> scope_;  // while it serves
};

}  // namespace millrace::app
