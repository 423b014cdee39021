// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/system_service.h"

#include <millrace/v1/system.pb.h>

namespace millrace::rpc {

std::vector<Method> system_service(ServerIdentity server) {
  v1::InfoReply info;
  info.set_version(server.version);
  info.set_node(server.node);
  for (const auto& role : server.roles) info.add_roles(role);
  return {unary<v1::InfoRequest, v1::InfoReply>(
      "millrace.v1.SystemService/Info", auth::Permission::SystemRead,
      [info](const v1::InfoRequest&, const auto& answer) { answer(info); })};
}

}  // namespace millrace::rpc
