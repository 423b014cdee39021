// SPDX-License-Identifier: Apache-2.0
#include "app/peers.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/completion.h"
#include "base/log.h"
#include "engine/elsewhere.h"
#include "services/api/forward.h"
#include "store/servers.h"

namespace millrace::app {
namespace {

constexpr std::chrono::milliseconds kBlobLimit{10'000};  // of one piece
constexpr async::Duration kMore{1'000};                  // than the other one has

Error no_server(std::string_view what) {
  return Error(ErrorKind::Unavailable, rpc::kNotReached,
               fmt::format("{} is not known or has no address for other servers: nothing was sent",
                           what))
      .with_retry_after(1000);
}

rpc::Forwarded forwarded_of(api::ForwardedRequest request) {
  return {.method = std::move(request.method),
          .target = std::move(request.target),
          .headers = std::move(request.headers),
          .body = std::move(request.body),
          .who = std::move(request.who),
          .address = std::move(request.peer),
          .hops = request.hops,
          .request_id = std::move(request.request_id),
          .trace = std::move(request.trace),
          .left = request.left};
}

}  // namespace

std::vector<engine::ServerView> servers_in(sql::Store& store, const std::string& self) {
  std::vector<engine::ServerView> servers;
  auto reader = store.open_reader();
  auto cluster = reader.ok() ? store::look(**reader) : Result<kernel::Cluster>(reader.error());
  if (!cluster.ok()) {
    log_warn("servers.not_read", cluster.error());
    return servers;
  }
  for (auto& row : cluster->servers) {
    bool is_self = row.name == self;
    servers.push_back({.row = std::move(row), .shards = {}, .is_self = is_self});
  }
  return servers;
}

bool owns_first_shard(const engine::Engine& engine) {
  auto all = engine.servers();
  auto self = std::ranges::find(all, true, &engine::ServerView::is_self);
  return self != all.end() && engine.owner_of(0) == self->row.node;
}

Peers::Remote Peers::at(const std::string& address) {
  std::scoped_lock lock(mutex_);
  auto& remote = by_address_[address];
  if (!remote) {
    remote = std::make_shared<const rpc::RemoteServer>(
        rpc::Channel(address, grpc_.channel_credentials()), [this] { return grpc_.own_token(); });
  }
  return remote;
}

// One that does not decide sends what anybody may decide to each in turn.
Result<Peers::Remote> Peers::server(int node) {
  std::vector<std::string> deciding;
  for (const auto& view : servers_()) {
    if (view.is_self || view.row.internal.empty()) continue;
    if (view.row.node == node) return at(view.row.internal);
    bool decides = view.lives && !view.row.draining && !view.shards.empty();
    if (decides) deciding.push_back(view.row.internal);
  }
  if (node != engine::kAnybody) return no_server(fmt::format("server {}", node));
  if (deciding.empty()) return no_server("a server that decides (role executor)");
  return at(deciding[turn_.fetch_add(1) % deciding.size()]);
}

std::vector<Peers::Other> Peers::others() {
  std::vector<Other> others;
  for (const auto& view : servers_()) {
    if (!view.is_self && view.lives && !view.row.internal.empty()) {
      others.push_back({view.row.name, at(view.row.internal)});
    }
  }
  return others;
}

Task<Result<net::HttpResponse>> Peers::forward(api::ForwardedRequest request, int node) {
  CO_TRY(auto remote, server(node));
  auto limit = request.left + kMore;
  async::Completion<rpc::ForwardedAnswer> done(co_await async::this_executor());
  remote->submit(forwarded_of(std::move(request)),
                 [done](Result<rpc::ForwardedAnswer> answer) { done.fulfil(std::move(answer)); });
  CO_TRY(auto answer, co_await done.wait(limit));
  co_return api::response_of({.status = answer.status,
                              .content_type = std::move(answer.content_type),
                              .headers = std::move(answer.headers),
                              .body = std::move(answer.body)});
}

Result<std::string> Peers::read_from(const rpc::RemoteServer& remote, const std::string& ref,
                                     int64_t from, int64_t count) const {
  std::string bytes;
  for (;;) {
    int64_t at = static_cast<int64_t>(bytes.size());
    TRY(auto piece, remote.read_blob(ref, from + at, count - at, kBlobLimit));
    bytes += piece.bytes;
    at = static_cast<int64_t>(bytes.size());
    bool is_whole = at >= count || from + at >= piece.size || piece.bytes.empty();
    if (is_whole) return bytes;
  }
}

// Of all who may have it the first that gives it. That nobody has it is known only when everybody
// has said so.
template <typename T>
Result<T> Peers::ask_all(const std::string& ref,
                         const std::function<Result<T>(const rpc::RemoteServer&)>& ask) {
  Error last(ErrorKind::NotFound, "BLB-0001", fmt::format("no server has the blob '{}'", ref));
  for (const auto& view : servers_()) {
    if (view.is_self || !view.lives) continue;
    if (view.row.internal.empty()) {
      last = no_server(fmt::format("server '{}'", view.row.name));
      continue;
    }
    auto given = ask(*at(view.row.internal));
    if (given.ok()) return given;
    if (given.error().kind() != ErrorKind::NotFound) last = given.error();
  }
  return last;
}

Result<std::string> Peers::read_blob(const std::string& ref, int64_t from, int64_t count) {
  return ask_all<std::string>(
      ref, [&](const auto& remote) { return read_from(remote, ref, from, count); });
}

Result<int64_t> Peers::blob_size(const std::string& ref) {
  return ask_all<int64_t>(ref, [&](const auto& remote) -> Result<int64_t> {
    TRY(auto piece, remote.read_blob(ref, 0, 0, kBlobLimit));
    return piece.size;
  });
}

std::shared_ptr<void> Peers::follow_output(int node, Of<ExecutionId> execution, bool kept_only,
                                           rpc::RemoteServer::Output output) {
  auto remote = server(node);
  // may fail: then there is nobody to ask
  if (!remote.ok()) return nullptr;
  return (*remote)->follow_output(execution, kept_only, std::move(output));
}

namespace {

template <typename T>
bool is_missing(const Result<T>& read) {
  return !read.ok() && read.error().kind() == ErrorKind::NotFound;
}

}  // namespace

// When the room cannot be reached, a server may still have it.
Result<std::string> SharedBlobs::read(const std::string& ref, int64_t from, int64_t count) {
  auto bytes = own_.read(ref, from, count);
  if (is_missing(bytes) && room_) bytes = room_->read(ref, from, count);
  if (bytes.ok() || !peers_) return bytes;
  auto theirs = peers_->read_blob(ref, from, count);
  return is_missing(theirs) ? std::move(bytes) : std::move(theirs);
}

Result<int64_t> SharedBlobs::size(const std::string& ref) {
  auto size = own_.size(ref);
  if (is_missing(size) && room_) size = room_->size(ref);
  if (size.ok() || !peers_) return size;
  auto theirs = peers_->blob_size(ref);
  return is_missing(theirs) ? std::move(size) : std::move(theirs);
}

}  // namespace millrace::app
