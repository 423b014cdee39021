// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <grpc/health/v1/health.pb.h>
#include "services/grpc/method.h"

namespace millrace::rpc {

// grpc.health.v1: of each service that is offered, and of "", which is the server. Thread-safe.
class Health {
 public:
  void offer(std::string service);
  // What /ready says.
  void set_serving(bool serving);
  std::vector<Method> methods();

 private:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  using Watch = Stream<Request, Response>;

  Result<Response> check(const Request& request) const;
  void watch(const Watch& stream);
  void follow(const Watch& stream, const std::string& service);
  Response::ServingStatus status_of(const std::string& service) const;  // with the lock

  mutable std::mutex mutex_;
  std::set<std::string> services_{""};
  bool serving_ = false;
  int64_t last_ = 0;
  std::map<int64_t, Watch> watchers_;
};

}  // namespace millrace::rpc
