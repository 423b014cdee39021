// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/grpc/method.h"

namespace millrace::rpc {

struct ServerIdentity {
  std::string version;  // of the program
  std::string node;     // its name among the servers of the store
  std::vector<std::string> roles;
};

std::vector<Method> system_service(ServerIdentity server);

}  // namespace millrace::rpc
