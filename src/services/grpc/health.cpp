// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/health.h"

#include <fmt/format.h>

namespace millrace::rpc {

void Health::offer(std::string service) {
  std::scoped_lock lock(mutex_);
  services_.insert(std::move(service));
}

Health::Response::ServingStatus Health::status_of(const std::string& service) const {
  if (!services_.contains(service)) return Response::SERVICE_UNKNOWN;
  return serving_ ? Response::SERVING : Response::NOT_SERVING;
}

Result<Health::Response> Health::check(const Request& request) const {
  std::scoped_lock lock(mutex_);
  Response response;
  response.set_status(status_of(request.service()));
  if (response.status() != Response::SERVICE_UNKNOWN) return response;
  return Error(ErrorKind::NotFound, "RPC-0008",
               fmt::format("no service '{}' is offered here", request.service()));
}

// An unknown service is told so, and watched on: the protocol wants it.
void Health::watch(const Watch& stream) {
  stream.read([this, stream](const std::optional<Request>& request) {
    if (!request) return stream.finish({});
    follow(stream, request->service());
  });
}

void Health::follow(const Watch& stream, const std::string& service) {
  int64_t number = 0;
  Response now;
  {
    std::scoped_lock lock(mutex_);
    now.set_status(status_of(service));
    // What it watches is only known to change with the server.
    if (now.status() != Response::SERVICE_UNKNOWN) {
      number = ++last_;
      watchers_.emplace(number, stream);
    }
    stream.write(now);  // before what comes next
  }
  stream.on_drain([stream] { stream.finish({}); });
  stream.on_end([this, number] {
    std::scoped_lock lock(mutex_);
    watchers_.erase(number);
  });
}

void Health::set_serving(bool serving) {
  std::scoped_lock lock(mutex_);
  if (serving_ == serving) return;
  serving_ = serving;
  Response now;
  now.set_status(serving ? Response::SERVING : Response::NOT_SERVING);
  for (const auto& [number, stream] : watchers_) stream.write(now);
}

std::vector<Method> Health::methods() {
  return {unary<Request, Response>(
              "grpc.health.v1.Health/Check", Access::open(),
              [this](const Request& request, const auto& answer) { answer(check(request)); }),
          stream<Request, Response>("grpc.health.v1.Health/Watch", Access::open(),
                                    [this](const Watch& watch_stream) { watch(watch_stream); })};
}

}  // namespace millrace::rpc
