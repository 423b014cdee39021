// SPDX-License-Identifier: Apache-2.0
#include "adapters/work_grpc/identity_renewal.h"

#include <millrace/agent/v1/certificates.pb.h>

#include "rpc/channel.h"

namespace millrace::work_grpc {

void renew_identity(const AgentConnection::Way& way, const std::string& request,
                    std::function<void(Result<RenewedIdentity>)> got) {
  agent::v1::RenewRequest asked;
  asked.set_request(request);
  auto answered = [got = std::move(got)](Result<agent::v1::RenewReply> reply) {
    if (!reply.ok()) return got(reply.error());
    got(RenewedIdentity{reply->certificate(), reply->authorities(), reply->token(),
                        reply->expires_ms()});
  };
  rpc::Channel(way.target, way.credentials)
      .call<agent::v1::RenewReply>("millrace.agent.v1.Certificates/Renew", asked,
                                   {.bearer = way.bearer}, std::move(answered));
}

}  // namespace millrace::work_grpc
