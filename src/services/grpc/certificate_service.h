// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "services/grpc/method.h"

namespace millrace::rpc {

struct RenewedIdentity {
  std::string certificate;
  std::string authorities;
  Secret token;
  int64_t expires_ms = 0;
};

// millrace.agent.v1.Certificates. `renew` is given the name of the worker that asks, its request
// and its address; any thread.
std::vector<Method> certificate_service(
    std::function<Result<RenewedIdentity>(const std::string& name, const std::string& request,
                                          const std::string& address)>
        renew);

}  // namespace millrace::rpc
