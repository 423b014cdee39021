// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/grpc_front.h"
#include "async/task.h"
#include "engine/engine.h"
#include "kernel/blobs.h"
#include "services/api/options.h"
#include "services/grpc/command_service.h"

namespace millrace::app {

// All servers as the store has them, for one that does not follow it yet: whether they live is not
// known. What cannot be read is told in the log.
std::vector<engine::ServerView> servers_in(sql::Store& store, const std::string& self);

// Of all servers one: for what one of them does for all, and it does not matter if two do.
bool owns_first_shard(const engine::Engine& engine);

// The other servers of the store, as this one asks them. Thread-safe.
class Peers {
 public:
  using Remote = std::shared_ptr<const rpc::RemoteServer>;
  struct Other {
    std::string name;
    Remote remote;
  };

  // `servers`: all of the store, from any thread. It and `grpc` outlive this.
  Peers(std::function<std::vector<engine::ServerView>()> servers, const GrpcFront& grpc)
      : servers_(std::move(servers)), grpc_(grpc) {}

  // Those that live and can be reached.
  std::vector<Other> others();

  // A client's request for the server of that node; kAnybody: whoever decides. Loop thread.
  Task<Result<net::HttpResponse>> forward(api::ForwardedRequest request, int node);

  // What engine::Engine::Outside has under these names.
  std::function<void(const kernel::ServerRow&, kernel::PermitAsk, rpc::OnPermits)> ask_slots() {
    return [this](const auto& of, const auto& ask, auto got) {
      at(of.internal)->ask_slots(ask, std::move(got));
    };
  }
  std::function<void(const kernel::ServerRow&, int64_t)> give_slot_back() {
    return [this](const auto& of, int64_t number) { at(of.internal)->give_slot_back(number); };
  }

  // Blocking. From the server that has it. Errors: NotFound, BLB-0001: none; the last one of
  // those that could not be asked.
  Result<std::string> read_blob(const std::string& ref, int64_t from, int64_t count);
  Result<int64_t> blob_size(const std::string& ref);

  // rpc::RemoteServer::follow_output of the server of that node. Null: it is not known; nothing of
  // `output` is called.
  std::shared_ptr<void> follow_output(int node, Of<ExecutionId> execution, bool kept_only,
                                      rpc::RemoteServer::Output output);

 private:
  template <typename T>
  Result<T> ask_all(const std::string& ref,
                    const std::function<Result<T>(const rpc::RemoteServer&)>& ask);
  Remote at(const std::string& address);
  Result<Remote> server(int node);
  Result<std::string> read_from(const rpc::RemoteServer& remote, const std::string& ref,
                                int64_t from, int64_t count) const;

  const std::function<std::vector<engine::ServerView>()> servers_;
  const GrpcFront& grpc_;
  std::mutex mutex_;
  std::map<std::string, Remote> by_address_;
  std::atomic<uint32_t> turn_{0};  // whose turn it is among those that decide
};

// What lies here, in the room that servers share, and with other servers: reads come from the
// first of them that has it, all else is done here. As kernel::Blobs.
class SharedBlobs final : public kernel::Blobs {
 public:
  // `room`, `peers`: null where there are none.
  SharedBlobs(kernel::Blobs& own, kernel::Blobs* room, Peers* peers)
      : own_(own), room_(room), peers_(peers) {}
  Result<std::unique_ptr<kernel::BlobWriter>> create(const std::string& ref) override {
    return own_.create(ref);
  }
  Result<std::string> read(const std::string& ref, int64_t from, int64_t count) override;
  Result<int64_t> size(const std::string& ref) override;
  Result<void> remove(const std::string& ref) override { return own_.remove(ref); }
  Result<void> remove_all(const std::string& prefix) override { return own_.remove_all(prefix); }
  Result<void> each(const std::string& prefix,
                    const std::function<void(const kernel::BlobEntry&)>& visit) override {
    return own_.each(prefix, visit);
  }
  Result<void> take_folder(const std::string& prefix, const std::string& folder) override {
    return own_.take_folder(prefix, folder);
  }

 private:
  kernel::Blobs& own_;
  kernel::Blobs* room_;
  Peers* peers_;
};

}  // namespace millrace::app
